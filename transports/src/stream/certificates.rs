//! TLS on links for chat over TCP: what is asked for, and whom a certificate proves.

use super::config::TcpTls;
use crate::io::{Secure, TlsRole, Trust};

/// What the shell is asked for on a connection of this link.
pub(super) fn secure(tls: &TcpTls, role: TlsRole) -> Secure {
    let asks = role == TlsRole::Client || tls.mutual;
    Secure {
        role,
        server_name: (role == TlsRole::Client).then(|| tls.server_name.clone()),
        alpn: Vec::new(),
        certificate: tls.certificate.clone(),
        trust: if asks { tls.trust.clone() } else { Trust::Anybody },
    }
}

/// Whether a name of a certificate proves a wanted one; `*` stands for one whole label, the left-most.
//= xmpp/X2X-007
pub(super) fn proves(name: &str, wanted: &str) -> bool {
    let same = |a: &str, b: &str| a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.'));
    match name.strip_prefix("*.") {
        Some(rest) => wanted.split_once('.').is_some_and(|(_, below)| same(rest, below) && rest.contains('.')),
        None => same(name, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prove_what_they_say() {
        for (name, wanted, expected) in [
            ("field.test", "field.test", true),
            ("Field.Test", "field.test.", true),
            ("field.test", "x.field.test", false),
            ("*.field.test", "x.field.test", true),
            ("*.field.test", "field.test", false),
            ("*.field.test", "y.x.field.test", false),
            ("*.test", "field.test", false),
            ("x*.field.test", "xy.field.test", false),
            ("", "field.test", false),
        ] {
            assert_eq!(proves(name, wanted), expected, "{name} {wanted}");
        }
    }
}
