//! Long work beside the node: units wrapped and opened, texts converted, passwords checked. Pure: shell and world
//! both call [`run`]; the shell on threads of its own, the world in its virtual time.

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use skywave_protocols::bytes::{Bytes, BytesMut};

use crate::node::seam::{Answer, Job, Piece, Secret};
use crate::store::{BodyId, StoreFault};

/// What a computation may ask for.
pub struct Means<'a> {
    /// The octets of a piece.
    pub load: &'a mut dyn FnMut(&Piece) -> Result<Bytes, StoreFault>,
    /// Appends to a new body.
    pub append: &'a mut dyn FnMut(BodyId, Bytes) -> Result<(), StoreFault>,
    /// The lines of the file of password hashes: `user:$argon2id$…`.
    pub passwords: &'a str,
}

/// Does a job.
pub fn run(job: Job, means: &mut Means<'_>) -> Answer {
    let result = match job {
        Job::WrapMule { .. } | Job::WrapBatch { .. } | Job::UnwrapMule { .. } | Job::UnwrapBatch { .. } => {
            Ok(impossible("5.3.3", "this version has no such carriage"))
        }
        Job::Convert { .. } => Ok(impossible("5.6.3", "conversion is not possible")),
        Job::Authenticate { user, password } => {
            Ok(Answer::Authenticated(is_password(means.passwords, &user, &password)))
        }
    };
    result.unwrap_or_else(Answer::Failed)
}

fn impossible(status: &str, why: &str) -> Answer {
    Answer::Impossible { status: status.to_owned(), why: why.to_owned() }
}

/// All pieces as one run of octets.
#[expect(dead_code, reason = "the carriages take the text as a whole")]
fn whole(content: &[Piece], means: &mut Means<'_>) -> Result<Bytes, StoreFault> {
    if let [Piece::Octets(octets)] = content {
        return Ok(octets.clone());
    }
    let octets = content.iter().map(Piece::octets).sum::<u64>();
    let mut text = BytesMut::with_capacity(usize::try_from(octets).unwrap_or_default());
    for piece in content {
        text.extend_from_slice(&(means.load)(piece)?);
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
