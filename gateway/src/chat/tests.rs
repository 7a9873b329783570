mod answers;
mod gather;
mod operator;
mod pair;
mod peers;
mod reach;
mod units;

use std::collections::BTreeMap;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::random::Seeded;
use skywave_protocols::time::Now;
use skywave_transports::io::{Authority, Space, Write};

use super::config::ChatConfig;
use super::restore::Rows;
use super::{Chat, ChatOutput};

fn chat() -> Chat {
    let config = ChatConfig {
        domain: "gateway.hq.test".to_owned(),
        listen: Vec::new(),
        listen_direct_tls: Vec::new(),
        authority: Authority::System,
        door: Default::default(),
        secret_files: BTreeMap::new(),
        dialback_secret_file: None,
        local_stanzas_max: super::limits::LANE_STANZAS_MAX,
        peers: Vec::new(),
    };
    let mut chat = Chat::new(config, Now::default(), &mut Seeded::new(1));
    chat.start(Now::default(), Rows::default());
    while chat.poll().is_some() {}
    chat
}

fn write(key: &str, value: &'static str) -> Write {
    Write { space: Space::Presence, key: key.as_bytes().to_vec(), value: Some(Bytes::from_static(value.as_bytes())) }
}

/// The batches asked for: number and what they write.
fn batches(chat: &mut Chat) -> Vec<(u64, Vec<Write>)> {
    std::iter::from_fn(|| chat.poll())
        .filter_map(|output| match output {
            ChatOutput::Store { number, writes, .. } => Some((number, writes)),
            _other => None,
        })
        .collect()
}

#[test]
fn a_note_of_a_failed_batch_is_tried_again_but_never_over_a_newer_one() {
    let (now, mut chat) = (Now::default(), chat());
    chat.work.write(write("waited for", "1"));
    chat.work.note(write("other", "1"));
    chat.work.note(write("same", "1"));
    chat.settle(now);
    let first = batches(&mut chat);
    chat.work.note(write("same", "2"));
    chat.settle(now);
    let second = batches(&mut chat);
    assert_eq!((first.len(), first[0].1.len(), second.len()), (1, 3, 1));
    chat.store_failed(now, first[0].0, "no space");
    let again: Vec<Write> = batches(&mut chat).into_iter().flat_map(|(_, writes)| writes).collect();
    assert_eq!(again, [write("other", "1")]);
}
