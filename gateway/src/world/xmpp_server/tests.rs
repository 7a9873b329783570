use skywave_protocols::xmpp::component::Component;

use super::*;

/// A server and a component at it, as the gateway's door has one.
struct Pair {
    server: XmppServer,
    component: Component,
    heard: Vec<Stanza>,
}

fn pair(name: &str) -> Pair {
    let mut pair = Pair {
        server: XmppServer::new("hq.test"),
        component: Component::new(name, COMPONENT_SECRET),
        heard: Vec::new(),
    };
    pair.server.open(1);
    pair.component.opened();
    pair.carry();
    pair
}

impl Pair {
    fn carry(&mut self) {
        loop {
            let mut moved = false;
            while let Some(octets) = self.component.poll_write() {
                moved = true;
                self.server.read(Instant::ZERO, 1, &octets);
            }
            while let Some(output) = self.server.poll() {
                moved = true;
                if let ServerOutput::Write(_, octets) = output {
                    self.component.read(&octets);
                }
            }
            if !moved {
                break;
            }
        }
        while let Some(event) = self.component.poll_event() {
            if let skywave_protocols::xmpp::component::ComponentEvent::Element(element) = event {
                self.heard.push(Stanza::from_element(element).unwrap());
            }
        }
    }

    fn send(&mut self, text: &str) {
        let stanza = Stanza::parse(text.as_bytes()).unwrap();
        self.component.send(&stanza.octets_for(skywave_protocols::xmpp::writer::Scope::COMPONENT));
        self.carry();
    }
}

#[test]
fn a_component_talks_with_a_user() {
    let mut pair = pair("field.test");
    assert!(pair.component.is_up());
    pair.server.say(Instant::ZERO, "ann", "bob@field.test", "it's <here>");
    pair.carry();
    assert_eq!(pair.heard[0].child(ns::SERVER, "body").unwrap().text(), "it's <here>");
    pair.send("<message from='bob@field.test/x' to='ann@hq.test' id='1'><body>yes</body></message>");
    assert_eq!(pair.server.heard().map(|(_, body)| body).collect::<Vec<_>>(), ["yes"]);
    pair.send("<message from='eve@evil.test/x' to='ann@hq.test' id='1'><body>no</body></message>");
    assert!(!pair.server.is_open(1), "a wrong sender costs the connection");
}

#[test]
fn subscriptions_are_granted_and_probes_answered() {
    let mut pair = pair("field.test");
    pair.server.presence(Instant::ZERO, "ann", true, Some("away"));
    pair.send("<presence from='bob@field.test' to='ann@hq.test' type='subscribe'/>");
    let types: Vec<Option<&str>> = pair.heard.iter().map(Stanza::typ).collect();
    assert_eq!(types, [Some("subscribed"), None]);
    pair.heard.clear();
    pair.send("<presence from='bob@field.test' to='ann@hq.test' type='probe'/>");
    assert_eq!(pair.heard[0].child(ns::SERVER, "show").unwrap().text(), "away");
    pair.server.presence(Instant::ZERO, "ann", false, None);
    pair.carry();
    assert_eq!(pair.heard[1].typ(), Some("unavailable"));
}

#[test]
fn a_room_has_occupants_history_and_kicks_who_answers_with_errors() {
    let mut pair = pair("field.test");
    let room = "ops@chat.hq.test";
    pair.server.room_presence(Instant::ZERO, "ann", room, "Ann", true);
    pair.server.say(Instant::ZERO, "ann", room, "before");
    pair.server.subject(Instant::ZERO, "ann", room, "Plans");
    pair.send(&format!("<presence from='bob@field.test/x' to='{room}/Bob'><x xmlns='{}'/></presence>", ns::MUC));
    let kinds: Vec<Kind> = pair.heard.iter().map(Stanza::kind).collect();
    assert_eq!(kinds, [Kind::Presence, Kind::Presence, Kind::Message, Kind::Message], "seats, history, subject");
    assert_eq!(pair.server.occupants(room), ["Ann", "Bob"]);
    pair.send(&format!(
        "<message from='bob@field.test/x' to='{room}' type='groupchat' id='2'><body>hello</body></message>"
    ));
    assert_eq!(pair.heard.last().unwrap().from().as_str(), "ops@chat.hq.test/Bob");
    pair.send(&format!("<presence from='bob@field.test/x' to='{room}/Robert'/>"));
    assert_eq!(pair.server.occupants(room), ["Ann", "Robert"]);
    pair.send(&format!(
        "<message from='bob@field.test/x' to='{room}/Ann' type='error'><error type='wait'>\
         <remote-server-timeout xmlns='{}'/></error></message>",
        ns::STANZA_ERRORS
    ));
    assert_eq!(pair.server.occupants(room), ["Ann"]);
}
