//! The harness itself: the conversation between two servers directly, by dialback and by certificates, and through a
//! component. It is the comparison: what goes wrong here is not ours.

use std::net::IpAddr;
use std::path::Path;

use skywave::bench::xmpp::{Authority, Prosody, ProsodyPlan, Trust};

use super::client::Clients;
use super::ejabberd::Ejabberd;
use super::talk::{Ends, FIELD_USERS, HQ_USERS, Talk};

/// The loopback addresses of the servers, one each.
pub const HQ: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 11, 1));
/// See [`HQ`].
pub const FIELD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 12, 1));

/// A plan with its site's users, all with the password `secret`.
pub fn plan(domain: &str, address: IpAddr, users: &[&str], trust: Trust) -> ProsodyPlan {
    let mut plan = ProsodyPlan::new(domain, address).unwrap();
    plan.users = users.iter().map(|&user| (user.to_owned(), "secret".to_owned())).collect();
    plan.trust = trust;
    plan
}

/// Plans for both sites.
pub fn plans(trust: Trust) -> [ProsodyPlan; 2] {
    [plan("hq.test", HQ, &HQ_USERS, trust), plan("field.test", FIELD, &FIELD_USERS, trust)]
}

fn directly(folder: &Path, trust: Trust) -> [Prosody; 2] {
    let [mut hq, mut field] = plans(trust);
    let authority = Authority::new(folder).unwrap();
    let (far_of_hq, far_of_field) = (field.clone(), hq.clone());
    for (own, far) in [(&mut hq, &far_of_hq), (&mut field, &far_of_field)] {
        let rooms = |plan: &ProsodyPlan| plan.rooms.clone().unwrap();
        own.routes = vec![(far.domain.clone(), far.for_servers), (rooms(far), far.for_servers)];
        own.identity = Some(authority.issue(&[&own.domain, &rooms(own)]).unwrap());
    }
    [Prosody::start(&folder.join("hq"), hq).unwrap(), Prosody::start(&folder.join("field"), field).unwrap()]
}

fn converse(trust: Trust) {
    let folder = tempfile::tempdir().unwrap();
    let [hq, field] = directly(folder.path(), trust);
    let clients = Clients::start();
    let talk = Talk::begin(&clients, Ends { hq: hq.plan.for_clients, field: field.plan.for_clients });
    talk.whole();
    talk.nothing_repeated();
    let by_dialback = hq.log().contains("sent dialback key");
    assert_eq!(
        (by_dialback, hq.log().contains("mechanism='EXTERNAL'")),
        (trust != Trust::External, trust == Trust::External)
    );
}

#[test]
fn two_servers_converse_by_dialback() {
    converse(Trust::Dialback);
}

#[test]
fn two_servers_converse_by_certificates() {
    converse(Trust::External);
}

/// A component for a whole domain, behind each kind of server.
#[test]
fn a_component_hears_and_speaks_for_its_domain() {
    let folder = tempfile::tempdir().unwrap();
    let [mut hq, _] = plans(Trust::DialbackInClear);
    hq.components = vec![("ship.test".to_owned(), "secret".to_owned())];
    let prosody = Prosody::start(&folder.path().join("hq"), hq).unwrap();
    let ejabberd = Ejabberd::start(&folder.path().join("field"), "field.test", FIELD, &FIELD_USERS, &["boat.test"]);
    let clients = Clients::start();
    for (user, server, name, for_components) in [
        ("alice@hq.test", prosody.plan.for_clients, "ship.test", prosody.plan.for_components),
        ("bob@field.test", ejabberd.for_clients, "boat.test", ejabberd.for_components),
    ] {
        let (user, ship) = (clients.login(user, server), clients.component(name, for_components));
        user.available("", "");
        user.send(&format!("mate@{name}"), "to-the-ship", "come in");
        assert_eq!(ship.message("come in")["id"], "to-the-ship");
        ship.order(serde_json::json!({
            "do": "send", "from": format!("mate@{name}/deck"), "to": user.who, "id": "from-the-ship", "body": "here",
        }));
        assert_eq!(user.message("here")["from"], format!("mate@{name}/deck"));
    }
}
