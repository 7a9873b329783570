//! `skywave demo`, as somebody runs it who has just built the program.

use std::process::Command;

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
