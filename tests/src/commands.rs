//! The page of all commands in the book, made from the words of the command line.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory};
use skywave::cli::Arguments;

/// The page, below the root of the workspace.
pub const PAGE: &str = "docs/src/commands.md";

const HEAD: &str = "\
# Commands

Every word of `skywave`, as `skywave help` tells it; `skywave man --directory` writes the same as manual pages. Commands end
with the codes of sysexits: 0 well, 1 what was tried failed, 64 wrong words, 65 wrong input, 66 a file that cannot be read, 69 a
service that does not answer, 70 a mistake of ours, 71 the system refuses, 73 a file that cannot be made, 75 try later, 78 the
configuration has mistakes. This page is made by `cargo run --package skywave-tests --bin commands`.
";

/// What the page must say now.
pub fn page() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut text = HEAD.to_owned();
    for verb in visible(&command) {
        describe(&mut text, verb, &format!("skywave {}", verb.get_name()), 2);
    }
    text
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

fn describe(text: &mut String, command: &Command, name: &str, depth: usize) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{} {name}\n\n{about}.\n", "#".repeat(depth));
    let verbs: Vec<&Command> = visible(command).collect();
    if verbs.is_empty() {
        arguments(text, command, name);
    }
    for verb in verbs {
        describe(text, verb, &format!("{name} {}", verb.get_name()), depth + 1);
    }
}

fn arguments(text: &mut String, command: &Command, name: &str) {
    let shown = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let (places, options): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(shown).partition(|arg| arg.is_positional());
    let mut usage = name.to_owned();
    if !options.is_empty() {
        usage.push_str(" [OPTIONS]");
    }
    for place in &places {
        let _ = write!(usage, " {}", in_usage(place));
    }
    let _ = write!(text, "\n```text\n{usage}\n```\n");
    if places.is_empty() && options.is_empty() {
        return;
    }
    text.push_str("\n| word | meaning | default |\n| --- | --- | --- |\n");
    for arg in places.iter().chain(&options) {
        let _ = writeln!(text, "| `{}` | {} | {} |", word(arg), meaning(arg), default(arg));
    }
}

fn in_usage(place: &Arg) -> String {
    let many = if takes_many(place) { "..." } else { "" };
    let (open, close) = if place.is_required_set() { ("<", ">") } else { ("[", "]") };
    format!("{open}{}{close}{many}", value(place))
}

fn takes_many(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.max_values() > 1) || matches!(arg.get_action(), ArgAction::Append)
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// How an argument is written.
fn word(arg: &Arg) -> String {
    let names = [arg.get_short().map(|short| format!("-{short}")), arg.get_long().map(|long| format!("--{long}"))];
    let mut words = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if arg.is_positional() {
        return value(arg);
    }
    if arg.get_action().takes_values() {
        let _ = write!(words, " {}", value(arg));
    }
    words
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let values = if arg.get_action().takes_values() { arg.get_possible_values() } else { Vec::new() };
    let values: Vec<String> =
        values.iter().filter(|value| !value.is_hide_set()).map(|value| format!("`{}`", value.get_name())).collect();
    if !values.is_empty() {
        let _ = write!(text, ": {}", values.join(", "));
    }
    text.replace('|', "\\|")
}

fn default(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if arg.get_action().takes_values() { values.join(", ") } else { String::new() }
}
