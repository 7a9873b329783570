//! `skywave check`: every mistake at once, and what may surprise; several configurations side by side.

use super::args::Check;
use super::exit::{self, Fault};
use super::{files, out};
use crate::config::compare::compare;
use crate::config::mistake::Key;
use crate::config::warnings::warnings;
use crate::config::{Loaded, Mistake};
use crate::shell::files::mistakes as files_of;

/// Checks and compares.
pub(super) fn check(arguments: &Check) -> Result<(), Fault> {
    let mut loaded: Vec<Loaded> = Vec::new();
    let mut mistakes: Vec<Mistake> = Vec::new();
    let files = if arguments.files.is_empty() { &arguments.config } else { &arguments.files };
    for path in files {
        match files::load(path) {
            Ok(one) => loaded.push(one),
            Err(found) => mistakes.extend(found),
        }
    }
    for (index, a) in loaded.iter().enumerate() {
        for b in &loaded[index + 1..] {
            mistakes.extend(compare(a, b));
        }
    }
    let mut warnings: Vec<Mistake> = loaded.iter().flat_map(warnings).collect();
    // Of two ends that are compared one is on another machine, with its files.
    let is_here = files.len() == 1;
    for one in &loaded {
        for mistake in files_of(&one.site, &one.shell) {
            let told = if is_here && !mistake.forbidden { &mut mistakes } else { &mut warnings };
            told.push(one.places.mistake(&Key::of(mistake.key), mistake.reason));
        }
    }
    if arguments.json {
        print_json(&loaded, &mistakes, &warnings, arguments.print)?;
    } else {
        print_words(&loaded, &mistakes, &warnings, arguments.print)?;
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Fault::told(exit::CONFIGURATION)) }
}

fn print_words(loaded: &[Loaded], mistakes: &[Mistake], warnings: &[Mistake], print: bool) -> Result<(), Fault> {
    for mistake in mistakes {
        eprintln!("{mistake}");
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    for one in loaded {
        if print {
            let text = toml::to_string(&one.raw).map_err(|error| Fault::new(exit::SOFTWARE, error.to_string()))?;
            out::line(&format!("# {}\n{text}", one.places.first_file))?;
        } else if mistakes.is_empty() {
            let (links, routes) = (one.site.links.len(), one.site.routes.len());
            let (file, site) = (&one.places.first_file, &one.site.site);
            out::line(&format!("{file}: {site} is in order ({links} links, {routes} routes)"))?;
        }
    }
    Ok(())
}

fn print_json(loaded: &[Loaded], mistakes: &[Mistake], warnings: &[Mistake], print: bool) -> Result<(), Fault> {
    let mut object = serde_json::json!({ "ok": mistakes.is_empty(), "mistakes": mistakes, "warnings": warnings });
    if print {
        let all = loaded.iter().map(|one| &one.raw).collect::<Vec<_>>();
        object["effective"] =
            serde_json::to_value(all).map_err(|error| Fault::new(exit::SOFTWARE, error.to_string()))?;
    }
    out::line(&object.to_string())
}
