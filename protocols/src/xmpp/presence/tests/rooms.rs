//! Rooms that are large, and users who come in again and again (27 of the hostile inputs; no federated rooms yet).

use super::super::limits::SEATS_MAX;
use super::*;

fn join(user: u32) -> String {
    JOIN.replace("ann@hq.test/a", &format!("user{user}@hq.test/a"))
}

#[test]
fn a_room_of_ten_thousand_passes_and_is_not_kept() {
    let mut site = Site::new(PresenceConfig { from_link: PresenceMode::Folded, ..PresenceConfig::default() });
    site.outbound(JOIN);
    let other = SEATED.replace("<status code='110'/>", "");
    assert_ne!(other, SEATED, "it tells whose presence is one's own");
    for number in 0..10_000 {
        let occupant = other.replace("/ann'", &format!("/occupant {number}'"));
        assert_eq!(site.inbound(&occupant), [format!("cross {occupant}")]);
    }
    site.inbound(SEATED);
    let facts = site.cache.describe();
    assert_eq!((facts.pairs, facts.clients, facts.seats), (0, 0, 1));
    assert!(site.outbound(PING)[0].ends_with("type='result'/>"), "the user's own seat is known among them");
    site.save();
    assert_eq!(site.rows.len(), 1, "one seat");
}

#[test]
fn joins_again_and_again_are_one_seat_and_seats_are_bounded() {
    let mut site = Site::new(PresenceConfig::default());
    for _ in 0..100 {
        assert_eq!(site.outbound(JOIN), [format!("cross {JOIN}")], "the room answers each");
    }
    assert_eq!(site.cache.describe().seats, 1);
    site.inbound(SEATED);
    assert_eq!(site.outbound(JOIN), [format!("cross {JOIN}")], "a client that lost its state comes in again");
    assert!(site.outbound(PING)[0].ends_with("type='result'/>"), "and still sits there");
    for user in 0..2 * u32::try_from(SEATS_MAX).unwrap() {
        assert_eq!(site.outbound(&join(user)), [format!("cross {}", join(user))]);
    }
    assert_eq!(site.cache.describe().seats, SEATS_MAX);
}

/// A room that was restarted, or threw a user out unheard, knows nothing of his seat: his client must hear that.
//= xmpp/PRES-010
#[test]
fn a_seat_that_the_room_denies_is_no_seat_any_more() {
    let error = |from: &str, condition: &str| {
        format!(
            "<message to='ann@hq.test/a' from='{from}' type='error'><body>x</body><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        )
    };
    let room = "ops@chat.field.test";
    for (from, condition, denied) in [
        (room, "not-acceptable", true),
        (room, "item-not-found", true),
        ("ops@chat.field.test/bob", "not-acceptable", true),
        // The occupant is gone to whom she spoke in private; she may not speak now; a line was too large.
        ("ops@chat.field.test/bob", "item-not-found", false),
        (room, "forbidden", false),
        (room, "policy-violation", false),
        ("other@chat.field.test", "not-acceptable", false),
    ] {
        let mut site = Site::new(PresenceConfig::default());
        site.outbound(JOIN);
        site.inbound(SEATED);
        site.save();
        let error = error(from, condition);
        assert_eq!(site.inbound(&error), [format!("cross {error}")]);
        let crosses = site.outbound(PING) == [format!("cross {PING}")];
        assert_eq!(crosses, denied, "{from} {condition}");
        site.restart();
        assert_eq!(site.outbound(PING) == [format!("cross {PING}")], denied, "{from} {condition} after a restart");
    }
}

/// What a room tells two clients of one user, and what one user tells two clients: none takes the place of the other. What
/// a user tells a room does, under whatever nick.
#[test]
fn presence_for_each_client_waits_for_itself_and_for_a_room_once() {
    let mut site = Site::new(PresenceConfig::default());
    let mut key = |text: &str| site.cache.outbound(site.now, stanza(text)).replace.unwrap();
    let told = |to: &str| {
        format!(
            "<presence to='{to}' from='ops@chat.hq.test/Alice'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='none' role='participant'/></x></presence>"
        )
    };
    assert_ne!(key(&told("bob@field.test/desk")), key(&told("bob@field.test/phone")));
    assert_eq!(key(&told("bob@field.test/desk")), key(&told("bob@field.test/desk")));
    let directed = |to: &str| format!("<presence to='{to}' from='ann@hq.test/a'/>");
    assert_ne!(key(&directed("bob@field.test/desk")), key(&directed("bob@field.test/phone")));
    let joined = key(JOIN);
    assert_eq!(joined, key(&JOIN.replace("/ann'", "/ann the second'")), "a join under another nick");
    site.inbound(SEATED);
    let mut key = |text: &str| site.cache.outbound(site.now, stanza(text)).replace.unwrap();
    assert_eq!(joined, key("<presence to='ops@chat.field.test/other' from='ann@hq.test/a'/>"), "another nick");
    assert_eq!(joined, key("<presence to='ops@chat.field.test/ann' from='ann@hq.test/a' type='unavailable'/>"));
}
