//! How urgent a stanza is. XMPP has no field for it: it comes from the peer's default, from addresses, or from the
//! headers of XEP-0131 where the peer trusts them, and never exceeds the peer's ceiling.

use serde::{Deserialize, Serialize};

use super::rules::{AddressPattern, BadPattern};
use super::stanza::Stanza;
use crate::message::precedence::{MtPriority, Precedence};

/// Namespace of XEP-0131 headers.
const SHIM: &str = "http://jabber.org/protocol/shim";
/// Rows of the address table; more are a mistake.
pub const ADDRESS_ROWS_MAX: usize = 1000;

/// The precedence of a peer's stanzas, as configured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrecedenceConfig {
    /// What has no other.
    pub default: Precedence,
    /// The highest that any stanza gets.
    pub ceiling: Precedence,
    /// Whether the headers Urgency and Priority of XEP-0131 count.
    pub headers: bool,
    /// By address; the first that fits counts, before any header.
    pub address: Vec<AddressPrecedence>,
}

impl Default for PrecedenceConfig {
    fn default() -> Self {
        Self { default: Precedence::Routine, ceiling: Precedence::Override, headers: false, address: Vec::new() }
    }
}

/// One row: stanzas between these addresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressPrecedence {
    /// Whom it is from: `*@hq.test`; anybody without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whom it is for; anybody without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// What it gets.
    pub precedence: Precedence,
}

/// A checked [`PrecedenceConfig`].
#[derive(Clone, Debug, Default)]
pub struct PrecedenceTable {
    default: Precedence,
    ceiling: Precedence,
    headers: bool,
    rows: Vec<(Option<AddressPattern>, Option<AddressPattern>, Precedence)>,
}

impl PrecedenceTable {
    /// Checks the configuration.
    ///
    /// # Errors
    /// All mistakes, each with its key below this table and the reason.
    pub fn new(config: &PrecedenceConfig) -> Result<Self, Vec<(String, String)>> {
        let mut mistakes = Vec::new();
        if config.default > config.ceiling {
            mistakes.push(("default".to_owned(), "is above the ceiling".to_owned()));
        }
        if config.address.len() > ADDRESS_ROWS_MAX {
            mistakes.push(("address".to_owned(), format!("more than {ADDRESS_ROWS_MAX} rows")));
        }
        let mut rows = Vec::new();
        for (index, row) in config.address.iter().enumerate() {
            if row.from.is_none() && row.to.is_none() {
                mistakes.push((format!("address.{index}"), "needs from or to".to_owned()));
            }
            let mut pattern = |name: &str, text: &Option<String>| -> Option<AddressPattern> {
                let read: Result<AddressPattern, BadPattern> = AddressPattern::new(text.as_deref()?);
                read.map_err(|why| mistakes.push((format!("address.{index}.{name}"), why.to_string()))).ok()
            };
            rows.push((pattern("from", &row.from), pattern("to", &row.to), row.precedence));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self { default: config.default, ceiling: config.ceiling, headers: config.headers, rows })
    }

    /// The precedence of a stanza to which no rule gave one.
    //= xmpp/PREC-001
    pub fn of(&self, stanza: &Stanza) -> Precedence {
        let by_address = self.rows.iter().find(|(from, to, _)| {
            from.as_ref().is_none_or(|from| from.matches(stanza.from()))
                && to.as_ref().is_none_or(|to| to.matches(stanza.to()))
        });
        let own = by_address
            .map(|row| row.2)
            .or_else(|| self.headers.then(|| by_headers(stanza)).flatten())
            .unwrap_or(self.default);
        own.min(self.ceiling)
    }

    /// What a rule may give at most.
    pub fn at_most(&self, precedence: Precedence) -> Precedence {
        precedence.min(self.ceiling)
    }
}

/// XEP-0131: Urgency low, medium, high; Priority as a number, here an MT-PRIORITY, or a name of a precedence. The higher
/// of what is understood.
//= xmpp/PREC-002
fn by_headers(stanza: &Stanza) -> Option<Precedence> {
    let headers = stanza.child(SHIM, "headers")?;
    headers
        .children()
        .filter(|header| header.is("header", SHIM))
        .filter_map(|header| {
            let value = header.text();
            match header.attr("name")?.to_ascii_lowercase().as_str() {
                "urgency" => urgency(value.trim()),
                "priority" => {
                    MtPriority::parse(value.trim()).map(MtPriority::precedence).or_else(|| Precedence::parse(&value))
                }
                _ => None,
            }
        })
        .max()
}

fn urgency(value: &str) -> Option<Precedence> {
    match value.to_ascii_lowercase().as_str() {
        "low" => Some(Precedence::Deferred),
        "medium" => Some(Precedence::Routine),
        "high" => Some(Precedence::Priority),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, to: &str, headers: &str) -> Stanza {
        let text = format!(
            "<message to='{to}' from='{from}'><body>x</body>\
             <headers xmlns='http://jabber.org/protocol/shim'>{headers}</headers></message>"
        );
        Stanza::parse(text.as_bytes()).unwrap()
    }

    fn table(headers: bool, ceiling: Precedence) -> PrecedenceTable {
        let row = |from: Option<&str>, to: Option<&str>, precedence| AddressPrecedence {
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            precedence,
        };
        let address = vec![
            row(Some("captain@*"), None, Precedence::Flash),
            row(Some("*@hq.test"), Some("ops@chat.field.test"), Precedence::Immediate),
        ];
        PrecedenceTable::new(&PrecedenceConfig { default: Precedence::Routine, ceiling, headers, address }).unwrap()
    }

    #[test]
    fn addresses_before_headers_before_the_default_and_never_above_the_ceiling() {
        let high = "<header name='Urgency'>high</header>";
        let rows = [
            ("captain@hq.test/a", "b@field.test", high, true, Precedence::Override, Precedence::Flash),
            ("captain@hq.test/a", "b@field.test", high, true, Precedence::Immediate, Precedence::Immediate),
            ("a@hq.test/a", "ops@chat.field.test/b", "", true, Precedence::Override, Precedence::Immediate),
            ("a@hq.test/a", "b@field.test", high, true, Precedence::Override, Precedence::Priority),
            ("a@hq.test/a", "b@field.test", high, false, Precedence::Override, Precedence::Routine),
            ("a@hq.test/a", "b@field.test", "", true, Precedence::Override, Precedence::Routine),
        ];
        for (from, to, headers, trusted, ceiling, expected) in rows {
            assert_eq!(table(trusted, ceiling).of(&message(from, to, headers)), expected, "{from} {to} {headers}");
        }
    }

    #[test]
    fn headers_as_written_by_people() {
        let headers = [
            ("<header name='urgency'> LOW </header>", Precedence::Deferred),
            ("<header name='Priority'>4</header>", Precedence::Flash),
            ("<header name='Priority'>immediate</header>", Precedence::Immediate),
            ("<header name='Priority'>99</header>", Precedence::Routine),
            ("<header name='Urgency'>low</header><header name='Priority'>6</header>", Precedence::Override),
            ("<header name='Urgency' xmlns='x'>high</header>", Precedence::Routine),
            ("<header>high</header>", Precedence::Routine),
        ];
        for (text, expected) in headers {
            let stanza = message("a@hq.test", "b@field.test", text);
            assert_eq!(table(true, Precedence::Override).of(&stanza), expected, "{text}");
        }
    }

    #[test]
    fn all_mistakes_at_once() {
        let row = |from: Option<&str>| AddressPrecedence {
            from: from.map(str::to_owned),
            to: None,
            precedence: Precedence::Flash,
        };
        let config = PrecedenceConfig {
            default: Precedence::Flash,
            ceiling: Precedence::Routine,
            headers: false,
            address: vec![row(None), row(Some("a@b@c"))],
        };
        let keys: Vec<String> = PrecedenceTable::new(&config).unwrap_err().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["default", "address.0", "address.1.from"]);
    }
}
