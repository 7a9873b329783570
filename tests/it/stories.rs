//! Plays every story under `tests/stories`.

use skywave::world::story::{Story, run};
use skywave_tests::root;

fn texts() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(root().join("tests/stories")).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "story"));
    paths.sort();
    let name = |path: &std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// `SKYWAVE_STORY=name` plays only stories whose name contains it.
#[test]
fn all_stories_end_well() {
    let only = std::env::var("SKYWAVE_STORY").unwrap_or_default();
    let mut bad = Vec::new();
    for (name, text) in texts().iter().filter(|(name, _)| name.contains(&only)) {
        let outcome = Story::parse(text).map_err(|faults| format!("{faults:?}")).and_then(|story| run(&story));
        match outcome {
            Ok(world) => println!(
                "{name}: {:.0} s, {} steps, {} octets and {:.0} s on air",
                world.at().as_micros() as f64 / 1e6,
                world.steps(),
                world.air.octets_on_air(),
                world.air.seconds_on_air()
            ),
            Err(why) => bad.push(format!("{name}.story: {why}")),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
}

#[test]
fn a_story_played_twice_gives_the_same_bytes() {
    let (_, text) = texts().into_iter().find(|(name, _)| name == "plain-mail").unwrap();
    let story = Story::parse(&text).unwrap();
    let digests: Vec<u64> = (0..2).map(|_| run(&story).unwrap_or_else(|why| panic!("{why}")).digest()).collect();
    assert_eq!(digests[0], digests[1]);
    let other = Story { seed: story.seed + 1, ..story };
    assert_ne!(run(&other).unwrap_or_else(|why| panic!("{why}")).digest(), digests[0]);
}
