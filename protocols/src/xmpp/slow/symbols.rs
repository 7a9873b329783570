//! The alphabet in which text is handed to DEFLATE: 256 symbols of one octet, the frequent ones those that a fixed
//! Huffman block writes in 8 bits.
//!
//! A symbol stands for a piece of text (a letter, a frequent syllable, a tag), for a slot of the table of
//! [envelopes](super::envelope), or for what follows: an octet as it is, a new envelope, plain text, a stanza that goes
//! on in the next block. `dictionary/symbols.txt` holds them in the order of their codes; it is made from the training
//! corpus by `cargo run -p skywave-tests --bin dictionary`. Promises: what is decoded is what was encoded, whatever the
//! octets; decoding stops at a cap.

use std::sync::LazyLock;

use super::envelope::{Envelopes, envelope};
use super::fault::SlowFault;
use super::limits::SLOTS_MAX;

/// Symbols that a fixed Huffman block writes in 8 bits; the others take 9.
pub const CHEAP_SYMBOLS: usize = 144;

static SYMBOLS: LazyLock<Symbols> = LazyLock::new(|| Symbols::read(include_str!("dictionary/symbols.txt")));

/// What one code means.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Symbol {
    /// These octets.
    Text(Vec<u8>),
    /// The envelope in this slot.
    Slot(usize),
    /// The next octet as it is.
    Escape,
    /// An envelope follows that enters the table.
    New,
    /// First symbol: all others are octets as they are.
    Plain,
    /// The same, and the last stanza goes on in the next block.
    PlainMore,
    /// Last symbol: the last stanza goes on in the next block.
    More,
}

/// The table, both ways.
#[derive(Debug)]
struct Symbols {
    table: Vec<Symbol>,
    /// For each first octet the texts that begin with it, longest first, with their codes.
    texts: Vec<Vec<(Vec<u8>, u8)>>,
    slots: Vec<u8>,
    escape: u8,
    new: u8,
    plain: u8,
    plain_more: u8,
    more: u8,
}

/// A stanza, or as much of one as a block carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part<'a> {
    /// Its octets.
    pub(super) text: &'a [u8],
    /// Whether the stanza begins here.
    pub(super) begins: bool,
    /// Whether it ends here.
    pub(super) ends: bool,
}

/// What a block held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Decoded {
    /// The text of all parts.
    pub(super) text: Vec<u8>,
    /// Whether the last stanza goes on in the next block.
    pub(super) more: bool,
}

/// Codes the parts of a block, in the alphabet or plain, whichever is shorter.
pub(super) fn encode(envelopes: &mut Envelopes, parts: &[Part<'_>]) -> Vec<u8> {
    let symbols = &*SYMBOLS;
    let more = parts.last().is_some_and(|part| !part.ends);
    let mut table = envelopes.clone();
    let mut coded = Vec::new();
    parts.iter().for_each(|part| symbols.part(&mut table, *part, &mut coded));
    if more {
        coded.push(symbols.more);
    }
    let plain: usize = parts.iter().map(|part| part.text.len() + 1).sum();
    if coded.len() > plain {
        let first = if more { symbols.plain_more } else { symbols.plain };
        return std::iter::once(first).chain(parts.iter().flat_map(|part| part.text.iter().copied())).collect();
    }
    *envelopes = table;
    coded
}

/// Reads what [`encode`] gave with the same envelopes.
///
/// # Errors
/// [`SlowFault::Symbol`], [`SlowFault::TooLarge`]; the envelopes are then of no more use.
pub(super) fn decode(envelopes: &mut Envelopes, content: &[u8], cap: usize) -> Result<Decoded, SlowFault> {
    SYMBOLS.decode(envelopes, content, cap)
}

/// Codes text that is no stanza: what a dictionary holds.
pub(super) fn coded(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    SYMBOLS.text(text, &mut coded);
    coded
}

impl Symbols {
    fn read(lines: &str) -> Self {
        let table: Vec<Symbol> = lines.lines().map(symbol).collect();
        let code_of = |wanted: &Symbol| {
            table.iter().position(|symbol| symbol == wanted).and_then(|code| u8::try_from(code).ok()).unwrap_or(0)
        };
        let mut texts = vec![Vec::new(); 256];
        for (code, symbol) in (0..=u8::MAX).zip(&table) {
            if let Symbol::Text(text) = symbol
                && let Some(list) = text.first().and_then(|first| texts.get_mut(usize::from(*first)))
            {
                list.push((text.clone(), code));
            }
        }
        texts
            .iter_mut()
            .for_each(|list: &mut Vec<(Vec<u8>, u8)>| list.sort_by_key(|(text, _)| usize::MAX - text.len()));
        Self {
            slots: (0..SLOTS_MAX).map(|slot| code_of(&Symbol::Slot(slot))).collect(),
            escape: code_of(&Symbol::Escape),
            new: code_of(&Symbol::New),
            plain: code_of(&Symbol::Plain),
            plain_more: code_of(&Symbol::PlainMore),
            more: code_of(&Symbol::More),
            table,
            texts,
        }
    }

    fn part(&self, envelopes: &mut Envelopes, part: Part<'_>, out: &mut Vec<u8>) {
        // An envelope with an id would be met once only.
        let known = envelope(part.text).filter(|text| part.begins && memchr::memmem::find(text, b" id='").is_none());
        let Some(text) = known else { return self.text(part.text, out) };
        let found = envelopes.find(text).and_then(|slot| Some((slot, *self.slots.get(slot)?)));
        let rest = if let Some((slot, code)) = found {
            let _ = envelopes.take(slot);
            out.push(code);
            part.text.get(text.len()..).unwrap_or_default()
        } else {
            envelopes.insert(text);
            out.push(self.new);
            part.text
        };
        self.text(rest, out);
    }

    /// Appends the symbols for `text` that take the fewest bits.
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let mut best = vec![0_u32; text.len() + 1];
        let mut steps: Vec<(usize, u8)> = vec![(1, self.escape); text.len()];
        for at in (0..text.len()).rev() {
            let rest = text.get(at..).unwrap_or_default();
            let bits_after = |length: usize| best.get(at + length).copied().unwrap_or(0);
            let escaped = bits(self.escape) + rest.first().map_or(0, |octet| bits(*octet)) + bits_after(1);
            let texts = rest.first().and_then(|first| self.texts.get(usize::from(*first)));
            let mut choice = (escaped, 1, self.escape);
            for (symbol, code) in texts.into_iter().flatten() {
                let cost = bits(*code) + bits_after(symbol.len());
                if cost < choice.0 && rest.starts_with(symbol) {
                    choice = (cost, symbol.len(), *code);
                }
            }
            if let (Some(bits), Some(step)) = (best.get_mut(at), steps.get_mut(at)) {
                (*bits, *step) = (choice.0, (choice.1, choice.2));
            }
        }
        let mut at = 0;
        while let (Some(&(length, code)), Some(octet)) = (steps.get(at), text.get(at)) {
            out.push(code);
            if code == self.escape {
                out.push(*octet);
            }
            at += length.max(1);
        }
    }

    fn decode(&self, envelopes: &mut Envelopes, content: &[u8], cap: usize) -> Result<Decoded, SlowFault> {
        let mut out = Text { octets: Vec::new(), begun: None, cap };
        let mut more = false;
        let mut rest = content.iter();
        while let Some(&code) = rest.next() {
            let unknown = SlowFault::Symbol { code };
            match self.table.get(usize::from(code)).ok_or(unknown.clone())? {
                Symbol::Text(text) => out.push(text)?,
                Symbol::Slot(slot) => {
                    out.enter(envelopes, &unknown)?;
                    out.push(envelopes.take(*slot).ok_or(unknown)?)?;
                }
                Symbol::Escape => out.push(std::slice::from_ref(rest.next().ok_or(unknown)?))?,
                Symbol::New => {
                    out.enter(envelopes, &unknown)?;
                    out.begun = Some(out.octets.len());
                }
                Symbol::More if rest.len() == 0 => more = true,
                Symbol::Plain | Symbol::PlainMore if rest.len() + 1 == content.len() => {
                    out.push(rest.as_slice())?;
                    return Ok(Decoded { text: out.octets, more: code == self.plain_more });
                }
                Symbol::More | Symbol::Plain | Symbol::PlainMore => return Err(unknown),
            }
        }
        out.enter(envelopes, &SlowFault::Symbol { code: self.new })?;
        Ok(Decoded { text: out.octets, more })
    }
}

/// Text being decoded.
struct Text {
    octets: Vec<u8>,
    /// Where an envelope began that has not entered the table yet.
    begun: Option<usize>,
    cap: usize,
}

impl Text {
    fn push(&mut self, octets: &[u8]) -> Result<(), SlowFault> {
        if self.octets.len() + octets.len() > self.cap {
            return Err(SlowFault::TooLarge { cap: self.cap });
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    /// Lets the envelope that was announced enter the table, before the next one is met.
    fn enter(&mut self, envelopes: &mut Envelopes, fault: &SlowFault) -> Result<(), SlowFault> {
        let Some(begun) = self.begun.take() else { return Ok(()) };
        let text = self.octets.get(begun..).and_then(envelope).ok_or_else(|| fault.clone())?;
        envelopes.insert(text);
        Ok(())
    }
}

const fn bits(code: u8) -> u32 {
    if (code as usize) < CHEAP_SYMBOLS { 8 } else { 9 }
}

/// One line of the table: a name, or text between quotation marks with `\n`, `\r`, `\t` and `\\` escaped.
fn symbol(line: &str) -> Symbol {
    if let Some(slot) = line.strip_prefix("slot ") {
        return Symbol::Slot(slot.parse().unwrap_or(SLOTS_MAX));
    }
    match line {
        "escape" => Symbol::Escape,
        "new" => Symbol::New,
        "plain" => Symbol::Plain,
        "plain more" => Symbol::PlainMore,
        "more" => Symbol::More,
        text => {
            let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
            let text = text.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace("\\\\", "\\");
            Symbol::Text(text.into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Part<'_> {
        Part { text: text.as_bytes(), begins: true, ends: true }
    }

    #[test]
    fn the_table_is_whole() {
        let symbols = &*SYMBOLS;
        assert_eq!(symbols.table.len(), 256);
        for (code, symbol) in (0..=u8::MAX).zip(&symbols.table) {
            assert_eq!(symbols.table.iter().filter(|other| *other == symbol).count(), 1, "{symbol:?}");
            assert!(*symbol != Symbol::Slot(SLOTS_MAX) && *symbol != Symbol::Text(Vec::new()), "{code}");
        }
        for octet in (b' '..=b'~').chain([b'\t', b'\n', b'\r']) {
            assert_eq!(coded(&[octet]).len(), 1, "{octet}");
        }
        assert_eq!(symbols.slots.len(), SLOTS_MAX);
        assert_eq!(symbols.table.iter().filter(|symbol| matches!(symbol, Symbol::Slot(_))).count(), SLOTS_MAX);
    }

    #[test]
    fn envelopes_become_one_symbol() {
        let (mut here, mut there) = (Envelopes::default(), Envelopes::default());
        let stanza = "<message to='b@y' from='a@x' type='chat'><body>ok</body></message>";
        let first = encode(&mut here, &[whole(stanza)]);
        let second = encode(&mut here, &[whole(stanza), whole("<presence to='b@y' from='a@x'/>")]);
        assert!(second.len() < first.len() + 10, "{} {}", first.len(), second.len());
        assert_eq!(decode(&mut there, &first, 1_000).unwrap().text, stanza.as_bytes());
        let text = [stanza, "<presence to='b@y' from='a@x'/>"].concat();
        assert_eq!(decode(&mut there, &second, 1_000).unwrap().text, text.as_bytes());
        assert_eq!(here, there);
        assert!(matches!(decode(&mut Envelopes::default(), &second, 1_000), Err(SlowFault::Symbol { .. })));
        assert_eq!(decode(&mut there, &second, 10), Err(SlowFault::TooLarge { cap: 10 }));
    }

    #[test]
    fn other_scripts_go_plain() {
        let mut envelopes = Envelopes::default();
        let text = "<message to='b@y'><body>\u{434}\u{43e}\u{43a}\u{43b}\u{430}\u{434} \u{433}\u{43e}\u{442}\u{43e}\u{432}, \u{436}\u{434}\u{443} \u{43f}\u{440}\u{438}\u{43a}\u{430}\u{437}\u{430}</body></message>";
        let content = encode(&mut envelopes, &[whole(text)]);
        assert_eq!(content.len(), text.len() + 1);
        assert_eq!(envelopes, Envelopes::default());
        assert_eq!(decode(&mut envelopes, &content, 1_000), Ok(Decoded { text: text.into(), more: false }));
        let part = Part { ends: false, ..whole(text) };
        let content = encode(&mut envelopes, &[part]);
        assert_eq!(decode(&mut envelopes, &content, 1_000), Ok(Decoded { text: text.into(), more: true }));
    }

    proptest::proptest! {
        #[test]
        fn round_trip(texts: Vec<Vec<u8>>, again: Vec<bool>, ends: bool) {
            let (mut here, mut there) = (Envelopes::default(), Envelopes::default());
            for block in [&texts, &texts] {
                let last = block.len().saturating_sub(1);
                let parts: Vec<Part<'_>> = block.iter().enumerate().map(|(n, text)| Part {
                    text,
                    begins: again.get(n).copied().unwrap_or(true),
                    ends: ends || n < last,
                }).collect();
                let content = encode(&mut here, &parts);
                let more = parts.last().is_some_and(|part| !part.ends);
                let read = decode(&mut there, &content, usize::MAX);
                proptest::prop_assert_eq!(read, Ok(Decoded { text: block.concat(), more }));
                proptest::prop_assert_eq!(&here, &there);
            }
        }

        #[test]
        fn any_octets_are_read_or_refused(content: Vec<u8>, cap in 0_usize..2_000) {
            if let Ok(decoded) = decode(&mut Envelopes::default(), &content, cap) {
                proptest::prop_assert!(decoded.text.len() <= cap);
            }
        }
    }
}
