//! What comes from mail servers, or is a mail inside something else.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use skywave_protocols::bsmtp::{self, BatchLimits, Item, Reader, media};
use skywave_protocols::compress::cdt;
use skywave_protocols::message::address::Mailbox;
use skywave_protocols::mule;
use skywave_protocols::smtp::grammar::Extensions;
use skywave_protocols::smtp::reply::Reply;
use skywave_protocols::smtp::server::{Event, Secured, Server, ServerConfig};
use skywave_protocols::time::Duration;

use super::{BEGIN, drain, later};

const INFLATED_OCTETS_MAX: usize = 1 << 20;

/// A mail address that is taken must read again as itself. How many were taken.
pub fn address(octets: &[u8]) -> usize {
    let Ok(mailbox) = Mailbox::parse(&String::from_utf8_lossy(octets)) else { return 0 };
    assert_eq!(Mailbox::parse(mailbox.as_str()).as_ref(), Ok(&mailbox), "what was taken must be taken again");
    1
}

/// A client's side of an SMTP connection, line by line and all at once; every second mail is refused. How many bodies
/// came to their end.
pub fn smtp(octets: &[u8]) -> usize {
    // All at once is what RFC 2920 forbids in most places; line by line reaches further.
    dialogue([octets].into_iter()) + dialogue(octets.split_inclusive(|octet| *octet == b'\n'))
}

fn dialogue<'a>(parts: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut config = ServerConfig::new("mx.hq.test");
    config.tls = true;
    config.auth_in_clear = true;
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
    let mut now = BEGIN;
    let mut server = Server::new(Arc::new(config), now, peer);
    let (mut bodies, mut closed) = (0_usize, false);
    // The greeting leaves first: a client that speaks before it is sent away.
    drain(|| server.poll_write().is_some());
    for part in parts {
        server.handle_read(now, part);
        drain(|| {
            let wrote = server.poll_write().is_some();
            let Some(event) = server.poll_event() else { return wrote };
            assert!(!closed, "{event:?} after the end");
            match event {
                Event::Authenticate { user, .. } => server.authenticated(now, user.len().is_multiple_of(2)),
                Event::Sender { .. } | Event::Recipient(_) => server.answer(now, &Reply::new(250, (1, 0), "ok")),
                Event::BodyPiece(octets) => server.body_taken(octets.len()),
                Event::BodyEnd(_) => {
                    bodies += 1;
                    let code = if bodies.is_multiple_of(2) { 451 } else { 250 };
                    server.finish(now, Reply::new(code, if code == 250 { (0, 0) } else { (3, 0) }, "said"));
                }
                Event::StartTls => server.handle_secured(now, Secured::default()),
                Event::Closed(_) => closed = true,
                Event::Opened(_) | Event::Aborted | Event::Noted(_) => {}
            }
            true
        });
        now = later(now, Duration::from_secs(1));
        if server.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono) {
            server.handle_wakeup(now);
        }
    }
    server.handle_closed();
    drain(|| server.poll_write().is_some() || server.poll_event().is_some());
    bodies
}

/// A batch, bare and inside a mail. What is read of it must be writable, or said to be not. How many
/// mails were found.
pub fn bsmtp(octets: &[u8]) -> usize {
    if let Ok(batch) = media::unwrap(octets) {
        assert!(batch.len() <= octets.len() * 2, "a batch cannot be larger than its mail by decoding");
    }
    let whole = batch(octets, octets.len().max(1));
    assert_eq!(batch(octets, 7), whole, "the cut of the input must not matter");
    whole.matches("Mail(").count()
}

fn batch(octets: &[u8], piece: usize) -> String {
    let mut reader = Reader::new("hq.test", BatchLimits::default());
    let mut seen = String::new();
    for part in octets.chunks(piece) {
        reader.handle_read(part);
        drain(|| note(&mut reader, &mut seen));
    }
    reader.finish();
    drain(|| note(&mut reader, &mut seen));
    seen
}

fn note(reader: &mut Reader, seen: &mut String) -> bool {
    let Some(item) = reader.poll_item() else { return false };
    seen.push_str(&format!("{item:?}\n"));
    if let Item::Mail(mail) = &item
        && !mail.envelope.recipients.is_empty()
    {
        // What was read from a batch must fit a batch again: it has only line ends of CRLF.
        let again = bsmtp::write("hq.test", &[(mail.envelope.clone(), &mail.body)], &Extensions::MULE);
        assert!(again.is_ok(), "{again:?}");
    }
    true
}

/// What ACP 142 hands up: a wrapper with a payload; also a bare payload. What is taken must survive a round trip.
/// How many were taken.
pub fn mule(octets: &[u8]) -> usize {
    let mut taken = 0;
    let wrapped = mule::unwrap(octets, INFLATED_OCTETS_MAX);
    let bare = mule::decode(octets.to_vec());
    for payload in wrapped.into_iter().chain(bare) {
        taken += 1;
        let again = mule::decode(mule::encode(&payload.envelope, &payload.body));
        let again = again.map(|again| (again.envelope, again.body));
        assert_eq!(again, Ok((payload.envelope, payload.body)), "a payload must survive being written");
    }
    if let Ok((content_type, content)) = cdt::unwrap(octets, INFLATED_OCTETS_MAX) {
        assert!(content.len() <= INFLATED_OCTETS_MAX, "inflated beyond the cap");
        let again = cdt::wrap(&content_type, &content).and_then(|octets| cdt::unwrap(&octets, INFLATED_OCTETS_MAX));
        assert_eq!(again, Ok((content_type, content)), "a wrapper must survive being written");
        taken += 1;
    }
    taken
}
