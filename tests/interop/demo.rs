//! `skywave demo`, as somebody runs it who has just built the program.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::site;

/// What `skywave demo --once --json` prints and tells, over a radio with the weather of a sample.
fn demo(weather: Option<&str>) -> (Value, String) {
    let mut command = Command::new(site::program());
    command.args(["demo", "--once", "--json"]);
    if let Some(name) = weather {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/examples/weather");
        command.arg("--weather").arg(samples.join(name));
    }
    let ran = command.output().unwrap();
    let (text, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr).into_owned());
    let outcome: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{told}"));
    assert!(ran.status.success() && outcome["ok"] == true, "{text}\n{told}");
    assert!(told.contains("the FLASH ahead of the 200 KB message"), "{told}");
    (outcome, told)
}

/// What is told before the first sample is on its way.
fn at_first(told: &str) -> &str {
    told.split_once(" is submitted").map_or(told, |(first, _)| first)
}

fn messages(outcome: &Value) -> &[Value] {
    outcome["messages"].as_array().unwrap()
}

#[test]
fn the_demo_ends_well_with_mail_and_chat() {
    let (outcome, told) = demo(None);
    assert!(at_first(&told).contains("skywave demo --prosody"), "{told}");
    for kind in ["mail", "chat"] {
        let of_kind: Vec<_> = messages(&outcome).iter().filter(|message| message["kind"] == kind).collect();
        assert!(of_kind.len() >= 4, "{kind}: {of_kind:?}");
        for message in of_kind {
            let on_air = message["bytes_on_air"].as_u64();
            assert!(on_air.is_some_and(|octets| octets > 0), "{message}");
            assert!(message["accepted_at"].is_string() && message["delivered_at"].is_string(), "{message}");
        }
    }
    let names: Vec<_> = outcome["links"].as_array().unwrap().iter().map(|link| link["name"].as_str()).collect();
    for name in ["hq.test/hf", "hq.test/chat", "field.test/hf", "field.test/chat"] {
        assert!(names.contains(&Some(name)), "{names:?}\n{told}");
    }
}

/// Ten per cent of the frames are lost in bursts: everything arrives, and costs more.
#[test]
fn the_demo_ends_well_through_bursts() {
    let (outcome, _) = demo(Some("burst-10.toml"));
    for message in messages(&outcome) {
        assert!(message["delivered_at"].is_string() && message["confirmed_at"].is_string(), "{message}");
    }
}

/// The third site listens for four minutes and says nothing: it has its mail at once, and confirms it afterwards.
#[test]
fn the_demo_ends_well_with_a_ship_that_is_silent() {
    let (outcome, told) = demo(Some("silent-ship.toml"));
    let to_ship =
        |message: &&Value| message["to"].as_array().is_some_and(|to| to.contains(&"captain@ship.test".into()));
    let message = messages(&outcome).iter().find(to_ship).unwrap_or_else(|| panic!("{outcome}\n{told}"));
    let seconds = |field: &str| {
        let text = message[field].as_str().unwrap_or_else(|| panic!("{field}: {message}"));
        let part = |from: usize| text[from..from + 2].parse::<u64>().unwrap();
        (part(11) * 60 + part(14)) * 60 + part(17)
    };
    let after = |field| (seconds(field) + 86_400 - seconds("accepted_at")) % 86_400;
    assert!(after("delivered_at") < 120, "{message}");
    assert!(after("confirmed_at") >= 200, "the silence lasts for 240 s of the demonstration: {message}");
    for link in outcome["links"].as_array().unwrap() {
        assert_eq!(link["emissions_in_emcon"], 0, "{link}");
    }
}

/// With a real server at each site: people of the demonstration speak through them, and anybody can join them.
#[test]
fn the_demo_with_prosody_says_where_a_client_connects() {
    let mut demo = Command::new(site::program())
        .args(["demo", "--prosody", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told: Vec<String> = Vec::new();
    let is_last = |line: &String| line.contains("it crosses the radio");
    // It is said at first, while the samples are still under way, and again at the end.
    for line in BufReader::new(demo.stderr.take().unwrap()).lines().map_while(Result::ok) {
        told.push(line);
        if told.iter().filter(|line| is_last(line)).count() == 2 {
            break;
        }
    }
    assert!(!told.iter().any(|line| line.contains("No Prosody")), "{told:#?}");
    let first = told.join("\n");
    for user in ["alice@hq.test", "bob@field.test"] {
        let account = at_first(&first).lines().find(|line| line.contains(user) && line.contains("password"));
        let words: Vec<&str> = account.unwrap_or_else(|| panic!("{user}: {told:#?}")).split_whitespace().collect();
        let behind = |word: &str| words[words.iter().position(|other| *other == word).unwrap() + 1];
        let server = format!("{}:{}", behind("server"), behind("port"));
        TcpStream::connect(&server).unwrap_or_else(|error| panic!("{server}: {error}"));
    }
    // As somebody who has seen enough does: Ctrl-C.
    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    let ran = demo.wait_with_output().unwrap();
    let outcome: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(ran.status.success() && outcome["ok"] == true, "{outcome}\n{told:#?}");
    let chats = outcome["messages"].as_array().unwrap().iter().filter(|message| message["kind"] == "chat");
    assert!(chats.count() >= 4, "{outcome}");
}
