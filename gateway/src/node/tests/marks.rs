//! What an operator says of links and sites, and what is left of it after a restart.

use serde_json::json;

use super::*;
use crate::world::plan::{CHAT_LINK, ChatPlan};

fn shown(world: &mut World, link: &str) -> serde_json::Value {
    ask(world, Command::LinkShow { link: link.to_owned() })
}

fn crash(world: &mut World) {
    world.trouble(Duration::ZERO, Trouble::Crash(0, Duration::from_secs(1)));
}

/// The word of an earlier run is still being read when the next one is said.
#[test]
fn what_is_said_while_the_site_starts_holds() {
    let mut world = one_site();
    for on in [true, false] {
        ask(&mut world, Command::Emcon { link: None, on });
        crash(&mut world);
        let in_the_start = Duration::from_secs(1) + Duration::from_micros(1);
        let other = Command::Emcon { link: None, on: !on };
        world.trouble(in_the_start, Trouble::Command(0, Box::new(other)));
        world.run_for(Duration::from_secs(10));
        let expected = if on { "free" } else { "silent" };
        assert_eq!(shown(&mut world, "hf")["emission"], expected, "it was {on} before");
        crash(&mut world);
        world.run_for(Duration::from_secs(10));
        assert_eq!(shown(&mut world, "hf")["emission"], expected, "and after another restart");
    }
}

/// A site that is silent on the first link for its chat is so on that for units: otherwise these would go by ARQ, which it
/// cannot answer.
#[test]
fn silence_on_a_link_for_chat_is_silence_on_that_for_units() {
    let chat = ChatPlan { emcon: crate::chat::config::EmconRule::Units, ..ChatPlan::default() };
    let plan = Plan { chat: Some(chat), ..Plan::new(&["hq", "ship"]) };
    let mut world = World::new(9, &Weather::default());
    for (index, name) in plan.names.iter().enumerate() {
        world.add(name, plan.site(index), false);
    }
    world.run_for(Duration::from_secs(5));
    let units = crate::world::chat_sites::UNITS_LINK;
    for (said_of, on, is_silent) in [(CHAT_LINK, true, json!(["ship.test"])), (units, false, json!([]))] {
        let (link, site) = (said_of.to_owned(), "ship.test".to_owned());
        ask(&mut world, Command::Silence { link, site, on, until: None });
        for restarted in [false, true] {
            for link in [CHAT_LINK, units] {
                let shown = shown(&mut world, link);
                assert_eq!(shown["transport"]["silent_sites"], is_silent, "{link}, said of {said_of}, {restarted}");
                assert_eq!(shown["chat"][0]["silent"], on, "{link}, said of {said_of}, {restarted}");
            }
            crash(&mut world);
            world.run_for(Duration::from_secs(10));
        }
    }
}
