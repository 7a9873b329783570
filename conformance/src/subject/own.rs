//! Our own code as the subject.

use serde_json::Value;

use super::{Answer, Subject};
use crate::tree;

/// Our own code.
#[derive(Clone, Copy, Debug)]
pub struct Own;

impl Subject for Own {
    fn name(&self) -> String {
        "skywave".to_owned()
    }

    fn decode(&mut self, protocol: &str, octets: &[u8]) -> Answer<Value> {
        match tree::of(protocol) {
            Some(codec) => (codec.decode)(octets).into(),
            None => Answer::NotAsked,
        }
    }

    fn encode(&mut self, protocol: &str, tree: &Value) -> Answer<Vec<u8>> {
        match tree::of(protocol) {
            Some(codec) => (codec.encode)(tree).into(),
            None => Answer::NotAsked,
        }
    }
}
