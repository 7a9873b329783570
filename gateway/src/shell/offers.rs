//! What a server offers in its EHLO reply, and the commands that make use of just that.

use std::fmt::Write as _;

use skywave_protocols::message::mail::{BodyType, ByMode, Notify, Recipient, Ret};

use crate::node::seam::{HandOver, Needs};

/// The service extensions of a server that a hand-over can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Offers {
    pub(super) pipelining: bool,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
    pub(super) size: bool,
    pub(super) dsn: bool,
    pub(super) mt_priority: bool,
    pub(super) deliver_by: bool,
}

impl Offers {
    /// Reads the lines of an EHLO reply; the first is the greeting.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut offers = Self::default();
        for line in lines.skip(1) {
            let keyword = line.split([' ', '=']).next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => offers.pipelining = true,
                "8BITMIME" => offers.eight_bit = true,
                "SMTPUTF8" => offers.utf8 = true,
                "SIZE" => offers.size = true,
                "DSN" => offers.dsn = true,
                "MT-PRIORITY" => offers.mt_priority = true,
                "DELIVERBY" => offers.deliver_by = true,
                _ => {}
            }
        }
        offers
    }

    /// What content needs and the server lacks. lettre cannot send BDAT, so binary content is never possible.
    pub(super) fn lacks(self, needs: Needs) -> Needs {
        Needs { eight_bit: needs.eight_bit && !self.eight_bit, binary: needs.binary, utf8: needs.utf8 && !self.utf8 }
    }
}

/// The MAIL command.
pub(super) fn mail_line(offers: &Offers, hand_over: &HandOver, octets: u64) -> String {
    let parameters = &hand_over.envelope.mail;
    let sender = hand_over.envelope.sender.as_ref().map_or("", |sender| sender.as_str());
    let mut line = format!("MAIL FROM:<{sender}>");
    if offers.size {
        let _ = write!(line, " SIZE={octets}");
    }
    let eight_bit = hand_over.needs.eight_bit || parameters.body == Some(BodyType::EightBitMime);
    if offers.eight_bit && eight_bit {
        line.push_str(" BODY=8BITMIME");
    }
    if offers.utf8 && (hand_over.needs.utf8 || parameters.smtputf8) {
        line.push_str(" SMTPUTF8");
    }
    if offers.dsn {
        match parameters.ret {
            Some(Ret::Full) => line.push_str(" RET=FULL"),
            Some(Ret::Hdrs) => line.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &parameters.envid {
            let _ = write!(line, " ENVID={envid}");
        }
    }
    if let Some(priority) = parameters.mt_priority.filter(|_| offers.mt_priority) {
        let _ = write!(line, " MT-PRIORITY={}", priority.value());
    }
    if let Some(by) = parameters.by.filter(|_| offers.deliver_by) {
        let mode = match by.mode {
            ByMode::Notify => 'N',
            ByMode::Return => 'R',
        };
        let _ = write!(line, " BY={};{mode}{}", by.seconds, if by.trace { "T" } else { "" });
    }
    line.push_str("\r\n");
    line
}

/// The RCPT command.
pub(super) fn rcpt_line(offers: &Offers, recipient: &Recipient) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.to);
    if offers.dsn {
        if let Some(notify) = recipient.notify {
            let _ = write!(line, " NOTIFY={}", notify_words(notify));
        }
        if let Some(orcpt) = &recipient.orcpt {
            let _ = write!(line, " ORCPT={orcpt}");
        }
    }
    line.push_str("\r\n");
    line
}

fn notify_words(notify: Notify) -> String {
    let words = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let chosen: Vec<&str> = words.into_iter().filter_map(|(on, word)| on.then_some(word)).collect();
    if chosen.is_empty() { "NEVER".to_owned() } else { chosen.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::seam::ConnectionClass;
    use skywave_protocols::message::address::Mailbox;
    use skywave_protocols::message::mail::{Envelope, MailParameters};
    use skywave_protocols::message::precedence::MtPriority;

    fn hand_over() -> HandOver {
        let mail = MailParameters {
            ret: Some(Ret::Hdrs),
            envid: Some("QQ+20x".to_owned()),
            mt_priority: MtPriority::parse("4"),
            ..MailParameters::default()
        };
        let recipient = Recipient {
            notify: Some(Notify { success: true, failure: true, delay: false }),
            orcpt: Some("x400;/G=A".to_owned()),
            ..Recipient::plain(Mailbox::parse("\"a b\"@c.test").unwrap())
        };
        HandOver {
            target: String::new(),
            class: ConnectionClass::Normal,
            keep_open_seconds: None,
            hello: String::new(),
            envelope: Envelope { sender: None, mail, recipients: vec![recipient] },
            content: Vec::new(),
            content_without_mt_priority: None,
            needs: Needs { eight_bit: true, ..Needs::default() },
            needs_deliver_by: false,
        }
    }

    #[test]
    fn only_what_is_offered_is_said() {
        let nothing = Offers::read(["mta.test"].into_iter());
        assert_eq!(mail_line(&nothing, &hand_over(), 7), "MAIL FROM:<>\r\n");
        assert_eq!(rcpt_line(&nothing, &hand_over().envelope.recipients[0]), "RCPT TO:<\"a b\"@c.test>\r\n");
        let lines = ["mta.test DSN", "PIPELINING", "size 10240000", "8BITMIME", "DSN", "MT-PRIORITY MIXER"];
        let all = Offers::read(lines.into_iter());
        assert!(all.pipelining && !all.utf8);
        assert_eq!(
            mail_line(&all, &hand_over(), 7),
            "MAIL FROM:<> SIZE=7 BODY=8BITMIME RET=HDRS ENVID=QQ+20x MT-PRIORITY=4\r\n"
        );
        assert_eq!(
            rcpt_line(&all, &hand_over().envelope.recipients[0]),
            "RCPT TO:<\"a b\"@c.test> NOTIFY=SUCCESS,FAILURE ORCPT=x400;/G=A\r\n"
        );
    }

    #[test]
    fn what_is_lacking_is_named() {
        let needs = Needs { eight_bit: true, binary: true, utf8: true };
        let plain = Offers::default();
        assert_eq!(plain.lacks(needs), needs);
        let modern = Offers { eight_bit: true, utf8: true, ..Offers::default() };
        assert_eq!(modern.lacks(needs), Needs { binary: true, ..Needs::default() });
    }
}
