//! Long work beside the node: units wrapped and opened, texts converted, passwords checked. Pure: shell and world
//! both call [`run`]; the shell on threads of its own, the world in its virtual time.

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use skywave_protocols::bsmtp::{self, BatchLimits, Item};
use skywave_protocols::bytes::{Bytes, BytesMut};
use skywave_protocols::message::mail::Envelope;
use skywave_protocols::mule;
use skywave_protocols::smtp::convert;
use skywave_protocols::smtp::grammar::Extensions;

use crate::node::seam::{Answer, Cover, Job, Needs, Piece, Secret};
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
        Job::WrapBatch { hello, envelope, content } => {
            whole(&content, means).map(|text| wrap_batch(&hello, envelope, &text))
        }
        Job::UnwrapMule { unit, octets_max } => Ok(unwrap_mule(&unit, octets_max)),
        Job::UnwrapBatch { unit, octets_max } => Ok(unwrap_batch(&unit, octets_max)),
        Job::WrapBatchMail { hello, cover, envelope, content } => {
            whole(&content, means).map(|text| wrap_batch_mail(&hello, &cover, envelope, &text))
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
        Ok(payload) => Answer::Mails(vec![(payload.envelope, payload.body)]),
        Err(fault) => impossible("5.6.0", fault),
    }
}

fn wrap_batch(hello: &str, envelope: Envelope, text: &[u8]) -> Answer {
    match bsmtp::write(hello, &[(envelope, text)], &Extensions::BATCH) {
        Ok(unit) => Answer::Unit(unit.into()),
        Err(fault) => impossible("5.6.3", fault),
    }
}

fn wrap_batch_mail(hello: &str, cover: &Cover, envelope: Envelope, text: &[u8]) -> Answer {
    let batch = match bsmtp::write(hello, &[(envelope, text)], &Extensions::BATCH) {
        Ok(batch) => batch,
        Err(fault) => return impossible("5.6.3", fault),
    };
    let cover = bsmtp::media::Cover {
        from: &cover.from,
        to: &cover.to,
        message_id: &cover.message_id,
        at: cover.at,
        required: &[],
    };
    Answer::Unit(bsmtp::media::wrap(&cover, &batch).into())
}

fn unwrap_batch_mail(mail: &[u8], octets_max: usize) -> Answer {
    match bsmtp::media::unwrap(mail) {
        Ok(batch) => unwrap_batch(&batch, octets_max),
        Err(fault) => impossible("5.6.1", fault),
    }
}

fn unwrap_batch(unit: &[u8], octets_max: usize) -> Answer {
    let limits = BatchLimits { mail_octets: octets_max as u64, ..BatchLimits::default() };
    let mut reader = bsmtp::Reader::new("localhost", limits);
    reader.handle_read(unit);
    reader.finish();
    let (mut mails, mut why) = (Vec::new(), String::from("the batch holds no mail"));
    while let Some(item) = reader.poll_item() {
        match item {
            Item::Mail(mail) if !mail.envelope.recipients.is_empty() => mails.push((mail.envelope, mail.body)),
            Item::Mail(_) | Item::End => {}
            Item::Fault(fault) => why = fault.to_string(),
        }
    }
    if mails.is_empty() { impossible("5.6.0", why) } else { Answer::Mails(mails) }
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
        Err(fault) => {
            let (class, subject, detail) = fault.status();
            return Ok(impossible(&format!("{class}.{subject}.{detail}"), fault));
        }
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

    fn answer(job: Job, passwords: &str) -> Answer {
        let mut means = Means { load: &mut |_| Err(StoreFault::NoBody(0)), append: &mut |_, _| Ok(()), passwords };
        run(job, &mut means)
    }

    fn envelope() -> Envelope {
        use skywave_protocols::message::address::Mailbox;
        use skywave_protocols::message::mail::{MailParameters, Recipient};
        let recipients = vec![Recipient::plain(Mailbox::parse("b@field.test").unwrap())];
        Envelope { sender: Mailbox::parse("a@hq.test").ok(), mail: MailParameters::default(), recipients }
    }

    #[test]
    fn what_is_wrapped_is_unwrapped() {
        let text = Bytes::from_static(b"Subject: x\r\n\r\n.dot\r\n");
        let content = vec![Piece::Octets(text.slice(..5)), Piece::Octets(text.slice(5..))];
        let mails = Answer::Mails(vec![(envelope(), text)]);
        let job = Job::WrapMule { envelope: envelope(), content: content.clone() };
        let Answer::Unit(unit) = answer(job, "") else { panic!() };
        assert_eq!(answer(Job::UnwrapMule { unit: unit.clone(), octets_max: 1000 }, ""), mails);
        assert!(matches!(answer(Job::UnwrapMule { unit, octets_max: 10 }, ""), Answer::Impossible { .. }));
        let job = Job::WrapBatch { hello: "hq.test".to_owned(), envelope: envelope(), content };
        let Answer::Unit(unit) = answer(job, "") else { panic!() };
        let Answer::Mails(found) = answer(Job::UnwrapBatch { unit: unit.clone(), octets_max: 1000 }, "") else {
            panic!()
        };
        assert_eq!(found[0].1, "Subject: x\r\n\r\n.dot\r\n");
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
