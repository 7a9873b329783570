//! `skywave bench NAME`: the benchmark tables of `docs/performance.md`.
//!
//! Each bench measures and returns a [`table::Report`]: project, paper or peer, and limit side by side. Benches that
//! time things start their own processes on loopback ports, with folders of their own, and end them; they are never
//! tests. `live_hf` measures what is at the ports it is given. `mail`, `hf` and `chat octets` run in virtual time and give the same
//! figures on every machine. Tests here try the arithmetic.

pub mod chat;
pub mod exchange;
pub mod folder;
pub mod hf;
pub mod latency;
pub mod live_hf;
pub mod load;
pub mod mail;
pub mod memory;
pub mod node;
pub mod postfix;
pub mod process;
pub mod relay;
pub mod sink;
pub mod site;
pub mod table;
pub mod tools;
pub mod xmpp;

/// Why a bench gave no figures.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BenchFault {
    /// Programs are not installed.
    #[error("not found: {programs}; install the Debian packages: {packages}")]
    Missing {
        /// Their names.
        programs: String,
        /// Where they come from.
        packages: String,
    },
    /// A process did not do what it should.
    #[error("{0}")]
    Process(String),
    /// A file, socket or thread of the bench itself.
    #[error("{what}: {why}")]
    Local {
        /// Which.
        what: String,
        /// The system's words.
        why: String,
    },
}

impl BenchFault {
    /// A fault of the system.
    pub fn local(what: &str, why: impl std::fmt::Display) -> Self {
        Self::Local { what: what.to_owned(), why: why.to_string() }
    }
}
