//! Texts that the local MTA cannot take are converted, where no signature breaks, or reported.

use skywave_protocols::time::Now;

use super::delivery::{mt_priority_field, whole};
use super::seam::{Answer, HandOver, Job, Needs, Piece};
use super::{Node, Output, Pending};
use crate::queue::record::HopKey;
use crate::store::BodyId;

impl Node {
    /// The server lacks something: convert, unless that has been done already.
    pub(super) fn convert(&mut self, key: HopKey, recipients: Vec<u32>, lacks: Needs, again: bool) {
        let now = self.now;
        let Some(record) = self.mails.record(key.ticket) else { return };
        if again {
            let octets = record.octets;
            self.mta.unreserve(&key, octets);
            return self.give_up(now, &key, "5.6.3", "the server does not take the converted text either");
        }
        let job_body = self.new_ticket(now.wall);
        let Some(record) = self.mails.record(key.ticket) else { return };
        let envelope = record.hop_envelope(usize::from(key.hop));
        let body = BodyId(job_body.0);
        let job = Job::Convert { envelope, content: vec![whole(record)], lacks, into: body };
        let number = self.storekeeper.number();
        self.pending.insert(number, Pending::Convert { key, recipients, body });
        self.out.push_back(Output::Compute(number, Box::new(job)));
    }

    /// The text is converted, or cannot be.
    pub(super) fn converted(&mut self, now: Now, key: HopKey, recipients: Vec<u32>, body: BodyId, answer: Answer) {
        let Some(key) = self.fresh_key(&key) else { return };
        let Some(record) = self.mails.record(key.ticket) else { return };
        let octets = record.octets;
        match answer {
            Answer::Converted { mut envelope, octets } => {
                let Some(local) = self.config.local.iter().find(|local| local.name == key.lane) else { return };
                let plain = super::delivery::hand_over(&self.config.mail.hostname, local, record, usize::from(key.hop));
                record.shorten_by(&mut envelope, now.wall);
                let content = vec![Piece::Body { body, from: 0, to: octets }];
                // Where the text has such fields of its own, nobody knows where they stand after the conversion.
                let field = mt_priority_field(record).filter(|_| record.mt_priority_fields.is_empty());
                let content_without_mt_priority = field.map(|field| [vec![field], content.clone()].concat());
                let hand_over =
                    HandOver { envelope, content, content_without_mt_priority, needs: Needs::default(), ..plain };
                let number = self.storekeeper.number();
                self.pending.insert(number, Pending::HandOver { key, recipients, converted: Some(body) });
                self.out.push_back(Output::HandOver(number, Box::new(hand_over)));
            }
            Answer::Failed(fault) => {
                self.mta.unreserve(&key, octets);
                self.retry_later(now, &key, &fault.to_string(), "4.3.0");
            }
            Answer::Impossible { status, why } => {
                self.mta.unreserve(&key, octets);
                self.give_up(now, &key, &status, &why);
            }
            Answer::Unit(_) | Answer::Mails(_) | Answer::Authenticated(_) => {}
        }
    }
}
