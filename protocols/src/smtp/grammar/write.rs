//! Writes command lines and lines of a MULE envelope back, with what the other side can take.

use std::fmt::Write as _;

use crate::message::address::Mailbox;
use crate::message::mail::{BodyType, ByMode, DeliverBy, Envelope, MailParameters, Notify, Recipient, Ret};

use super::Extensions;

/// `MAIL FROM:<…> …` without CRLF. Parameters of extensions the other side lacks are left out; whether they may be
/// (a body it cannot take, an address outside ASCII) is decided before.
pub fn mail_line(envelope: &Envelope, extensions: &Extensions) -> String {
    format!("MAIL FROM:{}", mail_argument_line(envelope.sender.as_ref(), &envelope.mail, extensions))
}

/// `RCPT TO:<…> …` without CRLF.
pub fn rcpt_line(recipient: &Recipient, extensions: &Extensions) -> String {
    format!("RCPT TO:{}", rcpt_argument_line(recipient, extensions))
}

/// `<…> …`: a FROM-line of MULE, without CRLF.
pub fn mail_argument_line(sender: Option<&Mailbox>, mail: &MailParameters, extensions: &Extensions) -> String {
    let mut line = format!("<{}>", sender.map_or("", Mailbox::as_str));
    //= smtp/PRIO-002
    put(&mut line, "MT-PRIORITY", mail.mt_priority.filter(|_| extensions.mt_priority));
    put(&mut line, "BODY", mail.body.and_then(|body| body_word(body, extensions)));
    if mail.smtputf8 && extensions.smtputf8 {
        line.push_str(" SMTPUTF8");
    }
    put(&mut line, "RET", mail.ret.filter(|_| extensions.dsn).map(ret_word));
    put(&mut line, "ENVID", mail.envid.as_ref().filter(|_| extensions.dsn));
    put(&mut line, "BY", mail.by.filter(|_| extensions.deliver_by).map(by_word));
    put(&mut line, "AUTH", mail.auth.as_ref().filter(|_| extensions.auth));
    put(&mut line, "SIZE", mail.size.filter(|_| extensions.size));
    put_other(&mut line, &mail.other, extensions);
    line
}

/// `<…> …`: an RCPT-line of MULE, without CRLF.
pub fn rcpt_argument_line(recipient: &Recipient, extensions: &Extensions) -> String {
    let mut line = format!("<{}>", recipient.to);
    put(&mut line, "NOTIFY", recipient.notify.filter(|_| extensions.dsn).map(notify_words));
    put(&mut line, "ORCPT", recipient.orcpt.as_ref().filter(|_| extensions.dsn));
    put_other(&mut line, &recipient.other, extensions);
    line
}

fn put(line: &mut String, keyword: &str, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        let _ = write!(line, " {keyword}={value}");
    }
}

fn put_other(line: &mut String, other: &[String], extensions: &Extensions) {
    for word in other.iter().filter(|_| extensions.unknown) {
        line.push(' ');
        line.push_str(word);
    }
}

const fn body_word(body: BodyType, extensions: &Extensions) -> Option<&'static str> {
    match body {
        BodyType::SevenBit if extensions.eight_bit_mime => Some("7BIT"),
        BodyType::EightBitMime if extensions.eight_bit_mime => Some("8BITMIME"),
        BodyType::BinaryMime if extensions.binary_mime => Some("BINARYMIME"),
        BodyType::SevenBit | BodyType::EightBitMime | BodyType::BinaryMime => None,
    }
}

const fn ret_word(ret: Ret) -> &'static str {
    match ret {
        Ret::Full => "FULL",
        Ret::Hdrs => "HDRS",
    }
}

fn by_word(by: DeliverBy) -> String {
    let mode = match by.mode {
        ByMode::Notify => 'N',
        ByMode::Return => 'R',
    };
    format!("{};{mode}{}", by.seconds, if by.trace { "T" } else { "" })
}

fn notify_words(notify: Notify) -> String {
    if notify == Notify::NEVER {
        return "NEVER".to_owned();
    }
    let words = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    words.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
}
