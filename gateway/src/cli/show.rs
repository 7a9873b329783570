//! Facts in words: aligned tables for people. What came from outside is escaped.

use std::fmt::Write as _;

use serde_json::Value;

use crate::shell::log::escaped;

/// Rows with columns as wide as their widest cell; the last column is as long as it is.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A value in few words.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => escaped(text).into_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.1}"),
            Some(_) | None => number.to_string(),
        },
        Value::Array(all) => all.iter().map(words).collect::<Vec<_>>().join(" "),
        Value::Object(_) => value.to_string(),
    }
}

/// Seconds as people say them: 45 s, 12 min, 3.5 h, 2.0 d.
pub fn span(value: &Value) -> String {
    let Some(seconds) = value.as_f64() else { return "-".to_owned() };
    match seconds.abs() {
        s if s < 100.0 => format!("{seconds:.0} s"),
        s if s < 6_000.0 => format!("{:.0} min", seconds / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

fn list<'a>(facts: &'a Value, name: &str) -> &'a [Value] {
    facts[name].as_array().map_or(&[], Vec::as_slice)
}

/// `skywave status`.
pub fn status(facts: &Value) -> String {
    let mut text = format!(
        "{} {} ({}), up {}\n{} mails queued, {} accepted, {} recipients delivered, {} bounced\n",
        words(&facts["site"]),
        if facts["ready"] == true { "ready" } else { "starting" },
        words(&facts["version"]),
        span(&facts["uptime_seconds"]),
        words(&facts["mails_queued"]),
        words(&facts["mails_accepted"]),
        words(&facts["recipients_delivered"]),
        words(&facts["recipients_bounced"]),
    );
    if facts["store_failing"] == true {
        text.push_str("THE STORE FAILS: mail is refused for now\n");
    }
    if !list(facts, "links").is_empty() {
        text.push('\n');
        text.push_str(&links(facts));
    }
    let notices: Vec<Vec<String>> = list(facts, "notices")
        .iter()
        .map(|notice| ["part", "name", "count"].map(|name| words(&notice[name])).to_vec())
        .collect();
    if !notices.is_empty() {
        text.push('\n');
        text.push_str(&table(&["PART", "NOTICE", "COUNT"], &notices));
    }
    text
}

/// `skywave link list`.
pub fn links(facts: &Value) -> String {
    let rows: Vec<Vec<String>> = list(facts, "links")
        .iter()
        .map(|link| {
            let state = match (link["in_use"] == false, link["up"] == true) {
                (true, _) => "down by operator".to_owned(),
                (false, true) => "up".to_owned(),
                (false, false) => format!("down ({})", words(&link["why"])),
            };
            let chat: u64 = list(link, "chat").iter().filter_map(|peer| peer["stanzas_waiting"].as_u64()).sum();
            let hops = link["hops_waiting"].as_u64().unwrap_or_default();
            let waiting = (hops + chat).to_string();
            let waiting = if link["more_on_disk"] == true { format!("{waiting}+") } else { waiting };
            vec![
                words(&link["name"]),
                words(&link["carriage"]),
                words(&link["emission"]),
                waiting,
                words(&link["hops_under_way"]),
                words(&link["units_sent"]),
                words(&link["units_received"]),
                state,
            ]
        })
        .collect();
    table(&["LINK", "CARRIAGE", "EMISSION", "WAITING", "UNDER WAY", "SENT", "RECEIVED", "STATE"], &rows)
}

/// `skywave queue list`.
pub fn mails(facts: &Value) -> String {
    let mut rows = Vec::new();
    for mail in list(facts, "mails") {
        let hops = list(mail, "hops").iter().filter(|hop| hop["state"] != "done");
        for (index, hop) in hops.enumerate() {
            let first = |text: String| if index == 0 { text } else { String::new() };
            rows.push(vec![
                first(words(&mail["ticket"])),
                first(words(&mail["precedence"])),
                first(words(&mail["bytes"])),
                first(span(&mail["age_seconds"])),
                first(format!("<{}>", words(&mail["from"]).trim_matches(['<', '>']))),
                words(&hop["link"]),
                words(&hop["recipients_waiting"]),
                words(&hop["why"]),
            ]);
        }
    }
    let shown = list(facts, "mails").len();
    let mut text = table(&["ID", "PRECEDENCE", "BYTES", "AGE", "FROM", "BY", "RCPT", "WHY IT IS HERE"], &rows);
    let _ = writeln!(text, "{shown} of {} mails", words(&facts["mails_queued"]));
    let stanzas = stanzas(facts);
    if !stanzas.is_empty() {
        text.push('\n');
        text.push_str(&stanzas);
    }
    text
}

/// The part of `skywave queue list` about chat; empty where none waits.
fn stanzas(facts: &Value) -> String {
    let row = |stanza: &Value| {
        vec![
            words(&stanza["number"]),
            words(&stanza["kind"]),
            words(&stanza["precedence"]),
            words(&stanza["bytes"]),
            span(&stanza["age_seconds"]),
            words(&stanza["from"]),
            words(&stanza["to"]),
            words(&stanza["why"]),
        ]
    };
    let rows: Vec<Vec<String>> = list(facts, "stanzas").iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = ["NUMBER", "KIND", "PRECEDENCE", "BYTES", "AGE", "FROM", "TO", "WHY IT IS HERE"];
    format!("{}{} stanzas wait\n", table(&head, &rows), rows.len())
}

/// `skywave queue show` and `skywave track` of a stanza.
fn stanza(facts: &Value) -> String {
    let mut text = String::new();
    let lines =
        ["number", "kind", "type", "id", "from", "to", "peer", "link", "precedence", "bytes", "on_disk", "status"];
    for name in lines {
        if !facts[name].is_null() {
            let _ = writeln!(text, "{name:<12} {}", words(&facts[name]));
        }
    }
    for (name, fact) in [("age", "age_seconds"), ("expires in", "expires_in_seconds")] {
        if !facts[fact].is_null() {
            let _ = writeln!(text, "{name:<12} {}", span(&facts[fact]));
        }
    }
    if !facts["why"].is_null() {
        let _ = writeln!(text, "{:<12} {}", "why", words(&facts["why"]));
    }
    text.push_str(&history(facts));
    text
}

/// What became of a mail or a stanza so far; empty where nothing is known.
fn history(facts: &Value) -> String {
    let entry = |entry: &Value| vec![stamp(&entry["at_unix_seconds"]), words(&entry["what"])];
    let rows: Vec<Vec<String>> = list(facts, "history").iter().map(entry).collect();
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&["WHEN (UTC)", "WHAT"], &rows)) }
}

/// As mailq prints it, for those who parse that.
pub fn mailq(facts: &Value) -> String {
    let mails = list(facts, "mails");
    if mails.is_empty() {
        return "Mail queue is empty\n".to_owned();
    }
    let mut text = String::from("-Queue ID-  --Size-- ----Age-- -Sender/Recipient-------\n");
    let mut bytes = 0;
    for mail in mails {
        bytes += mail["bytes"].as_u64().unwrap_or_default();
        let mark = if mail["held"] == true { '!' } else { ' ' };
        let id = format!("{}{mark}", words(&mail["ticket"]));
        let from = words(&mail["from"]);
        let _ = writeln!(text, "{id:<11} {:>8} {:>9} {from}", words(&mail["bytes"]), span(&mail["age_seconds"]));
        for hop in list(mail, "hops").iter().filter(|hop| hop["state"] != "done") {
            let _ = writeln!(text, "{:>31}({})", "", words(&hop["why"]));
        }
        for to in list(mail, "to") {
            let _ = writeln!(text, "{:>31}{}", "", words(to));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "-- {} Kbytes in {} Requests.", bytes.div_ceil(1024), mails.len());
    text
}

/// `skywave queue show` and `skywave track`.
pub fn mail(facts: &Value) -> String {
    if !facts["number"].is_null() {
        return stanza(facts);
    }
    let mut text = String::new();
    let lines =
        ["ticket", "message_id", "precedence", "mt_priority", "from", "to", "bytes", "source", "origin", "held"];
    for name in lines {
        if !facts[name].is_null() {
            let _ = writeln!(text, "{name:<12} {}", words(&facts[name]));
        }
    }
    let _ = writeln!(text, "{:<12} {}", "age", span(&facts["age_seconds"]));
    let _ = writeln!(text, "{:<12} {}", "expires in", span(&facts["expires_in_seconds"]));
    let hops: Vec<Vec<String>> = list(facts, "hops")
        .iter()
        .map(|hop| ["link", "sites", "state", "attempts", "bytes_on_link", "why"].map(|n| words(&hop[n])).to_vec())
        .collect();
    text.push('\n');
    text.push_str(&table(&["BY", "SITES", "STATE", "TRIES", "BYTES ON LINK", "WHY"], &hops));
    text.push_str(&history(facts));
    text
}

fn stamp(value: &Value) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    let at = value.as_f64().and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds as i64).ok());
    at.and_then(|at| at.format(format).ok()).unwrap_or_default()
}

/// Whatever else: a line for each fact.
pub fn facts(facts: &Value) -> String {
    let mut text = String::new();
    lines(facts, "", &mut text);
    text
}

fn lines(value: &Value, above: &str, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
                lines(value, &name, text);
            }
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            for (index, value) in all.iter().enumerate() {
                lines(value, &format!("{above}.{index}"), text);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let _ = writeln!(text, "{above}: {}", words(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_aligned_and_escaped() {
        let facts = json!({ "mails_queued": 7, "mails": [{
            "ticket": "A1", "precedence": "flash", "bytes": 500, "age_seconds": 61.2, "from": "a@hq.test\r\nx", "held": true,
            "to": ["b@field.test"],
            "hops": [
                { "link": "hf", "state": "waiting", "recipients_waiting": 2, "why": "waits for its turn" },
                { "link": "mta", "state": "done", "recipients_waiting": 0, "why": "done" },
            ]
        }]});
        assert_eq!(
            mails(&facts),
            "ID  PRECEDENCE  BYTES  AGE   FROM                    BY  RCPT  WHY IT IS HERE\n\
             A1  flash       500    61 s  <a@hq.test\\u{d}\\u{a}x>  hf  2     waits for its turn\n\
             1 of 7 mails\n"
        );
        let queue = mailq(&facts);
        assert!(queue.contains("A1!              500      61 s a@hq.test"), "{queue}");
        assert!(queue.ends_with("-- 1 Kbytes in 1 Requests.\n"), "{queue}");
        assert_eq!(mailq(&json!({ "mails": [] })), "Mail queue is empty\n");
        assert_eq!(super::facts(&json!({ "a": { "b": [1, 2] }, "c": null })), "a.b: 1 2\nc: -\n");
    }

    #[test]
    fn spans_are_said_as_people_do() {
        for (seconds, expected) in [(45.2, "45 s"), (720.0, "12 min"), (12_600.0, "3.5 h"), (172_800.0, "2.0 d")] {
            assert_eq!(span(&json!(seconds)), expected);
        }
    }
}
