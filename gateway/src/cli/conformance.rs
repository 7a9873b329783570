//! `skywave conformance`: the vectors against our own code, or somebody else's.

use skywave_conformance::subject::{own::Own, port};
use skywave_conformance::{Report, Vector, files, run_vectors, vectors};

use super::args::Conformance;
use super::exit::{self, Fault};
use super::out;

/// Runs vectors and prints what came of them.
pub(super) fn conformance(arguments: &Conformance) -> Result<(), Fault> {
    let all = match &arguments.vectors {
        Some(folder) => files::vectors(folder)
            .map_err(|error| Fault::new(exit::NO_INPUT, format!("{}: {error}", folder.display())))?,
        None => vectors().map_err(|error| Fault::new(exit::DATA, error.to_string()))?,
    };
    let wanted = |vector: &Vector| arguments.protocols.is_empty() || arguments.protocols.contains(&vector.protocol);
    let chosen: Vec<Vector> = all.into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(Fault::new(exit::USAGE, "there is no vector of that protocol"));
    }
    let report: Report = match &arguments.against {
        Some(address) => port::against(address, &chosen)
            .map_err(|error| Fault::new(exit::UNAVAILABLE, format!("{address}: {error}")))?,
        None => run_vectors(&chosen, &mut Own),
    };
    if arguments.json {
        let text = serde_json::to_string(&report).map_err(|error| Fault::new(exit::SOFTWARE, error.to_string()))?;
        out::line(&text)?;
    } else {
        out::line(&report.to_string())?;
    }
    if report.failed == 0 { Ok(()) } else { Err(Fault::told(exit::DATA)) }
}
