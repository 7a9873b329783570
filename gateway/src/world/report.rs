//! Reads delivery reports (RFC 3464) as a mail client would: which mail, which recipient, which action.

use skywave_protocols::time::Instant;

/// A report that reached its reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// When.
    pub at: Instant,
    /// To whom it was sent.
    pub to: Vec<String>,
    /// The Message-ID of the mail it speaks of, as returned in its last part; empty when nothing was returned.
    pub message_id: String,
    /// Recipients and actions (`failed`, `delayed`, `delivered`, `relayed`, `expanded`).
    pub actions: Vec<(String, String)>,
    /// The whole text.
    pub text: String,
}

/// Reads a report; `None` when the mail is none.
pub fn read(at: Instant, to: &[String], text: &[u8]) -> Option<Report> {
    let text = String::from_utf8_lossy(text).into_owned();
    let (header, body) = text.split_once("\r\n\r\n")?;
    if !header.to_ascii_lowercase().contains("multipart/report") {
        return None;
    }
    let mut actions = Vec::new();
    let (mut recipient, mut message_id) = (String::new(), String::new());
    for line in body.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "final-recipient" => recipient = address(value),
            "action" => actions.push((recipient.clone(), value.trim().to_ascii_lowercase())),
            "message-id" => message_id = value.trim().to_owned(),
            _ => {}
        }
    }
    Some(Report { at, to: to.to_vec(), message_id, actions, text })
}

/// The address behind `rfc822;`.
fn address(value: &str) -> String {
    value.split_once(';').map_or(value, |(_, address)| address).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = "Content-Type: multipart/report; boundary=x\r\nMessage-ID: <dsn@hq>\r\n\r\n--x\r\n\r\nwords\r\n--x\r\n\
            Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; hq\r\n\r\n\
            Final-Recipient: rfc822; b@f.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--x\r\n\
            Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@world.test>\r\n\r\n--x--\r\n";
        let report = read(Instant::ZERO, &[], text.as_bytes()).unwrap();
        assert_eq!(report.message_id, "<1@world.test>");
        assert_eq!(report.actions, [("b@f.test".to_owned(), "failed".to_owned())]);
        assert_eq!(read(Instant::ZERO, &[], b"Subject: x\r\n\r\nAction: failed\r\n"), None);
    }
}
