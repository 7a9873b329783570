//! `skywave send`: submits a message from standard input to the configured listener, as sendmail does. Exit code 75
//! when it cannot be queued now.

use std::io::Read;
use std::path::PathBuf;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::message::mail::{Envelope, MailParameters, Recipient};
use skywave_protocols::smtp::convert::Needs as TextNeeds;

use super::args::{AtSite, CONFIGURATION, Queue, QueueVerb};
use super::exit::{self, Fault};
use super::sendmail::{Flags, Missing, Mode, Prepared, flags, prepare};
use super::{ask, files, out, runtime};
use crate::node::seam::{ConnectionClass, HandOver, HandOverOutcome, Needs, Secret};
use crate::shell::clock::Clock;
use crate::shell::compute::password_line;
use crate::shell::dialogue::Connection;
use crate::shell::hand_over::HandOverTls;
use crate::shell::random::OsRandom;
use crate::shell::resolve::Names;

/// Does what sendmail would.
pub(super) fn send(words: &[String]) -> Result<(), Fault> {
    let flags = flags(words).map_err(|why| Fault::new(exit::USAGE, why))?;
    match flags.mode {
        Mode::Submit => submit(&flags),
        Mode::Smtp => speak_smtp(&flags),
        Mode::Queue => ask::queue(&Queue {
            site: AtSite { config: config(&flags), run_directory: None, json: false },
            verb: QueueVerb::List { limit: 10_000, link: None, mailq: true },
        }),
    }
}

fn config(flags: &Flags) -> PathBuf {
    flags.config.as_deref().map_or_else(|| PathBuf::from(CONFIGURATION), PathBuf::from)
}

/// Host and port of the listener, and the site's name.
fn server(flags: &Flags) -> Result<(String, String), Fault> {
    if let Some(server) = &flags.server {
        return Ok((server.clone(), host_name()));
    }
    let loaded = files::load_or_tell(&config(flags))?;
    let listen = loaded.site.mail.listen.first().copied();
    let listen = listen.ok_or_else(|| Fault::new(exit::CONFIGURATION, "mail.listen names no port"))?;
    Ok((listen.to_string(), loaded.site.mail.hostname))
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

fn submit(flags: &Flags) -> Result<(), Fault> {
    let (server, hello) = server(flags)?;
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).map_err(|error| Fault::new(exit::NO_INPUT, error.to_string()))?;
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".to_owned());
    let sender = flags.sender.clone().unwrap_or_else(|| format!("{user}@{hello}"));
    let prepared = prepared(&input, flags, &sender, &hello);
    let hand_over = hand_over(flags, &sender, &prepared, &server, &hello)?;
    let outcome = runtime()?.block_on(async {
        let names = Names::new(std::collections::BTreeMap::new());
        let opened = Connection::open(&names, HandOverTls::Offered, &server, &hello).await;
        let mut connection = opened.map_err(|why| Fault::new(exit::TRY_LATER, why))?;
        if connection.lacks(hand_over.needs).is_some() {
            return Err(Fault::new(exit::DATA, "the server does not take such content"));
        }
        let text = vec![Bytes::from(prepared.text)];
        let outcome = connection.mail(&hand_over, text).await.unwrap_or_else(|failure| failure.outcome());
        connection.quit().await;
        Ok(outcome)
    })?;
    judge(&hand_over, outcome)
}

fn prepared(input: &[u8], flags: &Flags, sender: &str, hello: &str) -> Prepared {
    use skywave_protocols::random::Random;
    let now = Clock::start().now();
    let address = sender.trim_matches(['<', '>']);
    let from = match &flags.full_name {
        Some(name) => format!("\"{}\" <{address}>", name.replace(['"', '\\', '\r', '\n'], " ")),
        None => address.to_owned(),
    };
    let at = time::OffsetDateTime::from_unix_timestamp(i64::try_from(now.wall.unix_seconds()).unwrap_or_default());
    let date = at.ok().and_then(|at| at.format(&time::format_description::well_known::Rfc2822).ok());
    let message_id = format!("<{:x}.{:x}@{hello}>", now.wall.unix_micros(), OsRandom.number());
    prepare(
        input,
        flags.ignore_dots,
        &Missing { from: &from, date: &date.unwrap_or_default(), message_id: &message_id },
    )
}

fn hand_over(flags: &Flags, sender: &str, prepared: &Prepared, server: &str, hello: &str) -> Result<HandOver, Fault> {
    let wrong = |text: &str, why: &dyn std::fmt::Display| Fault::new(exit::DATA, format!("{text}: {why}"));
    let mut wanted = flags.recipients.clone();
    if flags.recipients_from_header {
        wanted.extend(prepared.recipients.clone());
    }
    let mut recipients = Vec::new();
    for text in wanted {
        let text = text.trim_matches(['<', '>']);
        let full = if text.contains('@') { text.to_owned() } else { format!("{text}@{hello}") };
        let to = Mailbox::parse(&full).map_err(|error| wrong(text, &error))?;
        recipients.push(Recipient { notify: flags.notify, ..Recipient::plain(to) });
    }
    if recipients.is_empty() {
        return Err(Fault::new(exit::USAGE, "no recipient"));
    }
    let sender = match sender.trim_matches(['<', '>']) {
        "" => None,
        address => Some(Mailbox::parse(address).map_err(|error| wrong(address, &error))?),
    };
    let needs = TextNeeds::of(&prepared.text);
    let utf8 = !recipients.iter().map(|recipient| &recipient.to).chain(sender.iter()).all(Mailbox::is_ascii);
    let mail = MailParameters {
        ret: flags.ret,
        envid: flags.envid.clone(),
        mt_priority: flags.precedence.map(skywave_protocols::message::precedence::Precedence::mt_priority),
        smtputf8: utf8,
        ..MailParameters::default()
    };
    Ok(HandOver {
        target: server.to_owned(),
        class: ConnectionClass::Normal,
        keep_open_seconds: Some(0),
        hello: hello.to_owned(),
        envelope: Envelope { sender, mail, recipients },
        content: Vec::new(),
        content_without_mt_priority: None,
        needs: Needs { eight_bit: needs.eight_bit, binary: needs.binary, utf8 },
        needs_deliver_by: false,
    })
}

fn judge(hand_over: &HandOver, outcome: HandOverOutcome) -> Result<(), Fault> {
    match outcome {
        HandOverOutcome::Replies { replies, .. } => {
            let mut worst = 0;
            for (recipient, reply) in hand_over.envelope.recipients.iter().zip(&replies) {
                if reply.code >= 300 {
                    eprintln!("skywave: <{}>: {} {}", recipient.to, reply.code, reply.text);
                    worst = worst.max(if reply.code < 500 { exit::TRY_LATER } else { exit::UNAVAILABLE });
                }
            }
            if worst == 0 { Ok(()) } else { Err(Fault::told(worst)) }
        }
        HandOverOutcome::Broken { why, .. } => Err(Fault::new(exit::TRY_LATER, why)),
        HandOverOutcome::Lacks(_) | HandOverOutcome::LacksDeliverBy => {
            Err(Fault::new(exit::DATA, "the server does not take such content"))
        }
    }
}

/// SMTP on standard input and output: octets go to the listener and back.
fn speak_smtp(flags: &Flags) -> Result<(), Fault> {
    let (server, _) = server(flags)?;
    let later = |error: std::io::Error| Fault::new(exit::TRY_LATER, format!("{server}: {error}"));
    let mut reader = std::net::TcpStream::connect(&server).map_err(later)?;
    let mut writer = reader.try_clone().map_err(later)?;
    // The thread ends with the process: the server closes when it has answered QUIT or the end of input.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut writer);
        let _ = writer.shutdown(std::net::Shutdown::Write);
    });
    std::io::copy(&mut reader, &mut std::io::stdout().lock()).map(drop).map_err(later)
}

/// A line for the password file.
pub(super) fn password(user: &str) -> Result<(), Fault> {
    use skywave_protocols::random::Random;
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).map_err(|error| Fault::new(exit::NO_INPUT, error.to_string()))?;
    let mut salt = [0; 16];
    OsRandom.fill(&mut salt);
    let secret = Secret(text.trim_end_matches(['\r', '\n']).to_owned());
    let line = password_line(user, &secret, &salt).map_err(|why| Fault::new(exit::DATA, why))?;
    out::line(&line)
}
