//! The parameters of MAIL and RCPT, each by its own RFC.

use crate::message::address::Mailbox;
use crate::message::mail::{BodyType, ByMode, DeliverBy, MailParameters, Notify, Recipient, Ret};
use crate::message::precedence::MtPriority;
use crate::smtp::fault::GrammarFault;
use crate::smtp::limits::{ENVID_OCTETS_MAX, ORCPT_OCTETS_MAX};

use super::path::split_path;
use super::{Extensions, xtext};

/// Reads what follows `MAIL FROM:`, which is also a FROM-line of MULE: a path and parameters.
///
/// Faults of parameters come in the list; the parameters concerned are left out. SMTP refuses the command then, MULE
/// and batches note them and go on.
///
/// # Errors
/// [`GrammarFault`] when the path cannot be read.
pub fn mail_arguments(
    text: &str,
    extensions: &Extensions,
) -> Result<(Option<Mailbox>, MailParameters, Vec<GrammarFault>), GrammarFault> {
    let (path, rest) = split_path(text).ok_or(GrammarFault::Syntax("MAIL FROM:<address>"))?;
    let sender = match path {
        "" => None,
        path => Some(Mailbox::parse(path).map_err(GrammarFault::Sender)?),
    };
    let mut parameters = MailParameters::default();
    let mut faults = Vec::new();
    for word in words(rest) {
        if let Err(fault) = mail_parameter(&mut parameters, word, extensions) {
            faults.push(fault);
        }
    }
    let ascii = sender.as_ref().is_none_or(Mailbox::is_ascii);
    if !ascii && !parameters.smtputf8 {
        //= smtp/UTF8-001
        faults.push(GrammarFault::NeedsSmtpUtf8);
    }
    Ok((sender, parameters, faults))
}

/// Reads what follows `RCPT TO:`, which is also an RCPT-line of MULE. Faults as in [`mail_arguments`]; whether an
/// address outside ASCII is allowed is for the caller to say, who knows the mail's parameters.
///
/// # Errors
/// [`GrammarFault`] when the path cannot be read.
pub fn rcpt_arguments(text: &str, extensions: &Extensions) -> Result<(Recipient, Vec<GrammarFault>), GrammarFault> {
    let (path, rest) = split_path(text).ok_or(GrammarFault::Syntax("RCPT TO:<address>"))?;
    let mut recipient = Recipient::plain(Mailbox::parse(path).map_err(GrammarFault::Recipient)?);
    let mut faults = Vec::new();
    for word in words(rest) {
        if let Err(fault) = rcpt_parameter(&mut recipient, word, extensions) {
            faults.push(fault);
        }
    }
    Ok((recipient, faults))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

fn mail_parameter(found: &mut MailParameters, word: &str, extensions: &Extensions) -> Result<(), GrammarFault> {
    let (keyword, value) = keyword_and_value(word)?;
    match keyword.to_ascii_uppercase().as_str() {
        "SIZE" if extensions.size => once(&mut found.size, "SIZE", value.and_then(size)),
        "BODY" if extensions.eight_bit_mime => once(&mut found.body, "BODY", value.and_then(|v| body(v, extensions))),
        "SMTPUTF8" if extensions.smtputf8 => flag(&mut found.smtputf8, "SMTPUTF8", value),
        "RET" if extensions.dsn => once(&mut found.ret, "RET", value.and_then(ret)),
        "ENVID" if extensions.dsn => once(&mut found.envid, "ENVID", value.and_then(envid)),
        //= smtp/PRIO-001
        "MT-PRIORITY" if extensions.mt_priority => {
            once(&mut found.mt_priority, "MT-PRIORITY", value.and_then(MtPriority::parse))
        }
        "BY" if extensions.deliver_by => once(&mut found.by, "BY", value.and_then(deliver_by)),
        "AUTH" if extensions.auth => once(&mut found.auth, "AUTH", value.and_then(auth)),
        _ => unknown(&mut found.other, word, extensions),
    }
}

fn rcpt_parameter(found: &mut Recipient, word: &str, extensions: &Extensions) -> Result<(), GrammarFault> {
    let (keyword, value) = keyword_and_value(word)?;
    match keyword.to_ascii_uppercase().as_str() {
        "NOTIFY" if extensions.dsn => once(&mut found.notify, "NOTIFY", value.and_then(notify)),
        "ORCPT" if extensions.dsn => once(&mut found.orcpt, "ORCPT", value.and_then(orcpt)),
        _ => unknown(&mut found.other, word, extensions),
    }
}

/// `keyword[=value]`, the keyword by its grammar, the value not empty.
fn keyword_and_value(word: &str) -> Result<(&str, Option<&str>), GrammarFault> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let named = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
        && keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !named || value == Some("") {
        return Err(GrammarFault::Syntax("keyword=value"));
    }
    Ok((keyword, value))
}

fn once<T>(place: &mut Option<T>, keyword: &'static str, value: Option<T>) -> Result<(), GrammarFault> {
    //= smtp/PRIO-003
    if place.is_some() {
        return Err(GrammarFault::ParameterTwice(keyword));
    }
    *place = Some(value.ok_or(GrammarFault::ParameterValue(keyword))?);
    Ok(())
}

fn flag(place: &mut bool, keyword: &'static str, value: Option<&str>) -> Result<(), GrammarFault> {
    match (*place, value) {
        (true, _) => Err(GrammarFault::ParameterTwice(keyword)),
        (false, Some(_)) => Err(GrammarFault::ParameterValue(keyword)),
        (false, None) => {
            *place = true;
            Ok(())
        }
    }
}

fn unknown(place: &mut Vec<String>, word: &str, extensions: &Extensions) -> Result<(), GrammarFault> {
    if !extensions.unknown {
        //= smtp/PARAM-001
        let keyword = word.split('=').next().unwrap_or_default();
        return Err(GrammarFault::ParameterUnknown(keyword.chars().take(32).collect()));
    }
    //= mule/MULE-007
    place.push(word.to_owned());
    Ok(())
}

fn size(value: &str) -> Option<u64> {
    (value.len() <= 20 && value.bytes().all(|c| c.is_ascii_digit())).then(|| value.parse().ok())?
}

fn body(value: &str, extensions: &Extensions) -> Option<BodyType> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(BodyType::SevenBit),
        "8BITMIME" => Some(BodyType::EightBitMime),
        "BINARYMIME" if extensions.binary_mime => Some(BodyType::BinaryMime),
        // RFC 8494 writes BINARY where RFC 3030 defines BINARYMIME.
        //= mule/MULE-006
        "BINARY" if extensions.unknown => Some(BodyType::BinaryMime),
        _ => None,
    }
}

fn ret(value: &str) -> Option<Ret> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Ret::Full),
        "HDRS" => Some(Ret::Hdrs),
        _ => None,
    }
}

fn envid(value: &str) -> Option<String> {
    let decoded = xtext::decode(value).filter(|_| value.len() <= ENVID_OCTETS_MAX)?;
    //= smtp/DSN-002
    decoded.iter().all(|octet| (b' '..=b'~').contains(octet)).then(|| value.to_owned())
}

fn deliver_by(value: &str) -> Option<DeliverBy> {
    let (time, mode) = value.split_once(';')?;
    let digits = time.strip_prefix(['+', '-']).unwrap_or(time);
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = time.parse().ok()?;
    let (mode, trace) = match mode.to_ascii_uppercase().as_str() {
        "N" => (ByMode::Notify, false),
        "NT" => (ByMode::Notify, true),
        "R" => (ByMode::Return, false),
        "RT" => (ByMode::Return, true),
        _ => return None,
    };
    //= smtp/BY-001
    (mode == ByMode::Notify || seconds > 0).then_some(DeliverBy { seconds, mode, trace })
}

fn auth(value: &str) -> Option<String> {
    (value == "<>" || xtext::is_xtext(value)).then(|| value.to_owned())
}

fn notify(value: &str) -> Option<Notify> {
    //= smtp/DSN-001
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(',') {
        let place = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut notify.success,
            "FAILURE" => &mut notify.failure,
            "DELAY" => &mut notify.delay,
            _ => return None,
        };
        *place = true;
    }
    Some(notify)
}

/// `type;address`, kept as written. `=` is let through, as X.400 addresses are often sent unencoded; so are characters
/// outside ASCII (RFC 6533).
fn orcpt(value: &str) -> Option<String> {
    //= smtp/DSN-003
    let (kind, address) = value.split_once(';')?;
    let kind_fits = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+/".contains(c));
    let encoded: String = address.chars().filter(|&c| c.is_ascii() && c != '=').collect();
    let fits = value.len() <= ORCPT_OCTETS_MAX && !address.is_empty() && xtext::is_xtext(&encoded);
    (kind_fits && fits).then(|| value.to_owned())
}
