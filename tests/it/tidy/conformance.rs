//! Requirements, citations, vectors and `COVERAGE.md` agree with each other.

use std::collections::BTreeSet;

use skywave_conformance::requirement::Status;
use skywave_conformance::{files, vectors};
use skywave_tests::{coverage, root};

use super::judge;

#[test]
fn every_citation_is_a_requirement() {
    let known: BTreeSet<String> = files::requirements(&root()).unwrap().into_iter().map(|known| known.id).collect();
    let citations = files::citations(&root()).unwrap();
    judge(
        citations
            .iter()
            .filter(|citation| !known.contains(&citation.id))
            .map(|citation| format!("{}:{}: {} is in no list", citation.file, citation.line, citation.id))
            .collect(),
    );
}

#[test]
fn every_done_requirement_is_cited() {
    let cited: BTreeSet<String> = files::citations(&root()).unwrap().into_iter().map(|citation| citation.id).collect();
    judge(
        files::requirements(&root())
            .unwrap()
            .into_iter()
            .filter(|requirement| requirement.status == Status::Done && !cited.contains(&requirement.id))
            .map(|requirement| format!("{} is done, and no line says where", requirement.id))
            .collect(),
    );
}

#[test]
fn every_vector_names_requirements_that_exist() {
    let known: BTreeSet<String> = files::requirements(&root()).unwrap().into_iter().map(|known| known.id).collect();
    let mut findings = Vec::new();
    for vector in vectors().unwrap() {
        let missing = vector.requirements.iter().filter(|id| !known.contains(*id));
        findings.extend(missing.map(|id| format!("{}: {id} is in no list", vector.id)));
        if vector.description.is_empty() || vector.source.is_empty() {
            findings.push(format!("{}: without description or source", vector.id));
        }
    }
    judge(findings);
}

#[test]
fn coverage_is_fresh() {
    let committed = std::fs::read_to_string(root().join("conformance/COVERAGE.md")).unwrap_or_default();
    assert!(
        committed == coverage().unwrap(),
        "conformance/COVERAGE.md is stale: cargo run --package skywave-tests --bin coverage"
    );
}
