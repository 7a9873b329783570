//! `skywave demo`, as somebody runs it who has just built the program.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::site;

#[test]
fn the_demo_ends_well_with_mail_and_chat() {
    let ran = Command::new(site::program()).args(["demo", "--once", "--json"]).output().unwrap();
    let (text, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let outcome: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{told}"));
    assert!(ran.status.success() && outcome["ok"] == true, "{text}\n{told}");
    let messages = outcome["messages"].as_array().unwrap();
    for kind in ["mail", "chat"] {
        let of_kind: Vec<_> = messages.iter().filter(|message| message["kind"] == kind).collect();
        assert!(of_kind.len() >= 4, "{kind}: {of_kind:?}");
        for message in of_kind {
            let on_air = message["bytes_on_air"].as_u64();
            assert!(on_air.is_some_and(|octets| octets > 0), "{message}");
            assert!(message["accepted_at"].is_string() && message["delivered_at"].is_string(), "{message}");
        }
    }
    let names: Vec<_> = outcome["links"].as_array().unwrap().iter().map(|link| link["name"].as_str()).collect();
    for name in ["hq.test/hf", "hq.test/chat", "field.test/hf", "field.test/chat"] {
        assert!(names.contains(&Some(name)), "{names:?}");
    }
    assert!(told.contains("the FLASH ahead of the 200 KB message"), "{told}");
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
    let mut told = Vec::new();
    for line in BufReader::new(demo.stderr.take().unwrap()).lines().map_while(Result::ok) {
        let is_last = line.contains("it crosses the radio");
        told.push(line);
        if is_last {
            break;
        }
    }
    assert!(!told.iter().any(|line| line.contains("No Prosody")), "{told:#?}");
    for user in ["alice@hq.test", "bob@field.test"] {
        let account = told.iter().find(|line| line.contains(user) && line.contains("password"));
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
