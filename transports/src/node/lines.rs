//! A state as text for people: a line for each value, its place before it.

use serde_json::Value;

/// The lines of a state: `dts.segments_sent=17`. Empty lists and objects have none.
pub(super) fn lines(state: &Value) -> String {
    let mut text = String::new();
    line(&mut text, "", state);
    text
}

fn line(text: &mut String, place: &str, value: &Value) {
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| line(text, &at(name), value)),
        Value::Array(values) => {
            (0_usize..).zip(values).for_each(|(number, value)| line(text, &at(&number.to_string()), value));
        }
        Value::String(words) => *text += &format!("{place}={words}\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) => *text += &format!("{place}={value}\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_has_a_line() {
        let state = json!({ "a": { "b": 1, "c": [true, "x y"] }, "d": null, "e": [] });
        assert_eq!(lines(&state), "a.b=1\na.c.0=true\na.c.1=x y\nd=null\n");
    }
}
