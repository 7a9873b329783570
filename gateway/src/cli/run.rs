//! `skywave run`: one site in the foreground, as systemd and containers like it.
//!
//! SIGHUP reads the configuration again (a bad one keeps the old and says so), SIGTERM and SIGINT end in good order, a
//! second one ends at once.

use std::path::Path;

use super::args::Run;
use super::exit::{self, Fault};
use super::process::{Signals, log_to_stderr};
use super::{files, runtime};
use crate::config::warnings::warnings;
use crate::config::{Loaded, Mistake};
use crate::node::command::Reply;
use crate::shell::notify::notify;
use crate::shell::{Site, StartFault};
use crate::store::sqlite::OpenFault;
use crate::telemetry::Event;

/// Runs a site until it is told to stop.
pub(super) fn run(arguments: &Run) -> Result<(), Fault> {
    // What it was made of goes: with a thousand domains that is some megabytes.
    let loaded = files::load_or_tell(&arguments.config)?;
    let warnings = warnings(&loaded);
    let Loaded { site: config, mut shell, .. } = loaded;
    shell.capture.clone_from(&arguments.capture);
    log_to_stderr(shell.log);
    tell_warnings(warnings);
    runtime()?.block_on(async {
        let mut signals = Signals::new().map_err(|error| Fault::new(exit::OS_ERROR, error.to_string()))?;
        let site = Site::start(config, shell).map_err(start_fault)?;
        tell_ready(&site);
        let ended = serve(site, &mut signals, &arguments.config).await;
        notify("STOPPING=1");
        ended
    })
}

/// What `skywave check` warns of, for those who did not ask it.
fn tell_warnings(warnings: Vec<Mistake>) {
    for warning in warnings {
        tracing::warn!("configuration: {warning}");
    }
}

fn start_fault(fault: StartFault) -> Fault {
    let code = match &fault {
        StartFault::Spool(OpenFault::InUse { .. }) | StartFault::Reader(_) => exit::TRY_LATER,
        StartFault::Spool(OpenFault::Later { .. }) => exit::CONFIGURATION,
        StartFault::Spool(OpenFault::Failed { .. }) | StartFault::Control(_) => exit::CANT_CREATE,
        StartFault::Files(_) | StartFault::Capture(_) => exit::CONFIGURATION,
        StartFault::Thread(_) => exit::OS_ERROR,
    };
    Fault::new(code, fault.to_string())
}

/// Tells systemd when the node takes mail.
fn tell_ready(site: &Site) {
    let mut events = site.events();
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            if matches!(event, Event::Ready { .. }) {
                return notify("READY=1");
            }
        }
    });
}

async fn serve(mut site: Site, signals: &mut Signals, config: &Path) -> Result<(), Fault> {
    loop {
        tokio::select! {
            _ = signals.hang_up.recv() => reload(&site, config).await,
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            () = site.ended() => return Err(Fault::new(exit::SOFTWARE, "the site ended by itself")),
        }
    }
    notify("STOPPING=1");
    tokio::select! {
        () = site.stop() => Ok(()),
        () = signals.end() => Err(Fault::new(exit::TRY_LATER, "ended at once")),
    }
}

async fn reload(site: &Site, config: &Path) {
    notify("RELOADING=1");
    match files::load(config) {
        Ok(loaded) => {
            let warnings = warnings(&loaded);
            match site.reload(loaded.site, &loaded.shell).await {
                Reply::Ok(_) => {
                    tracing::info!("configuration reloaded");
                    tell_warnings(warnings);
                }
                Reply::Error { why, .. } => tracing::error!("configuration not reloaded, the old one stays: {why}"),
            }
        }
        Err(mistakes) => {
            for mistake in mistakes {
                tracing::error!("configuration not reloaded, the old one stays: {mistake}");
            }
        }
    }
    notify("READY=1");
}
