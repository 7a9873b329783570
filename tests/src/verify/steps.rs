//! The steps of `verify`, in their order.

use std::path::PathBuf;

/// One heading of `verify`.
pub struct Step {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it checks.
    pub what: &'static str,
    /// How.
    pub work: Work,
}

/// How a step does its work. A command may begin with one `KEY=value` for its environment.
pub enum Work {
    /// Commands, until one fails.
    Commands(Vec<Vec<&'static str>>),
    /// A command of a tool that need not be there.
    OptionalTool {
        /// The program that must be found.
        tool: &'static str,
        /// The command.
        command: Vec<&'static str>,
    },
    /// Commands that need the Debian packages of [`super::packages`].
    WithPackages(Vec<Vec<&'static str>>),
}

/// Mutations per fuzz target in `verify`: bounded, so that it ends; a longer run is `fuzz TARGET --runs N`.
const FUZZ_RUNS: &str = "20000";

/// All steps.
pub fn all() -> Vec<Step> {
    let mut steps = vec![
        commands("format", "rustfmt has nothing to change", "cargo fmt --all --check"),
        commands(
            "lint",
            "clippy has no warning",
            "cargo clippy --quiet --workspace --all-targets --features skywave-tests/interop -- -D warnings",
        ),
        optional("licences", "licences and bans of deny.toml", "cargo-deny", "cargo deny check licenses bans sources"),
        Step {
            name: "tests",
            what: "unit tests, documentation tests and every integration test without a step of its own",
            work: Work::Commands(vec![
                words("cargo test --quiet --workspace --no-fail-fast --lib --bins"),
                words("cargo test --quiet --workspace --no-fail-fast --doc"),
                [
                    words("cargo test --quiet --workspace --test it -- --skip tidy:: --skip vectors::"),
                    words(STORIES_APART),
                ]
                .concat(),
            ]),
        },
    ];
    steps.extend([
        it("tidy", "layers, lengths, links, coverage", "tidy::"),
        it("vectors", "every conformance vector both ways, 1,000 mutations of each", "vectors::"),
        it("stories", "what a radio operator reads, in virtual time", "stories::"),
        Step {
            name: "seeds",
            what: "worlds (over the model store and over SQLite) and stores with troubles from many seeds, every invariant checked",
            work: Work::Commands(vec![
                words("SKYWAVE_SEEDS=200 cargo test --quiet --package skywave-tests --test it -- seeds::"),
                words("SKYWAVE_SEEDS=200 cargo test --quiet --package skywave --lib store::sqlite::tests::crash"),
                words("SKYWAVE_SEEDS=200 cargo test --quiet --package skywave --lib store::sqlite::tests::world"),
            ]),
        },
        commands(
            "fuzz",
            "bounded, seeded mutations of the committed corpora",
            "cargo run --quiet --package skywave-tests --bin fuzz -- all",
        ),
    ]);
    if let Some(Step { work: Work::Commands(commands), .. }) = steps.last_mut() {
        commands.iter_mut().for_each(|command| command.extend(["--runs", FUZZ_RUNS, "--seed", "1"]));
    }
    steps.push(Step {
        name: "interop",
        what: "Postfix, Prosody, ejabberd, slixmpp, openssl and tshark against the running program",
        work: Work::WithPackages(vec![
            words("cargo build --quiet --workspace --bins"),
            words("cargo test --quiet --workspace --features skywave-tests/interop --test interop -- --test-threads=1"),
        ]),
    });
    steps
}

const STORIES_APART: &str = "--skip stories:: --skip seeds::";

/// Where `tool` is, if the search path has it.
pub fn on_path(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).map(|d| d.join(tool)).find(|f| f.is_file())
}

fn words(command: &'static str) -> Vec<&'static str> {
    command.split(' ').collect()
}

fn commands(name: &'static str, what: &'static str, command: &'static str) -> Step {
    Step { name, what, work: Work::Commands(vec![words(command)]) }
}

fn optional(name: &'static str, what: &'static str, tool: &'static str, command: &'static str) -> Step {
    Step { name, what, work: Work::OptionalTool { tool, command: words(command) } }
}

fn it(name: &'static str, what: &'static str, filter: &'static str) -> Step {
    let mut command = words("cargo test --quiet --workspace --test it --");
    command.push(filter);
    Step { name, what, work: Work::Commands(vec![command]) }
}
