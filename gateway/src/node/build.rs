//! Radios and links as the configuration names them.

use skywave_protocols::time::Now;

use super::Node;

impl Node {
    /// Builds all radios and links.
    pub(super) fn build_links(&mut self, _now: Now) {}
}
