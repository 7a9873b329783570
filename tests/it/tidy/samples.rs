//! The samples are in order, and the reference names every key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use skywave::config::{Loaded, Text, load};
use skywave_tests::{commands, root};
use skywave_transports::modem::weather::Weather;

use super::judge;
use super::source::{files, short};

/// Of sites; stations of a radio and weather have forms of their own.
fn site_samples() -> Vec<(String, String)> {
    files(&root().join("gateway/examples"), &["toml"])
        .into_iter()
        .filter(|path| path.parent().is_some_and(|folder| folder.ends_with("examples")))
        .filter(|path| path.file_name().is_some_and(|name| name != "node.toml"))
        .map(|path| (short(&path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn loaded(file: &str, text: &str) -> Result<Loaded, String> {
    let texts = [Text { file: file.to_owned(), text: text.to_owned() }];
    load(&texts, &BTreeMap::new())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

#[test]
fn every_sample_is_in_order() {
    let samples = site_samples();
    assert!(samples.len() >= 3, "{samples:?}");
    judge(samples.iter().filter_map(|(file, text)| loaded(file, text).err()).collect());
}

#[test]
fn every_weather_file_is_in_order() {
    judge(
        files(&root().join("gateway/examples/weather"), &["toml"])
            .iter()
            .filter_map(|path| {
                let weather = Weather::parse(&std::fs::read_to_string(path).unwrap());
                Some(format!("{}: {:?}", short(path), weather.err()?))
            })
            .collect(),
    );
}

#[test]
fn the_reference_names_every_key() {
    let reference = std::fs::read_to_string(root().join("docs/src/configuration.md")).unwrap();
    let mut keys = BTreeSet::new();
    for (file, text) in site_samples() {
        collect(&serde_json::to_value(loaded(&file, &text).unwrap().raw).unwrap(), &mut keys);
    }
    assert!(keys.len() > 40, "{keys:?}");
    judge(
        keys.iter()
            .filter(|key| !reference.contains(&format!("`{key}`")))
            .map(|key| format!("docs/src/configuration.md does not name `{key}`"))
            .collect(),
    );
}

/// Keys that no sample sets too: those without a value are not written by `check --print`.
#[test]
fn the_reference_names_every_key_that_the_configuration_reads() {
    let reference = std::fs::read_to_string(root().join("docs/src/configuration.md")).unwrap();
    let mut keys = BTreeSet::new();
    for file in ["raw.rs", "raw_chat.rs", "raw_site.rs", "../node/acp142_options.rs"] {
        let text = std::fs::read_to_string(root().join("gateway/src/config").join(file)).unwrap();
        let fields = text.lines().filter(|line| !line.contains(" fn "));
        let fields = fields.filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
        keys.extend(fields.map(|(key, _)| key.trim_start_matches("r#").to_owned()));
    }
    assert!(keys.contains("batch_address") && keys.len() > 80, "{keys:?}");
    let named = |key: &String| {
        [format!("`{key}`"), format!("[{key}"), format!(".{key}.")].iter().any(|form| reference.contains(form))
            || reference.contains(&format!(".{key}]"))
    };
    let unnamed = keys.iter().filter(|key| !named(key));
    judge(unnamed.map(|key| format!("docs/src/configuration.md does not name `{key}`")).collect());
}

/// The keys that hold values; names of sites, links and hosts are chosen by whoever writes the file.
fn collect(tree: &Value, keys: &mut BTreeSet<String>) {
    let Some(table) = tree.as_object() else { return };
    for (key, value) in table {
        if value.is_object() {
            collect(value, keys);
        } else if !key.contains('.') {
            keys.insert(key.clone());
        }
    }
}

#[test]
fn the_page_of_commands_is_fresh() {
    let committed = std::fs::read_to_string(root().join(commands::PAGE)).unwrap_or_default();
    assert!(
        committed == commands::page(),
        "{} is stale: cargo run --package skywave-tests --bin commands",
        commands::PAGE
    );
}
