//! xtext of RFC 3461 section 4: ASCII with `+HH` for everything that would disturb a command line.

/// Whether `text` is xtext.
pub fn is_xtext(text: &str) -> bool {
    decode(text).is_some()
}

/// The octets that xtext stands for; `None` when it is none. Only ever call this on a single value: a decoded CRLF
/// must not meet anything that splits lines.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'+' => {
                let (high, low) = (hex_digit(rest.next()?)?, hex_digit(rest.next()?)?);
                octets.push(high << 4 | low);
            }
            b'!'..=b'~' if octet != b'=' => octets.push(octet),
            _ => return None,
        }
    }
    Some(octets)
}

/// ORCPT as a report shows it (RFC 3464 section 2.3.1): `type; address`, decoded, and safe in a header line.
pub fn original_recipient(orcpt: &str) -> Option<String> {
    let (kind, address) = orcpt.split_once(';')?;
    Some(format!("{kind}; {}", shown(address)))
}

/// A value in xtext as a report shows it: decoded, and safe in a header line.
pub fn shown(text: &str) -> String {
    let decoded = decode(text).map(|octets| String::from_utf8_lossy(&octets).into_owned());
    crate::smtp::reply::escaped(decoded.as_deref().unwrap_or(text))
}

/// Octets as xtext.
pub fn encode(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::with_capacity(octets.len()), |mut text, &octet| {
        match octet {
            b'!'..=b'~' if octet != b'+' && octet != b'=' => text.push(char::from(octet)),
            _ => {
                let _ = write!(text, "+{octet:02X}");
            }
        }
        text
    })
}

fn hex_digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn round_trip(octets: Vec<u8>) {
            let text = encode(&octets);
            proptest::prop_assert!(text.bytes().all(|c| (33..127).contains(&c) && c != b'='));
            proptest::prop_assert_eq!(decode(&text), Some(octets));
        }
    }

    /// Hostile 12.
    #[test]
    fn an_original_recipient_stays_on_its_line() {
        for (orcpt, shown) in [
            ("rfc822;Bob+2Bx@a.test", "rfc822; Bob+x@a.test"),
            ("rfc822;a+0D+0ABcc:+20evil@x", "rfc822; a\\r\\nBcc: evil@x"),
            ("x400;/G=A/S=B/", "x400; /G=A/S=B/"),
        ] {
            assert_eq!(original_recipient(orcpt).as_deref(), Some(shown));
        }
    }

    #[test]
    fn decodes_only_xtext() {
        for (text, octets) in
            [("QQ314159", Some(&b"QQ314159"[..])), ("a+2Bb+0D+0A", Some(b"a+b\r\n")), ("+2b", Some(b"+"))]
        {
            assert_eq!(decode(text).as_deref(), octets);
        }
        for bad in ["a b", "a=b", "+2", "+", "+GG", "ä"] {
            assert!(!is_xtext(bad), "{bad}");
        }
    }
}
