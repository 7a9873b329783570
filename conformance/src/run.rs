//! Runs vectors against a subject, in every direction that a vector has and the subject can do.

use serde_json::Value;
use skywave_protocols::bytes::hex;

use crate::report::{Outcome, Report, Result};
use crate::subject::own::Own;
use crate::subject::{Answer, Subject};
use crate::vector::{Meaning, Vector, VectorError, vectors};

/// Runs our vectors against our own code; `protocols` empty means all.
///
/// # Errors
/// A vector file that is none.
pub fn run(protocols: &[String]) -> std::result::Result<Report, VectorError> {
    let chosen: Vec<Vector> =
        vectors()?.into_iter().filter(|vector| protocols.is_empty() || protocols.contains(&vector.protocol)).collect();
    Ok(run_vectors(&chosen, &mut Own))
}

/// Runs `vectors` against `subject`.
pub fn run_vectors(vectors: &[Vector], subject: &mut dyn Subject) -> Report {
    let mut report = Report { subject: subject.name(), ..Report::default() };
    for vector in vectors {
        let outcome = match &vector.exception {
            Some(reason) => Outcome::Skipped { why: reason.clone() },
            None => outcome(vector, subject),
        };
        report.add(Result { vector: vector.id.clone(), description: vector.description.clone(), outcome });
    }
    report
}

fn outcome(vector: &Vector, subject: &mut dyn Subject) -> Outcome {
    let checked = match &vector.meaning {
        Meaning::Tree(tree) => both_ways(vector, tree, subject),
        Meaning::Refused(fault) => refusal(vector, fault, subject),
        Meaning::Unwritten => Err("its meaning is not written down".to_owned()),
    };
    match checked {
        Ok(directions) if directions.is_empty() => {
            Outcome::Skipped { why: format!("the subject cannot be asked about {}", vector.protocol) }
        }
        Ok(directions) => Outcome::Passed { directions },
        Err(why) => Outcome::Failed { why },
    }
}

type Directions = std::result::Result<Vec<&'static str>, String>;

fn both_ways(vector: &Vector, tree: &Value, subject: &mut dyn Subject) -> Directions {
    let mut directions = Vec::new();
    match subject.decode(&vector.protocol, &vector.octets) {
        Answer::NotAsked => {}
        Answer::Refused(refusal) => return Err(format!("decode: refused as {refusal}")),
        Answer::Is(found) => {
            same("", tree, &found).map_err(|why| format!("decode: {why}"))?;
            directions.push("decode");
        }
    }
    match subject.encode(&vector.protocol, tree) {
        Answer::NotAsked => {}
        Answer::Refused(refusal) => return Err(format!("encode: refused as {refusal}")),
        Answer::Is(octets) if vector.not_canonical.is_none() => {
            if octets != vector.octets {
                return Err(format!("encode: {} instead of {}", hex(&octets), hex(&vector.octets)));
            }
            directions.push("encode");
        }
        // Other octets are allowed; they must mean the same.
        Answer::Is(octets) => match subject.decode(&vector.protocol, &octets) {
            Answer::NotAsked => {}
            Answer::Refused(refusal) => return Err(format!("round trip: refused as {refusal}")),
            Answer::Is(found) => {
                same("", tree, &found).map_err(|why| format!("round trip: {why}"))?;
                directions.push("round_trip");
            }
        },
    }
    Ok(directions)
}

fn refusal(vector: &Vector, fault: &str, subject: &mut dyn Subject) -> Directions {
    match subject.decode(&vector.protocol, &vector.octets) {
        Answer::NotAsked => Ok(Vec::new()),
        Answer::Refused(refusal) if refusal.fault == fault => Ok(vec!["refuse"]),
        Answer::Refused(refusal) => Err(format!("refused as {refusal} instead of {fault}")),
        Answer::Is(tree) => Err(format!("taken as {tree} instead of refused as {fault}")),
    }
}

/// Names the first place where two trees differ.
fn same(place: &str, wanted: &Value, found: &Value) -> std::result::Result<(), String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, value) in wanted {
                let place = format!("{place}.{key}");
                same(&place, value, found.get(key).unwrap_or(&Value::Null))?;
            }
            match found.keys().find(|key| !wanted.contains_key(*key)) {
                Some(more) => Err(format!("{place}.{more} is {}, nothing is expected there", found[more])),
                None => Ok(()),
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            wanted.iter().zip(found).enumerate().try_for_each(|(at, (w, f))| same(&format!("{place}[{at}]"), w, f))
        }
        (wanted, found) if wanted == found => Ok(()),
        (wanted, found) => Err(format!("{place} is {found} instead of {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::subject::Refusal;

    /// A subject that knows one PDU.
    struct One(Value, &'static [u8]);

    impl Subject for One {
        fn name(&self) -> String {
            "one".to_owned()
        }

        fn decode(&mut self, _: &str, octets: &[u8]) -> Answer<Value> {
            if octets == self.1 { Answer::Is(self.0.clone()) } else { Answer::Refused(Refusal::new("length", "")) }
        }

        fn encode(&mut self, _: &str, tree: &Value) -> Answer<Vec<u8>> {
            if *tree == self.0 { Answer::Is(self.1.to_vec()) } else { Answer::Refused(Refusal::new("field", "")) }
        }
    }

    fn judged(body: &str, subject: &mut One) -> Outcome {
        let text = format!("protocol = 'x'\ndescription = ''\nsource = ''\nrequirements = []\n{body}");
        run_vectors(&[Vector::parse("x/y", &text).unwrap()], subject).results.remove(0).outcome
    }

    #[test]
    fn each_way_to_fail_fails() {
        let mut subject = One(json!({"a": [1, 2]}), &[1, 2]);
        let good = judged("hex = '0102'\n[expect]\na = [1, 2]", &mut subject);
        assert_eq!(good, Outcome::Passed { directions: vec!["decode", "encode"] });
        for (body, words) in [
            ("hex = '0102'\n[expect]\na = [1, 3]", ".a[1] is 2 instead of 3"),
            ("hex = '0102'\n[expect]\na = [1, 2]\nb = 0", ".b is null"),
            ("hex = '0102'\n[expect]\n", ".a is [1,2], nothing"),
            ("hex = '0103'\n[expect]\na = [1, 2]", "refused as length"),
            ("hex = '0102'\nerror = 'length'", "taken as"),
            ("hex = '0103'\nerror = 'checksum'", "instead of checksum"),
        ] {
            let Outcome::Failed { why } = judged(body, &mut subject) else { panic!("{body} passed") };
            assert!(why.contains(words), "{why}");
        }
        let refused = judged("hex = '0103'\nerror = 'length'", &mut subject);
        assert_eq!(refused, Outcome::Passed { directions: vec!["refuse"] });
    }
}
