//! Every conformance vector, both ways, and a thousand mutations of each.

use skywave_conformance::tree::{self, CODECS};
use skywave_conformance::{Outcome, run, vectors};
use skywave_protocols::random::Seeded;
use skywave_tests::fuzz::mutated;

const MUTATIONS: usize = 1000;

#[test]
fn all_pass_or_are_excepted() {
    let report = run(&[]).unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
}

#[test]
fn what_is_skipped_says_so_itself() {
    let skipped: Vec<String> = run(&[])
        .unwrap()
        .results
        .into_iter()
        .filter(|result| matches!(result.outcome, Outcome::Skipped { .. }))
        .map(|result| result.vector)
        .collect();
    let excepted: Vec<String> =
        vectors().unwrap().into_iter().filter(|vector| vector.exception.is_some()).map(|vector| vector.id).collect();
    assert_eq!(skipped, excepted);
}

#[test]
fn every_protocol_that_we_speak_has_vectors() {
    let vectors = vectors().unwrap();
    for codec in CODECS {
        assert!(vectors.iter().any(|vector| vector.protocol == codec.protocol), "{}", codec.protocol);
    }
}

/// What a mutated vector is taken as must be written and read again as the same: no panic, no wrong meaning.
#[test]
fn a_thousand_mutations_of_each_do_no_harm() {
    let vectors = vectors().unwrap();
    for vector in &vectors {
        let mut random = Seeded::new(1).fork(&vector.id);
        for _ in 0..MUTATIONS {
            let octets = mutated(&mut random, &vector.octets, &vector.octets);
            // An excepted vector has no codec of its own yet: then all of ours get it.
            let own = tree::of(&vector.protocol).map_or(CODECS, std::slice::from_ref);
            for codec in own {
                let Ok(meaning) = (codec.decode)(&octets) else { continue };
                // Reserved codes and unknown types have no word in a tree; they are shown, not written.
                let Ok(again) = (codec.encode)(&meaning) else { continue };
                assert_eq!((codec.decode)(&again).as_ref(), Ok(&meaning), "{}: {octets:02x?}", vector.id);
            }
        }
    }
}
