//! Plays seeded worlds: random mail and troubles, then calm, then everything must come to its end.

use skywave::node::command::{Command, Reply};
use skywave::world::account::log;
use skywave::world::disk::Disk;
use skywave::world::seeds::{play, play_through};
use skywave_protocols::time::Duration;

/// Seeds in the everyday loop; `SKYWAVE_SEEDS=200` for more.
const SEEDS: u64 = 20;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn seeded_worlds_come_to_their_end() {
    let count = from_environment("SKYWAVE_SEEDS").unwrap_or(SEEDS);
    let bad: Vec<String> = (1..=count).filter_map(|seed| play(seed).err()).collect();
    let shown = bad.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    let firsts: Vec<&str> = bad.iter().filter_map(|why| why.lines().next()).collect();
    assert!(bad.is_empty(), "{} of {count} seeds failed:\n{}\n\n{shown}", bad.len(), firsts.join("\n"));
}

/// `SKYWAVE_SEED=17` plays that one seed; `SKYWAVE_LOG=1` prints all that its sites told, and what they show of their links.
#[test]
fn one_seed() {
    let seed = from_environment("SKYWAVE_SEED").unwrap_or(1);
    let (mut world, end) = play_through(seed, Disk::default, "cargo test -p skywave-tests --test it one_seed");
    if from_environment("SKYWAVE_LOG").is_some() {
        log(&world).iter().for_each(|line| println!("{line}"));
        for site in 0..world.sites.len() {
            let names: Vec<String> = world.sites[site].config.links.iter().map(|link| link.name.to_string()).collect();
            for link in names {
                let shown = world.ask(site, Command::LinkShow { link }, Duration::from_secs(60));
                println!("{} shows {}", world.sites[site].name, shown.map(shown_as).unwrap_or_default());
            }
        }
    }
    end.unwrap_or_else(|why| panic!("{why}"));
    println!(
        "seed {seed}: {} steps, {:.0} s, digest {:016x}",
        world.steps(),
        world.at().as_micros() as f64 / 1e6,
        world.digest()
    );
}

fn shown_as(reply: Reply) -> String {
    serde_json::to_string(&reply).unwrap_or_default()
}

#[test]
fn a_seed_played_twice_gives_the_same_bytes() {
    let digests: Vec<u64> = (0..2).map(|_| play(3).unwrap_or_else(|why| panic!("{why}")).digest()).collect();
    assert_eq!(digests[0], digests[1]);
}
