//! What every command that stays has: log lines and signals.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::shell::log::{LogFormat, LogWriter};

/// Lines to standard error; what is shown is chosen by `RUST_LOG`, `info` without.
pub(super) fn log_to_stderr(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(LogWriter::default).with_target(false);
    // Only the first caller of a process sets the log up.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// What tells a process to read its files again, and to stop.
pub(super) struct Signals {
    pub(super) hang_up: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
}

impl Signals {
    /// From now on they are awaited here.
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits until it is told to stop.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for the first SIGTERM or SIGINT.
pub(super) async fn told_to_stop() -> std::io::Result<()> {
    Signals::new()?.end().await;
    Ok(())
}
