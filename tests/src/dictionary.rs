//! Makes the alphabet and the dictionary of the slow side from the training corpus.
//!
//! The alphabet: every printable ASCII character, the special symbols, and pieces of text that are merged from the
//! corpus pair by pair, the most frequent pair first (byte pair encoding). Symbols are ordered by how often the corpus
//! needs them, because the first 144 codes take 8 bits in a fixed Huffman block and the others 9. The dictionary: frequent
//! words of English, what stanzas are made of, then the lines of the corpus. Both files are committed; a test sees that they are current.

use std::collections::BTreeMap;
use std::path::PathBuf;

use skywave_protocols::xmpp::slow::limits::SLOTS_MAX;

/// Codes in all.
const CODES: usize = 256;
/// Longest piece that is merged from the corpus.
const PIECE_OCTETS_MAX: usize = 6;
/// How often a piece must occur.
const PIECE_COUNT_MIN: usize = 4;
/// Pieces of stanzas with a symbol of their own: most messages and presences need nothing else beside names and text.
const TAGS: [&str; 18] = [
    "</body></message>",
    "'/>",
    "<message to='",
    "' from='",
    "' type='chat'><body>",
    "<presence to='",
    "<body>",
    "</message>",
    "</presence>",
    " xmlns='",
    "</show>",
    "<show>",
    "<show>away</show></presence>",
    "' type='groupchat'><body>",
    "' type='unavailable'/>",
    "<iq to='",
    "' id='~",
    "/></iq>",
];
/// Symbols that are wanted among the cheap ones whatever the corpus says.
const SLOTS_CHEAP: usize = 12;

/// What is generated: the place in the source tree and the text.
///
/// # Errors
/// The corpus cannot be read.
pub fn generated() -> std::io::Result<Vec<(PathBuf, String)>> {
    let folder = crate::root().join("protocols/src/xmpp/slow/dictionary");
    let training = std::fs::read_to_string(folder.join("training.txt"))?;
    let words = std::fs::read_to_string(folder.join("words.txt"))?;
    let vocabulary = std::fs::read_to_string(folder.join("vocabulary.txt"))?;
    Ok(vec![
        (folder.join("symbols.txt"), symbols(&training)),
        (folder.join("dictionary.txt"), [words, vocabulary, training].concat()),
    ])
}

fn symbols(training: &str) -> String {
    let mut singles: Vec<String> = (b' '..=b'~').map(|octet| char::from(octet).to_string()).collect();
    singles.extend(["\n", "\r", "\t"].map(str::to_owned));
    let special = ["escape", "plain", "plain more", "more"].map(str::to_owned);
    let slots: Vec<String> = (0..SLOTS_MAX).map(|slot| format!("slot {slot}")).collect();
    let wanted = CODES - singles.len() - special.len() - 1 - slots.len() - TAGS.len();
    let lines = pieces(training, wanted);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    lines.iter().flatten().for_each(|piece| *counts.entry(piece).or_default() += 1);
    let mut texts: Vec<String> = singles;
    texts.extend(counts.keys().filter(|piece| piece.len() > 1).map(|piece| (*piece).to_owned()));
    texts.sort_by_key(|text| (usize::MAX - counts.get(text.as_str()).copied().unwrap_or(0), text.clone()));
    let (cheap_slots, slots) = slots.split_at(SLOTS_CHEAP);
    let quoted = |text: &str| {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"))
    };
    let mut lines: Vec<String> = cheap_slots.to_vec();
    lines.push("new".to_owned());
    lines.extend(TAGS.map(quoted));
    lines.extend(texts.iter().map(|text| quoted(text)));
    lines.extend(slots.iter().cloned().chain(special));
    lines.join("\n") + "\n"
}

/// The corpus in pieces: pairs are merged until there are `wanted` kinds of pieces longer than one character.
fn pieces(training: &str, wanted: usize) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = training.lines().map(|line| line.chars().map(String::from).collect()).collect();
    loop {
        let kinds: std::collections::BTreeSet<&String> =
            lines.iter().flatten().filter(|piece| piece.len() > 1).collect();
        if kinds.len() >= wanted {
            return lines;
        }
        let mut pairs: BTreeMap<String, usize> = BTreeMap::new();
        for pair in lines.iter().flat_map(|line| line.windows(2)) {
            let merged = pair.concat();
            if merged.len() <= PIECE_OCTETS_MAX {
                *pairs.entry(merged).or_default() += 1;
            }
        }
        let best = pairs
            .into_iter()
            .filter(|(_, count)| *count >= PIECE_COUNT_MIN)
            .max_by_key(|(pair, count)| (*count, pair.clone()));
        let Some((best, _)) = best else { return lines };
        lines = lines.iter().map(|line| merged(line, &best)).collect();
    }
}

fn merged(line: &[String], pair: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(line.len());
    let mut last_is_fresh = false;
    for piece in line {
        match out.last_mut() {
            Some(last)
                if !last_is_fresh && last.len() + piece.len() == pair.len() && format!("{last}{piece}") == pair =>
            {
                last.push_str(piece);
                last_is_fresh = true;
            }
            _ => {
                out.push(piece.clone());
                last_is_fresh = false;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_files_are_current() {
        for (path, text) in generated().unwrap() {
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(committed == text, "{}: run `cargo run -p skywave-tests --bin dictionary`", path.display());
        }
    }

    #[test]
    fn pairs_merge_from_left_to_right() {
        let line: Vec<String> = "aaab".chars().map(String::from).collect();
        assert_eq!(merged(&line, "aa"), ["aa", "a", "b"]);
        assert_eq!(merged(&merged(&line, "aa"), "aaab"), ["aa", "a", "b"]);
    }
}
