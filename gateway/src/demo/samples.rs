//! The sample messages of the demonstration.

use skywave_protocols::bytes::Bytes;
use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random, Seeded};

use crate::world::client::Draft;
use crate::world::story::step::body;

/// Octets of the long routine message.
pub const LONG_OCTETS: usize = 200_000;

/// When a sample is submitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At once.
    AtOnce,
    /// When all that started at once has been delivered.
    Second,
    /// While the long message is on the air.
    WhileLong,
}

/// A sample message.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The index of the site it enters.
    pub site: usize,
    /// When.
    pub start: Start,
    /// How urgent.
    pub precedence: Precedence,
    /// Whether it is the long one.
    pub long: bool,
    /// What is submitted.
    pub draft: Draft,
}

/// All samples for these sites (short names).
pub fn samples(names: &[String], seed: u64) -> Vec<Sample> {
    use Precedence::{Flash, Immediate, Priority, Routine};
    let mut makers = Makers { seed, made: Vec::new() };
    let text = |octets| Content::Words(octets);
    makers.make(0, Start::AtOnce, Routine, "hq", &["watch@field.test"], "Good morning", text(400));
    makers.make(1, Start::AtOnce, Priority, "field", &["duty@hq.test"], "Situation report", text(1_500));
    let three = ["alpha@field.test", "bravo@field.test", "charlie@field.test"];
    makers.make(0, Start::AtOnce, Routine, "hq", &three, "Orders of the day", text(800));
    if names.iter().any(|name| name == "ship") {
        let both = ["watch@field.test", "captain@ship.test"];
        makers.make(0, Start::AtOnce, Immediate, "hq", &both, "Gale warning", text(500));
    }
    makers.make(
        0,
        Start::Second,
        Routine,
        "hq",
        &["survey@field.test"],
        "Survey, 200 KB",
        Content::Octets(LONG_OCTETS),
    );
    makers.make(0, Start::WhileLong, Flash, "hq", &["commander@field.test"], "Evacuate", text(300));
    makers.make(1, Start::WhileLong, Immediate, "field", &["duty@hq.test"], "Request for fuel", text(300));
    makers.made
}

enum Content {
    Words(usize),
    Octets(usize),
}

struct Makers {
    seed: u64,
    made: Vec<Sample>,
}

impl Makers {
    #[expect(clippy::too_many_arguments, reason = "a row of a table")]
    fn make(
        &mut self,
        site: usize,
        start: Start,
        precedence: Precedence,
        from: &str,
        to: &[&str],
        subject: &str,
        content: Content,
    ) {
        let number = self.made.len() + 1;
        let seed = self.seed ^ number as u64;
        let (long, extra, content) = match content {
            Content::Words(octets) => (false, "", body(octets, false, seed)),
            Content::Octets(octets) => (
                true,
                "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n",
                noise(octets, seed),
            ),
        };
        let message_id = format!("<demo-{number}-{:x}@{from}.test>", self.seed);
        let mut text = format!(
            "Message-ID: {message_id}\r\nFrom: <operator@{from}.test>\r\nTo: <{}>\r\nSubject: {subject}\r\n\
             Date: Mon, 01 Jan 2035 00:00:00 +0000\r\nMIME-Version: 1.0\r\n{extra}\r\n",
            to.join(">, <")
        )
        .into_bytes();
        text.extend_from_slice(&content);
        let eight_bit = if long { " BODY=8BITMIME" } else { "" };
        let draft = Draft {
            from: format!("operator@{from}.test"),
            to: to.iter().map(|&to| to.to_owned()).collect(),
            mail_parameters: format!("MT-PRIORITY={}{eight_bit}", precedence.mt_priority()),
            rcpt_parameters: String::new(),
            message_id,
            text: Bytes::from(text),
        };
        self.made.push(Sample { site, start, precedence, long, draft });
    }
}

/// Octets that no compression makes smaller, in lines that 8BITMIME allows.
fn noise(octets: usize, seed: u64) -> Bytes {
    const LINE: usize = 900;
    let mut random = Seeded::new(seed);
    let mut text = Vec::with_capacity(octets);
    while text.len() + 2 < octets {
        match random.below(256) as u8 {
            0 | b'\r' | b'\n' => {}
            octet => text.push(octet),
        }
        if text.len() % LINE == LINE - 2 {
            text.extend_from_slice(b"\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_message_cannot_be_compressed() {
        let samples = samples(&["hq".to_owned(), "field".to_owned(), "ship".to_owned()], 7);
        let long = samples.iter().find(|sample| sample.long).unwrap();
        assert!(long.draft.text.len() >= LONG_OCTETS);
        let mut counts = [0_usize; 256];
        long.draft.text.iter().for_each(|&octet| counts[usize::from(octet)] += 1);
        assert!(counts.iter().all(|&count| count < 1_200), "{counts:?}");
        assert!(long.draft.text.split(|&octet| octet == b'\n').all(|line| line.len() <= 999));
        assert_eq!(samples.iter().filter(|sample| sample.start == Start::WhileLong).count(), 2);
        assert!(samples.iter().any(|sample| sample.draft.to.contains(&"captain@ship.test".to_owned())));
    }
}
