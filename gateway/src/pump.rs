//! One input, then drain, then ask when to come back: the only way to drive a [`Node`], for shell and world alike.

use skywave_protocols::time::{Now, Wakeup};

use crate::node::{Input, Node, Output};

/// Hands `input` to the node and every output to `each`; says when the node wants to be woken.
pub fn pump(node: &mut Node, now: Now, input: Input, mut each: impl FnMut(Output)) -> Option<Wakeup> {
    node.handle(now, input);
    while let Some(output) = node.poll() {
        each(output);
    }
    node.next_wakeup()
}
