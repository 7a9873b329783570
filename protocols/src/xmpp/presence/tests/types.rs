//! Types of presence that nobody knows, and errors: neither is a way around the configuration.

use super::*;

const ROOM_REFUSES: &str = "<presence to='ops@chat.field.test/bob' from='ann@hq.test/a' type='error'><error type='cancel'>\
     <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>";

fn mode(to_link: PresenceMode, from_link: PresenceMode) -> PresenceConfig {
    PresenceConfig { to_link, from_link, ..PresenceConfig::default() }
}

fn of_type(typ: &str, to: &str, from: &str) -> String {
    format!("<presence to='{to}' from='{from}' id='1' type='{typ}'><status>long</status></presence>")
}

/// A local sender is told that it is no presence; what comes by the link is not worth an answer there.
//= xmpp/PRES-011
#[test]
fn presence_of_an_unknown_type_crosses_in_no_mode() {
    for how in [PresenceMode::Full, PresenceMode::Cached, PresenceMode::Folded, PresenceMode::None] {
        for to in ["bob@field.test", "bob@field.test/x"] {
            let config = PresenceConfig { allow_rooms: true, ..mode(how, how) };
            let mut site = Site::new(config);
            for typ in ["x", "available", ""] {
                let said = site.outbound(&of_type(typ, to, "ann@hq.test/a"));
                let answered = said.len() == 1 && said[0].starts_with("back ") && said[0].contains("<bad-request ");
                assert!(answered, "{how:?} {typ}: {said:?}");
            }
            let comes = of_type("x", "ann@hq.test/a", "bob@field.test/x");
            assert_eq!(site.inbound(&comes), NOTHING, "{how:?}");
        }
    }
}

/// With `none` an error is presence as any other; what rooms need crosses where rooms do.
//= xmpp/PRES-011
#[test]
fn errors_cross_where_what_they_answer_does() {
    let plain = of_type("error", "bob@field.test", "ann@hq.test");
    let comes = of_type("error", "ann@hq.test", "bob@field.test");
    let mut none = Site::new(mode(PresenceMode::None, PresenceMode::None));
    assert_eq!(none.outbound(&plain), NOTHING);
    assert_eq!(none.outbound(ROOM_REFUSES), NOTHING);
    assert_eq!(none.inbound(&comes), NOTHING);
    let rooms = PresenceConfig { allow_rooms: true, ..mode(PresenceMode::None, PresenceMode::None) };
    let mut rooms = Site::new(rooms);
    assert_eq!(rooms.outbound(&plain), NOTHING);
    assert_eq!(rooms.outbound(ROOM_REFUSES), [format!("cross {ROOM_REFUSES}")]);
    let refused = of_type("error", "ann@hq.test/a", "ops@chat.field.test/ann");
    assert_eq!(rooms.inbound(&refused), [format!("cross {refused}")]);
    let mut cached = Site::new(PresenceConfig::default());
    assert_eq!(cached.outbound(&plain), [format!("cross {plain}")]);
    assert_eq!(cached.inbound(&comes), [format!("cross {comes}")]);
}
