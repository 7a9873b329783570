//! Long work beside the node: units wrapped and opened, texts converted, passwords checked. Pure: shell and world
//! both call [`run`]; the shell on threads of its own, the world in its virtual time.

use std::borrow::Cow;

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use skywave_protocols::bsmtp::{self, BatchLimits, Item};
use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_protocols::message::mail::{ByMode, Envelope, Recipient};
use skywave_protocols::mule;
use skywave_protocols::smtp::fault::GrammarFault;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::smtp::limits::RECIPIENTS_MAX;
use skywave_protocols::smtp::{convert, headers};

use crate::node::seam::{Answer, Cover, Found, Job, Needs, Opened, Piece, Secret};
use crate::store::{BodyId, StoreFault};

/// What a computation may ask for.
pub struct Means<'a> {
    /// The octets of a piece of a body.
    pub load: &'a mut dyn FnMut(&Piece) -> Result<Bytes, StoreFault>,
    /// Appends to a new body.
    pub append: &'a mut dyn FnMut(BodyId, Bytes) -> Result<(), StoreFault>,
    /// The lines of the file of password hashes: `user:$argon2id$…`.
    pub passwords: &'a str,
}

/// Does a job.
pub fn run(job: Job, means: &mut Means<'_>) -> Answer {
    let result = match job {
        Job::WrapMule { envelope, content } => whole(&content, means).map(|text| wrap_mule(&envelope, &text)),
        Job::WrapBatch { hello, extensions, envelope, content } => {
            whole(&content, means).map(|text| wrap_batch(&hello, &extensions, envelope, &text))
        }
        Job::UnwrapMule { unit, octets_max } => Ok(unwrap_mule(&unit, octets_max)),
        Job::UnwrapBatch { unit, octets_max } => Ok(unwrap_batch(&unit, octets_max)),
        Job::WrapBatchMail { hello, cover, extensions, envelope, content } => {
            whole(&content, means).map(|text| wrap_batch_mail(&hello, &cover, &extensions, envelope, &text))
        }
        Job::UnwrapBatchMail { content, octets_max } => {
            whole(&content, means).map(|mail| unwrap_batch_mail(&mail, octets_max))
        }
        Job::Convert { envelope, content, lacks, into } => {
            whole(&content, means).and_then(|text| convert(envelope, &text, lacks, into, means))
        }
        Job::Authenticate { user, password } => {
            Ok(Answer::Authenticated(is_password(means.passwords, &user, &password)))
        }
    };
    result.unwrap_or_else(Answer::Failed)
}

fn impossible(status: &str, why: impl ToString) -> Answer {
    Answer::Impossible { status: status.to_owned(), why: why.to_string() }
}

fn wrap_mule(envelope: &Envelope, text: &[u8]) -> Answer {
    match mule::wrap(envelope, text) {
        Ok(unit) => Answer::Unit(unit.into()),
        Err(fault) => impossible("5.3.0", fault),
    }
}

fn unwrap_mule(unit: &[u8], octets_max: usize) -> Answer {
    match mule::unwrap(unit, octets_max) {
        Ok(payload) => {
            let mule::Payload { envelope, body, refused, notes } = payload;
            Answer::Mails(Opened { mails: vec![found(envelope, body, refused, &notes)], faults: Vec::new() })
        }
        Err(fault) => impossible("5.6.0", fault),
    }
}

fn found(envelope: Envelope, text: Bytes, refused: Vec<(String, GrammarFault)>, notes: &[GrammarFault]) -> Found {
    let refused = refused.into_iter().map(|(line, fault)| (line, fault.to_string())).collect();
    Found { envelope, text, refused, notes: notes.iter().map(ToString::to_string).collect() }
}

fn wrap_batch(hello: &str, extensions: &Extensions, envelope: Envelope, text: &[u8]) -> Answer {
    match batch_of(hello, extensions, envelope, text) {
        Ok((unit, _)) => Answer::Unit(unit.into()),
        Err((status, why)) => impossible(&status, why),
    }
}

fn wrap_batch_mail(hello: &str, cover: &Cover, extensions: &Extensions, envelope: Envelope, text: &[u8]) -> Answer {
    let (batch, required) = match batch_of(hello, extensions, envelope, text) {
        Ok(made) => made,
        Err((status, why)) => return impossible(&status, why),
    };
    let cover = bsmtp::media::Cover {
        from: &cover.from,
        to: &cover.to,
        message_id: &cover.message_id,
        at: cover.at,
        required: &required,
    };
    Answer::Unit(bsmtp::media::wrap(&cover, &batch).into())
}

/// The enhanced status code of a report, and the reason.
type Reason = (String, String);

/// A batch and what it uses beyond [`Extensions::BATCH`]; or the status and the reason of a report. What its reader does
/// not know is put as it can take it, or the mail goes back: nobody answers a batch.
fn batch_of(
    hello: &str,
    extensions: &Extensions,
    mut envelope: Envelope,
    text: &[u8],
) -> Result<(Vec<u8>, Vec<&'static str>), Reason> {
    //= smtp/BY-003
    if !extensions.deliver_by && envelope.mail.by.is_some_and(|by| by.mode == ByMode::Return) {
        return Err(("5.3.3".to_owned(), "to be returned if late, and a batch cannot say so (DELIVERBY)".to_owned()));
    }
    //= bsmtp/BSMTP-011
    let converted =
        convert::convert(text, &envelope, extensions).map_err(|fault| (status(&fault), fault.to_string()))?;
    envelope.mail.body = converted.body;
    envelope.mail.smtputf8 = converted.smtputf8;
    let text = match envelope.mail.mt_priority {
        Some(_) if !extensions.mt_priority => {
            //= smtp/MTP-010
            Cow::Owned(headers::with_mt_priority(&converted.octets, envelope.mail.mt_priority))
        }
        Some(_) | None => converted.octets,
    };
    envelope.mail.size = envelope.mail.size.map(|_| text.len() as u64);
    let mut required = Vec::new();
    required.extend((extensions.mt_priority && envelope.mail.mt_priority.is_some()).then_some("MT-PRIORITY"));
    required.extend((extensions.deliver_by && envelope.mail.by.is_some()).then_some("DELIVERBY"));
    required.extend(envelope.mail.smtputf8.then_some("SMTPUTF8"));
    // One mail for as many recipients as a reader takes.
    let recipients = std::mem::take(&mut envelope.recipients);
    let part = |recipients: &[Recipient]| Envelope { recipients: recipients.to_vec(), ..envelope.clone() };
    let mails: Vec<(Envelope, &[u8])> = recipients.chunks(RECIPIENTS_MAX).map(|some| (part(some), &*text)).collect();
    let batch = bsmtp::write(hello, &mails, extensions).map_err(|fault| ("5.6.3".to_owned(), fault.to_string()))?;
    // What our own reader would not take is not sent: nobody would hear that another did not.
    let limits = BatchLimits { mail_octets: u64::MAX, ..BatchLimits::default() };
    let (opened, refused) = (read_batch(&batch, limits), |mail: &Found| !mail.refused.is_empty());
    let named: usize = opened.mails.iter().map(|mail| mail.envelope.recipients.len()).sum();
    match opened.faults.first() {
        Some(fault) => Err(("5.6.3".to_owned(), format!("no reader of batches would take it: {fault}"))),
        None if named != recipients.len() || opened.mails.iter().any(refused) => {
            Err(("5.6.3".to_owned(), "no reader of batches would take all of its recipients".to_owned()))
        }
        None => Ok((batch, required)),
    }
}

fn unwrap_batch_mail(mail: &[u8], octets_max: usize) -> Answer {
    match bsmtp::media::unwrap(mail) {
        Ok(batch) => unwrap_batch(&batch, octets_max),
        Err(fault) => impossible("5.6.1", fault),
    }
}

fn unwrap_batch(unit: &[u8], octets_max: usize) -> Answer {
    let limits = BatchLimits { mail_octets: octets_max as u64, ..BatchLimits::default() };
    let opened = read_batch(unit, limits);
    if opened.mails.is_empty() {
        let why = opened.faults.last().cloned();
        return impossible("5.6.0", why.unwrap_or_else(|| "the batch holds no mail".to_owned()));
    }
    Answer::Mails(opened)
}

fn read_batch(batch: &[u8], limits: BatchLimits) -> Opened {
    let mut reader = bsmtp::Reader::new("localhost", limits);
    reader.handle_read(batch);
    reader.finish();
    let mut opened = Opened::default();
    while let Some(item) = reader.poll_item() {
        match item {
            //= bsmtp/BSMTP-006
            Item::Mail(mail) if mail.envelope.recipients.is_empty() && mail.refused.is_empty() => {
                opened.faults.push(format!("mail {} is for nobody", mail.number));
            }
            Item::Mail(mail) => {
                let bsmtp::Mail { envelope, body, refused, notes, .. } = *mail;
                opened.mails.push(found(envelope, body, refused, &notes));
            }
            Item::End => {}
            Item::Fault(fault) => opened.faults.push(fault.to_string()),
        }
    }
    opened
}

fn status(fault: &convert::ConvertFault) -> String {
    let (class, subject, detail) = fault.status();
    format!("{class}.{subject}.{detail}")
}

fn convert(
    mut envelope: Envelope,
    text: &[u8],
    lacks: Needs,
    into: BodyId,
    means: &mut Means<'_>,
) -> Result<Answer, StoreFault> {
    let target = Extensions {
        eight_bit_mime: !lacks.eight_bit,
        smtputf8: !lacks.utf8,
        // The hand-over never sends BDAT, whatever a server offers.
        binary_mime: false,
        chunking: false,
        ..Extensions::SERVER
    };
    let converted = match convert::convert(text, &envelope, &target) {
        Ok(converted) => converted,
        Err(fault) => return Ok(impossible(&status(&fault), fault)),
    };
    envelope.mail.body = converted.body;
    envelope.mail.smtputf8 = converted.smtputf8;
    envelope.mail.size = Some(converted.octets.len() as u64);
    (means.append)(into, Bytes::copy_from_slice(&converted.octets))?;
    Ok(Answer::Converted { envelope, octets: converted.octets.len() as u64 })
}

/// All pieces as one run of octets.
fn whole(content: &[Piece], means: &mut Means<'_>) -> Result<Bytes, StoreFault> {
    if let [Piece::Octets(octets)] = content {
        return Ok(octets.clone());
    }
    let octets = content.iter().map(Piece::octets).sum::<u64>();
    let mut text = BytesMut::with_capacity(usize::try_from(octets).unwrap_or_default());
    for piece in content {
        match piece {
            Piece::Octets(octets) => text.extend_from_slice(octets),
            Piece::Body { .. } => text.extend_from_slice(&(means.load)(piece)?),
        }
    }
    Ok(text.freeze())
}

/// Whether a password fits the first line of its user. An unknown user costs as much time as a known one.
fn is_password(lines: &str, user: &str, password: &Secret) -> bool {
    // A hash that no password has.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c2t5d2F2ZS1ub2JvZHk$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let found = lines.lines().find_map(|line| line.trim().split_once(':').filter(|(name, _)| *name == user));
    let known = found.is_some();
    let hash = found.map_or(NOBODY, |(_, hash)| hash.trim());
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok() && known
}

/// A line for the file of password hashes.
///
/// # Errors
/// In words, when the user's name cannot stand in the file or no hash can be made.
pub fn password_line(user: &str, password: &Secret, salt: &[u8; 16]) -> Result<String, String> {
    use argon2::PasswordHasher;
    use argon2::password_hash::SaltString;
    if user.is_empty() || user.contains([':', '\r', '\n']) {
        return Err("a user's name cannot be empty or contain a colon".to_owned());
    }
    let salt = SaltString::encode_b64(salt).map_err(|error| error.to_string())?;
    let hash = Argon2::default().hash_password(password.0.as_bytes(), &salt).map_err(|error| error.to_string())?;
    Ok(format!("{user}:{hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skywave_protocols::message::address::Mailbox;
    use skywave_protocols::message::mail::MailParameters;
    use skywave_protocols::smtp::grammar::{mail_argument_line, mail_arguments};

    fn answer(job: Job, passwords: &str) -> Answer {
        let mut means = Means { load: &mut |_| Err(StoreFault::NoBody(0)), append: &mut |_, _| Ok(()), passwords };
        run(job, &mut means)
    }

    fn envelope() -> Envelope {
        let recipients = vec![Recipient::plain(Mailbox::parse("b@field.test").unwrap())];
        Envelope { sender: Mailbox::parse("a@hq.test").ok(), mail: MailParameters::default(), recipients }
    }

    fn wrap(extensions: Extensions, envelope: Envelope, content: Vec<Piece>) -> Job {
        Job::WrapBatch { hello: "hq.test".to_owned(), extensions, envelope, content }
    }

    /// What becomes of a mail in a batch, read by whoever gets it: its parameters and text, or the report.
    fn batched(extensions: Extensions, sender: &str, parameters: &str, to: usize, text: &[u8]) -> String {
        let (_, mail, _) = mail_arguments(&format!("<{sender}> {parameters}"), &Extensions::MULE).unwrap();
        let mailbox = |text: &str| Mailbox::parse(text).unwrap();
        let recipients = (0..to).map(|n| Recipient::plain(mailbox(&format!("b{n}@field.test")))).collect();
        let envelope = Envelope { sender: Some(mailbox(sender)), mail, recipients };
        let content = vec![Piece::Octets(Bytes::copy_from_slice(text))];
        let unit = match answer(wrap(extensions, envelope, content), "") {
            Answer::Unit(unit) => unit,
            Answer::Impossible { status, why } => return format!("{status} {why}"),
            other => panic!("{other:?}"),
        };
        let Answer::Mails(opened) = answer(Job::UnwrapBatch { unit, octets_max: 1 << 20 }, "") else { panic!() };
        assert_eq!(opened.faults, [""; 0]);
        let recipients: usize = opened.mails.iter().map(|mail| mail.envelope.recipients.len()).sum();
        assert_eq!(recipients, to, "{:?}", opened.mails[0].refused);
        let mail = &opened.mails[0];
        let line = mail_argument_line(mail.envelope.sender.as_ref(), &mail.envelope.mail, &Extensions::MULE);
        format!("{} x {line} {:?}", opened.mails.len(), String::from_utf8_lossy(&mail.text))
    }

    #[test]
    fn what_a_batch_cannot_say_is_converted_or_reported() {
        const MIME: &str = "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\
                            Content-Transfer-Encoding: binary\r\n\r\n";
        let long = [MIME.as_bytes(), &b"x".repeat(3000), b"\r\n"].concat();
        let signed = [b"DKIM-Signature: v=1\r\n", &long[..]].concat();
        let agreed = Extensions { mt_priority: true, deliver_by: true, smtputf8: true, ..Extensions::BATCH };
        let (plain, none) = (b"Subject: x\r\n\r\n".as_slice(), Extensions::BATCH);
        for (extensions, sender, parameters, to, text, expected) in [
            (none, "a@b", "BODY=BINARYMIME", 1, &long[..], "1 x <a@b> \"MIME-Version: 1.0"),
            (none, "a@b", "BODY=BINARYMIME", 1, &signed, "5.6.3 "),
            (none, "a@b", "MT-PRIORITY=4", 1, plain, "1 x <a@b> \"MT-Priority: 4\\r\\nSubject: x"),
            (none, "a@b", "MT-PRIORITY=4", 1, b"mt-priority: 6\r\n\r\n", "1 x <a@b> \"MT-Priority: 4\\r\\n\\r\\n\""),
            (none, "a@b", "", 1, b"MT-Priority: 6\r\n\r\n", "1 x <a@b> \"MT-Priority: 6\\r\\n"),
            (none, "gr\u{fc}n@b", "SMTPUTF8", 1, plain, "5.6.7 "),
            (none, "a@b", "BY=600;R", 1, plain, "5.3.3 "),
            (none, "a@b", "BY=600;N", 1, plain, "1 x <a@b> \"Subject"),
            (none, "a@b", "SIZE=16", 2001, plain, "3 x <a@b> SIZE=14 \"Subject"),
            (agreed, "a@b", "MT-PRIORITY=4", 1, plain, "1 x <a@b> MT-PRIORITY=4 \"Subject"),
            (agreed, "gr\u{fc}n@b", "SMTPUTF8", 1, plain, "1 x <gr\u{fc}n@b> SMTPUTF8 \"Subject"),
            (agreed, "a@b", "BY=600;R", 1, plain, "1 x <a@b> BY=600;R \"Subject"),
        ] {
            let found = batched(extensions, sender, parameters, to, text);
            assert!(found.starts_with(expected), "{sender} {parameters}: {found:.200}\nexpected {expected}");
        }
    }

    /// What a batch uses by agreement is named in the mail around it.
    #[test]
    fn the_mail_around_a_batch_names_what_it_uses() {
        let mail = |extensions, parameters: &str| {
            let (_, mail, _) = mail_arguments(&format!("<a@b> {parameters}"), &Extensions::MULE).unwrap();
            let (from, at) = (Mailbox::parse("p@hq.test").unwrap(), skywave_protocols::time::WallTime::default());
            let cover = Cover { to: from.clone(), from, message_id: "1@hq".to_owned(), at };
            let content = vec![Piece::Octets(Bytes::from_static(b"\r\n"))];
            let (hello, envelope) = ("h".to_owned(), Envelope { mail, ..envelope() });
            let Answer::Unit(text) = answer(Job::WrapBatchMail { hello, cover, extensions, envelope, content }, "")
            else {
                panic!()
            };
            String::from_utf8(text.to_vec()).unwrap()
        };
        let agreed = Extensions { mt_priority: true, deliver_by: true, smtputf8: true, ..Extensions::BATCH };
        assert!(!mail(agreed, "").contains("required-extensions"));
        assert!(mail(agreed, "MT-PRIORITY=2 BY=9;N").contains("NOTARY,MT-PRIORITY,DELIVERBY\""));
        assert!(!mail(Extensions::BATCH, "MT-PRIORITY=2").contains("required-extensions"));
    }

    /// What cannot be read of a unit is said beside what can.
    #[test]
    fn what_a_unit_loses_is_told() {
        const M: &str = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
        for (batch, mails, refused, faults) in [
            (format!("{M}RCPT TO:<x y>\r\nDATA\r\n.\r\nQUIT\r\n"), 1, 1, 0),
            (format!("{M}DATA\r\n.\r\n{M}DATA\r\nx"), 1, 0, 1),
            (format!("{M}DATA\r\n.\r\nQUIT\r\nrest"), 1, 0, 1),
            ("MAIL FROM:<a@b>\r\nRCPT TO:<>\r\nDATA\r\n.\r\n".to_owned(), 1, 1, 0),
            (format!("{M}DATA\r\n.\r\nMAIL FROM:<a@b>\r\nDATA\r\n.\r\n"), 1, 0, 1),
            (format!("{M}DATA\r\n.\r\n{M}DATA\r\n{}.\r\n", "x\r\n".repeat(400)), 1, 0, 1),
        ] {
            let unit = Bytes::from(batch.clone());
            let Answer::Mails(opened) = answer(Job::UnwrapBatch { unit, octets_max: 1000 }, "") else { panic!() };
            let found = opened.mails.iter().map(|mail| mail.refused.len()).sum::<usize>();
            assert_eq!((opened.mails.len(), found, opened.faults.len()), (mails, refused, faults), "{batch:?}");
        }
    }

    #[test]
    fn what_is_wrapped_is_unwrapped() {
        let text = Bytes::from_static(b"Subject: x\r\n\r\n.dot\r\n");
        let content = vec![Piece::Octets(text.slice(..5)), Piece::Octets(text.slice(5..))];
        let mail = Found { envelope: envelope(), text, refused: Vec::new(), notes: Vec::new() };
        let mails = Answer::Mails(Opened { mails: vec![mail], faults: Vec::new() });
        let job = Job::WrapMule { envelope: envelope(), content: content.clone() };
        let Answer::Unit(unit) = answer(job, "") else { panic!() };
        assert_eq!(answer(Job::UnwrapMule { unit: unit.clone(), octets_max: 1000 }, ""), mails);
        assert!(matches!(answer(Job::UnwrapMule { unit, octets_max: 10 }, ""), Answer::Impossible { .. }));
        let job = wrap(Extensions::BATCH, envelope(), content);
        let Answer::Unit(unit) = answer(job, "") else { panic!() };
        let Answer::Mails(found) = answer(Job::UnwrapBatch { unit: unit.clone(), octets_max: 1000 }, "") else {
            panic!()
        };
        assert_eq!(found.mails[0].text, "Subject: x\r\n\r\n.dot\r\n");
        assert!(matches!(answer(Job::UnwrapBatch { unit, octets_max: 10 }, ""), Answer::Impossible { .. }));
        let missing = Piece::Body { body: BodyId(1), from: 0, to: 9 };
        let job = Job::WrapMule { envelope: envelope(), content: vec![missing] };
        assert_eq!(answer(job, ""), Answer::Failed(StoreFault::NoBody(0)));
    }

    #[test]
    fn passwords_are_checked() {
        let line = password_line("anna", &Secret("horse".to_owned()), &[7; 16]).unwrap();
        let file = format!("# users\nbroken\nother:$no$hash\n{line}\n");
        for (user, password, expected) in
            [("anna", "horse", true), ("anna", "Horse", false), ("bert", "horse", false), ("other", "", false)]
        {
            let job = Job::Authenticate { user: user.to_owned(), password: Secret(password.to_owned()) };
            assert_eq!(answer(job, &file), Answer::Authenticated(expected), "{user} {password}");
        }
        assert!(password_line("a:b", &Secret(String::new()), &[0; 16]).is_err());
    }
}
