//! The extensions that a server offers, that a peer has, or that a carriage implies.

/// Which extensions are on. The same value decides which parameters are read and which are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extensions {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// SIZE (RFC 1870).
    pub size: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// MT-PRIORITY (RFC 6710).
    pub mt_priority: bool,
    /// DELIVERBY (RFC 2852).
    pub deliver_by: bool,
    /// STARTTLS (RFC 3207).
    pub start_tls: bool,
    /// AUTH (RFC 4954).
    pub auth: bool,
    /// Not an extension: parameters of no extension are kept as written, and wrong values are noted instead of
    /// refused. MULE and batches have nobody to refuse to.
    pub unknown: bool,
}

impl Extensions {
    /// Nothing but RFC 5321.
    pub const NONE: Self = Self {
        pipelining: false,
        size: false,
        eight_bit_mime: false,
        smtputf8: false,
        chunking: false,
        binary_mime: false,
        dsn: false,
        enhanced_status_codes: false,
        mt_priority: false,
        deliver_by: false,
        start_tls: false,
        auth: false,
        unknown: false,
    };

    /// Everything that our server can do.
    pub const SERVER: Self = Self {
        pipelining: true,
        size: true,
        eight_bit_mime: true,
        smtputf8: true,
        chunking: true,
        binary_mime: true,
        dsn: true,
        enhanced_status_codes: true,
        mt_priority: true,
        deliver_by: true,
        start_tls: true,
        auth: true,
        unknown: false,
    };

    /// What a MULE payload can say (RFC 8494 section 6.2), and SMTPUTF8, which the RFC leaves open.
    pub const MULE: Self = Self { pipelining: false, start_tls: false, unknown: true, ..Self::SERVER };

    /// What a batch for anybody may use (RFC 2442 section 2): 8BITMIME, SIZE, NOTARY.
    pub const BATCH: Self = Self { size: true, eight_bit_mime: true, dsn: true, ..Self::NONE };

    /// Reads the answer to EHLO: its lines without codes, the greeting line included or not. Unknown keywords are
    /// passed over.
    pub fn from_ehlo<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::NONE;
        for line in lines {
            let keyword = line.split_ascii_whitespace().next().unwrap_or_default();
            if let Some(flag) = found.flag(keyword) {
                *flag = true;
            }
        }
        found
    }

    /// Switches the extension with this EHLO keyword; false when there is none. `NOTARY` is an old name of DSN.
    pub fn set(&mut self, keyword: &str, on: bool) -> bool {
        self.flag(keyword).map(|flag| *flag = on).is_some()
    }

    fn flag(&mut self, keyword: &str) -> Option<&mut bool> {
        Some(match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => &mut self.pipelining,
            "SIZE" => &mut self.size,
            "8BITMIME" => &mut self.eight_bit_mime,
            "SMTPUTF8" => &mut self.smtputf8,
            "CHUNKING" => &mut self.chunking,
            "BINARYMIME" => &mut self.binary_mime,
            "DSN" | "NOTARY" => &mut self.dsn,
            "ENHANCEDSTATUSCODES" => &mut self.enhanced_status_codes,
            "MT-PRIORITY" => &mut self.mt_priority,
            "DELIVERBY" => &mut self.deliver_by,
            "STARTTLS" => &mut self.start_tls,
            "AUTH" => &mut self.auth,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_answer_to_ehlo() {
        let found = Extensions::from_ehlo(["hq.test", "SIZE 1000", "8bitmime", "X-ODD", "MT-PRIORITY STANAG4406"]);
        assert_eq!(found, Extensions { size: true, eight_bit_mime: true, mt_priority: true, ..Extensions::NONE });
    }
}
