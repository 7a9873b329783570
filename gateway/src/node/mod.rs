//! A site as one value.

pub mod command;
pub mod config;
pub mod seam;

use skywave_protocols::random::Random;
use skywave_protocols::time::{Now, Wakeup};

pub use seam::{Input, Output};

/// A site: takes [`Input`], yields [`Output`], says when it wants to be woken. Touches no clock, socket or file.
pub struct Node {
    config: config::SiteConfig,
    out: std::collections::VecDeque<Output>,
}

impl Node {
    /// A node that has seen nothing yet; `Input::Started` is its first input.
    pub fn new(config: config::SiteConfig, _random: Box<dyn Random>) -> Self {
        Self { config, out: std::collections::VecDeque::new() }
    }

    /// Takes an input. Drain [`Node::poll`] afterwards; `pump` does both.
    pub fn handle(&mut self, _now: Now, _input: Input) {}

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When it wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        None
    }

    /// Its configuration.
    pub const fn config(&self) -> &config::SiteConfig {
        &self.config
    }
}
