//! Who of the stand-in's users is online, and who may see it.

use std::collections::{BTreeMap, BTreeSet};

use skywave_protocols::xmpp::{Kind, Stanza};

use super::seam::{RESOURCE, stanza};

/// Subscriptions and presence of all users.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// User and contact: the contact sees the user.
    seen_by: BTreeSet<(String, String)>,
    /// User and contact: the user sees the contact, or asked to.
    sees: BTreeSet<(String, String)>,
    online: BTreeMap<String, Option<String>>,
}

impl Roster {
    /// A user asks to see a contact.
    pub(super) fn asks(&mut self, user: &str, contact: &str) {
        self.sees.insert((user.to_owned(), contact.to_owned()));
    }

    /// A user comes or goes: what the server sends to contacts.
    pub(super) fn set(&mut self, user: &str, online: bool, show: Option<&str>) -> Vec<Stanza> {
        let came = online && !self.online.contains_key(user);
        if online {
            self.online.insert(user.to_owned(), show.map(str::to_owned));
        } else {
            self.online.remove(user);
        }
        let contacts = |pairs: &BTreeSet<(String, String)>| -> Vec<String> {
            pairs.iter().filter(|(of, _)| of == user).map(|(_, contact)| contact.clone()).collect()
        };
        let mut sent: Vec<Stanza> =
            contacts(&self.seen_by).iter().filter_map(|contact| self.state(user, contact)).collect();
        if came {
            let probe =
                |contact: &String| stanza(&format!("<presence from='{user}/{RESOURCE}' to='{contact}' type='probe'/>"));
            sent.extend(contacts(&self.sees).iter().filter_map(probe));
        }
        sent
    }

    /// What a contact is told of a user.
    fn state(&self, user: &str, contact: &str) -> Option<Stanza> {
        match self.online.get(user) {
            None => stanza(&format!("<presence from='{user}/{RESOURCE}' to='{contact}' type='unavailable'/>")),
            Some(None) => stanza(&format!("<presence from='{user}/{RESOURCE}' to='{contact}'/>")),
            Some(Some(show)) => {
                stanza(&format!("<presence from='{user}/{RESOURCE}' to='{contact}'><show>{show}</show></presence>"))
            }
        }
    }

    /// A stanza for a user: what the server answers by itself. Every request to see somebody is granted.
    pub(super) fn take(&mut self, got: &Stanza) -> Vec<Stanza> {
        let (user, contact) = (got.to().to_bare().to_string(), got.from().to_bare().to_string());
        let pair = (user.clone(), contact.clone());
        let answers = match (got.kind(), got.typ()) {
            (Kind::Presence, Some("subscribe")) => {
                self.seen_by.insert(pair);
                vec![
                    stanza(&format!("<presence from='{user}' to='{contact}' type='subscribed'/>")),
                    self.state(&user, &contact),
                ]
            }
            (Kind::Presence, Some("unsubscribe")) => {
                self.seen_by.remove(&pair);
                Vec::new()
            }
            (Kind::Presence, Some("unsubscribed")) => {
                self.sees.remove(&pair);
                Vec::new()
            }
            (Kind::Presence, Some("probe")) if self.seen_by.contains(&pair) => vec![self.state(&user, &contact)],
            (Kind::Iq, Some("get" | "set")) => {
                let (from, to, id) = (got.to(), got.from(), got.id().unwrap_or_default());
                vec![stanza(&format!("<iq from='{from}' to='{to}' id='{id}' type='result'/>"))]
            }
            _ => Vec::new(),
        };
        answers.into_iter().flatten().collect()
    }
}
