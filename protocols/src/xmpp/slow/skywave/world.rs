//! Two sides and a bad medium between them, in virtual time, from a seed.
//!
//! Troubles: units lost, doubled, late, cut, altered; the medium lying about delivery, going down and up; either side
//! crashing at any point, with a batch that was open saved or not; batches refused, or held back for a while. Then calm, in
//! which all must arrive.
//! Checked after each step: what a side handed on is what the other was given, in order for each context, once; what may
//! come twice does so only after a crash, and over a fast stream what is only in memory may be lost with its side.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::config::{Medium, Profile, SlowConfig};
use super::super::session::{Outgoing, Session, SlowOutput};
use crate::bytes::Bytes;
use crate::message::precedence::MtPriority;
use crate::random::{Random as _, Seeded};
use crate::time::{Duration, Now, WallTime};
use crate::xmpp::Stanza;

/// What the medium does, in chances per million.
#[derive(Clone, Copy)]
pub(super) struct Troubles {
    pub(super) lose: u32,
    pub(super) double: u32,
    pub(super) late: u32,
    pub(super) cut: u32,
    pub(super) flip: u32,
    pub(super) lie: u32,
    pub(super) down: u32,
    pub(super) crash: u32,
    pub(super) refuse: u32,
    /// No place for what came: for some ten steps.
    pub(super) full: u32,
}

pub(super) const CALM: Troubles =
    Troubles { lose: 0, double: 0, late: 0, cut: 0, flip: 0, lie: 0, down: 0, crash: 0, refuse: 0, full: 0 };

const SERVER: &str = "jabber:server";
/// What is only an aside begins so.
const ASIDE: &str = "aside ";

type Change = (Vec<u8>, Option<Bytes>);
/// A row of the gateway: number; priority, label, body.
type Row = (u64, (i8, u8, String));

struct Side {
    session: Session,
    /// The session's records, and the gateway's rows: number, priority, label, body.
    disk: BTreeMap<Vec<u8>, Bytes>,
    rows: BTreeMap<u64, (i8, u8, String)>,
    /// Rows that are done and not yet deleted.
    done: Vec<u64>,
    open: Option<(u64, Vec<Change>, Vec<Stanza>)>,
    /// Batches of rows on their way to the disk, with the records of what left meanwhile.
    joined: VecDeque<(Vec<Row>, Vec<Change>)>,
    /// How many of them were on their way before the open batch.
    before_open: usize,
    /// Rows that the disk refused, whose stanzas are in blocks: they go with the next batch of the session, or alone when
    /// that has none; and those that do.
    owed: Vec<Row>,
    riding: Vec<Row>,
    next_row: u64,
    /// All that was ever submitted, by context, in order; and what the other side handed on.
    sent: BTreeMap<u8, Vec<String>>,
    got: BTreeMap<u8, Vec<String>>,
    ids: BTreeSet<String>,
    /// Asides that a crash of this side may have taken with it.
    lost: BTreeSet<String>,
    crashed: bool,
    down: bool,
    full: bool,
}

struct World {
    random: Seeded,
    now: Now,
    sides: [Side; 2],
    air: Vec<(Now, usize, Vec<u8>)>,
    feedback: Vec<(Now, usize, u64, bool)>,
    troubles: Troubles,
    boundaries: bool,
    bits_per_second: u32,
    unit_octets_max: usize,
    lives: u64,
}

fn config(site: usize, random: &mut Seeded) -> SlowConfig {
    let mut config = SlowConfig::new(Profile::Skywave);
    config.names = vec!["hq.example".to_owned(), "field.example".to_owned()];
    // A dictionary that only one side has costs time, never text.
    if site == 1 && random.chance(100_000) {
        config.names.clear();
    }
    config
}

impl Side {
    /// What it said with a key, but for asides that were lost with it and did not arrive.
    fn said(&self, key: u8, got: &[String]) -> Vec<&String> {
        let all = self.sent.get(&key).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|body| !self.lost.contains(*body) || got.contains(body)).collect()
    }
}

impl World {
    fn new(seed: u64, troubles: Troubles) -> Self {
        let mut random = Seeded::new(seed);
        let boundaries = random.chance(750_000);
        // Every second seed has a fast stream, if it has one; nothing is drawn for it.
        let bits_per_second = if !boundaries && seed % 2 == 1 { 1_000_000 } else { 1_200 };
        let unit_octets_max = [200, 500, 2_048, 20_000][random.below(4) as usize];
        let side = |site: usize, random: &mut Seeded| Side {
            session: Session::new(config(site, random), Box::new(random.fork(["a", "b"][site]))),
            disk: BTreeMap::new(),
            rows: BTreeMap::new(),
            done: Vec::new(),
            open: None,
            joined: VecDeque::new(),
            before_open: 0,
            owed: Vec::new(),
            riding: Vec::new(),
            next_row: 1,
            sent: BTreeMap::new(),
            got: BTreeMap::new(),
            ids: BTreeSet::new(),
            lost: BTreeSet::new(),
            crashed: false,
            down: true,
            full: false,
        };
        let sides = [side(0, &mut random), side(1, &mut random)];
        let now = Now::default().after(Duration::from_secs(1_000));
        Self {
            random,
            now,
            sides,
            air: Vec::new(),
            feedback: Vec::new(),
            troubles,
            boundaries,
            bits_per_second,
            unit_octets_max,
            lives: 0,
        }
    }

    fn body(&mut self, site: usize, number: u64) -> String {
        let words = [
            "report",
            "position",
            "at once",
            "convoy",
            "\u{434}\u{43e}\u{43a}\u{43b}\u{430}\u{434}",
            "&<>'\"",
            "fuel 60 percent",
        ];
        let count = if self.random.chance(30_000) { 400 } else { self.random.below(9) };
        let aside = if self.random.chance(300_000) { ASIDE } else { "" };
        let mut body = format!("{aside}{site} {number}");
        for _ in 0..count {
            body.push(' ');
            body.push_str(words[self.random.below(words.len() as u64) as usize]);
        }
        body
    }

    fn submit(&mut self, site: usize) {
        let joins = self.sides[site].session.takes_joined() && self.random.chance(600_000);
        let count = if joins { 1 + self.random.below(3) } else { 1 };
        let rows: Vec<Row> = (0..count).map(|_| self.say(site)).collect();
        if joins {
            let joined = rows.iter().map(|(number, row)| outgoing(site, *number, row)).collect();
            self.sides[site].session.submit_joined(self.now, joined);
            self.sides[site].joined.push_back((rows, Vec::new()));
            return self.outputs(site);
        }
        for row in rows {
            let given = outgoing(site, row.0, &row.1);
            self.sides[site].rows.extend([row]);
            self.sides[site].session.submit(self.now, given);
        }
    }

    fn say(&mut self, site: usize) -> Row {
        let number = self.sides[site].next_row;
        self.sides[site].next_row += 1;
        let priority = [-4, -2, -2, 0, 2, 4, 6][self.random.below(7) as usize];
        let label = [0, 0, 0, 0, 3][self.random.below(5) as usize];
        let body = self.body(site, number);
        // Rows of one precedence stay in order; only those are compared.
        let urgent = u8::from(priority >= 3);
        self.sides[site].sent.entry(order_key(label, priority, urgent)).or_default().push(body.clone());
        (number, (priority, label, body))
    }

    fn medium(&self) -> Medium {
        Medium {
            boundaries: self.boundaries,
            unit_octets_max: self.unit_octets_max,
            bits_per_second: self.bits_per_second,
        }
    }

    fn up(&mut self, site: usize) {
        let medium = self.medium();
        self.sides[site].down = false;
        self.sides[site].session.medium_up(self.now, medium);
        self.sides[site].session.set_room(self.now, 4, 1 << 20);
    }

    /// A side loses all that is not on its disk.
    fn crash(&mut self, site: usize) {
        self.lose_on_the_way(site);
        self.lives += 1;
        let life = self.lives;
        let random = self.random.fork(&format!("life {life}"));
        let config = config(0, &mut self.random);
        let side = &mut self.sides[site];
        side.crashed = true;
        side.full = false;
        side.done.clear();
        side.session = Session::new(config, Box::new(random));
        let rows = side.disk.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        side.session.restore(self.now, rows);
        side.down = true;
        self.feedback.retain(|(_, to, _, _)| *to != site);
        if self.medium().is_fast() {
            self.forget_asides(site);
        }
        for (number, row) in self.sides[site].rows.clone() {
            self.sides[site].session.submit(self.now, outgoing(site, number, &row));
        }
        if !self.boundaries {
            self.lose_stream();
        }
        self.up(site);
    }

    /// Of the batches on their way only the first may have reached the disk; who said the rest was not told that it is here.
    fn lose_on_the_way(&mut self, site: usize) {
        let mut works = true;
        let before = self.sides[site].before_open;
        let joined = std::mem::take(&mut self.sides[site].joined);
        for (place, (rows, changes)) in joined.into_iter().enumerate() {
            if place == before {
                works = self.lose_open(site, works);
            }
            works &= self.random.chance(500_000);
            if works {
                self.sides[site].rows.extend(rows);
                self.commit(site, changes, Vec::new());
            } else {
                self.sides[site].lost.extend(rows.into_iter().map(|(_, (_, _, body))| body));
            }
        }
        self.lose_open(site, works);
        let owed = std::mem::take(&mut self.sides[site].owed);
        self.sides[site].lost.extend(owed.into_iter().map(|(_, (_, _, body))| body));
    }

    fn lose_open(&mut self, site: usize, mut works: bool) -> bool {
        let Some((_, changes, arrived)) = self.sides[site].open.take() else { return works };
        works &= self.random.chance(500_000);
        let riding = std::mem::take(&mut self.sides[site].riding);
        if works {
            self.sides[site].rows.extend(riding);
            self.commit(site, changes, arrived);
        } else {
            self.sides[site].lost.extend(riding.into_iter().map(|(_, (_, _, body))| body));
        }
        works
    }

    /// So many batches that were on their way to the disk are there.
    fn store_joined(&mut self, site: usize, count: usize) {
        let count = count.min(self.sides[site].joined.len());
        let stored: Vec<_> = self.sides[site].joined.drain(..count).collect();
        for (rows, changes) in stored {
            if !self.random.chance(self.troubles.refuse) {
                self.sides[site].rows.extend(rows);
                self.commit(site, changes, Vec::new());
                continue;
            }
            for row in rows {
                if self.sides[site].session.withdraw(row.0) {
                    // Who said it is told.
                    self.sides[site].lost.insert(row.1.2);
                } else {
                    self.sides[site].owed.push(row);
                }
            }
            let now = self.now;
            self.sides[site].session.save_again(now, changes);
        }
    }

    /// Asides are in memory only: those that are not in a saved block are gone.
    fn forget_asides(&mut self, site: usize) {
        let side = &mut self.sides[site];
        let asides = side.rows.extract_if(.., |_, (_, _, body)| body.starts_with(ASIDE));
        side.lost.extend(asides.map(|(_, (_, _, body))| body));
    }

    /// A connection is lost at both ends, with all that is in it.
    fn lose_stream(&mut self) {
        self.air.clear();
        self.feedback.clear();
        for site in 0..2 {
            self.sides[site].session.medium_down(self.now);
            self.sides[site].down = true;
        }
    }

    fn commit(&mut self, site: usize, changes: Vec<Change>, arrived: Vec<Stanza>) {
        let side = &mut self.sides[site];
        for (key, value) in changes {
            match value {
                Some(value) => side.disk.insert(key, value),
                None => side.disk.remove(&key),
            };
        }
        self.take(site, arrived);
    }

    fn take(&mut self, site: usize, arrived: Vec<Stanza>) {
        for stanza in arrived {
            let mut children = stanza.element().children();
            let body = children.find(|child| child.is("body", SERVER) || child.is("thread", SERVER)).unwrap().text();
            let id = stanza.id().unwrap().to_owned();
            let key: u8 = stanza.from().resource().unwrap().as_str().parse().unwrap();
            assert!(self.sides[1 - site].sent[&key].contains(&body), "nobody said {body}");
            let side = &mut self.sides[site];
            let got = side.got.entry(key).or_default();
            let place = got.iter().position(|got| *got == body).unwrap_or(got.len());
            let again = got.get(place..).unwrap_or_default();
            if side.crashed && again.iter().all(|body| body.starts_with(ASIDE)) {
                // What was handed on before it was saved, and all after it, comes again.
                got.truncate(place);
            } else {
                assert!(!side.ids.contains(&id), "id {id} came twice");
            }
            side.ids.insert(id);
            got.push(body);
        }
    }

    fn outputs(&mut self, site: usize) {
        while let Some(output) = self.sides[site].session.poll() {
            match output {
                SlowOutput::Unit { unit, content, .. } => self.on_unit(site, unit, &content),
                SlowOutput::Save { save, changes, arrived } => {
                    assert!(self.sides[site].open.is_none(), "two batches are open");
                    self.sides[site].before_open = self.sides[site].joined.len();
                    self.sides[site].riding = std::mem::take(&mut self.sides[site].owed);
                    self.sides[site].open = Some((save, changes, arrived));
                }
                SlowOutput::Beside { changes } => {
                    let joined = self.sides[site].joined.back_mut().expect("rows are being saved");
                    joined.1.extend(changes);
                }
                SlowOutput::Early { arrived } => self.take(site, arrived),
                SlowOutput::Done { number, .. } => self.sides[site].done.push(number),
                SlowOutput::Restart => self.lose_stream(),
                SlowOutput::Refused { number, why } => panic!("row {number} refused: {why}"),
                SlowOutput::Notice { .. } | SlowOutput::Counted { .. } => {}
            }
        }
    }

    fn on_unit(&mut self, site: usize, unit: u64, content: &[u8]) {
        assert!(content.len() <= self.unit_octets_max, "{} octets", content.len());
        let Troubles { lose, double, late, cut, flip, lie, .. } = self.troubles;
        let mut octets = content.to_vec();
        let is_lost = self.boundaries && self.random.chance(lose);
        if self.random.chance(flip) {
            let bit = self.random.below(octets.len() as u64 * 8) as usize;
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        if self.boundaries && self.random.chance(cut) {
            octets.truncate(self.random.below(octets.len() as u64) as usize);
        }
        let copies = if self.boundaries && self.random.chance(double) { 2 } else { 1 };
        for _ in 0..copies {
            let seconds = if self.boundaries && self.random.chance(late) { self.random.below(400) } else { 5 };
            if !is_lost {
                self.air.push((self.now.after(Duration::from_secs(seconds)), 1 - site, octets.clone()));
            }
        }
        let told = !is_lost || self.random.chance(lie);
        self.feedback.push((self.now.after(Duration::from_secs(6)), site, unit, told));
    }

    /// One step: the earliest thing that is due, and a trouble now and then.
    fn step(&mut self) -> bool {
        for site in 0..2 {
            self.outputs(site);
            self.settle_store(site);
            self.outputs(site);
            self.check(site);
        }
        if self.random.chance(self.troubles.crash) {
            let site = self.random.below(2) as usize;
            self.crash(site);
        }
        for site in 0..2 {
            if self.random.chance(self.troubles.down) {
                if self.boundaries {
                    self.sides[site].session.medium_down(self.now);
                    self.sides[site].down = true;
                } else {
                    self.lose_stream();
                }
            } else if self.sides[site].down && self.random.chance(300_000) {
                if self.boundaries {
                    self.up(site);
                } else {
                    (0..2).for_each(|site| self.up(site));
                }
            }
        }
        // What leaves at once leaves before time passes.
        (0..2).for_each(|site| self.outputs(site));
        self.advance()
    }

    /// Whether a batch in which something came finds no place; there is one again sooner or later.
    fn is_full(&mut self, site: usize) -> bool {
        let may = self.troubles.full;
        if self.sides[site].full && (may == 0 || self.random.chance(100_000)) {
            self.sides[site].full = false;
            self.sides[site].session.resume(self.now);
        }
        let brings = self.sides[site].open.as_ref().is_some_and(|(_, _, arrived)| !arrived.is_empty());
        // Without it nothing is drawn: the other troubles stay what they are for a seed.
        if !brings || may == 0 || !self.random.chance(may) {
            return false;
        }
        let Some((save, ..)) = self.sides[site].open.take() else { return false };
        self.sides[site].full = true;
        self.sides[site].session.hold_back(self.now, save);
        true
    }

    fn settle_store(&mut self, site: usize) {
        if self.is_full(site) {
            self.outputs(site);
            let brings = self.sides[site].open.as_ref().is_some_and(|(_, _, arrived)| !arrived.is_empty());
            assert!(!brings, "side {site} yields what it was told to hold back");
        }
        if self.random.chance(400_000) && self.troubles.crash > 0 {
            return;
        }
        let before = self.sides[site].before_open;
        if self.sides[site].open.is_some() {
            self.store_joined(site, before);
        }
        if let Some((save, changes, arrived)) = self.sides[site].open.take() {
            let riding = std::mem::take(&mut self.sides[site].riding);
            if self.random.chance(self.troubles.refuse) {
                self.sides[site].owed.extend(riding);
                self.sides[site].session.store_failed(self.now, save);
            } else {
                self.sides[site].rows.extend(riding);
                self.commit(site, changes, arrived);
                self.sides[site].session.stored(self.now, save);
            }
        }
        self.store_joined(site, usize::MAX);
        if !self.sides[site].session.has_to_save() {
            let owed = std::mem::take(&mut self.sides[site].owed);
            self.sides[site].rows.extend(owed);
        }
        for number in std::mem::take(&mut self.sides[site].done) {
            self.sides[site].rows.remove(&number);
            self.sides[site].owed.retain(|(owed, _)| *owed != number);
            self.sides[site].riding.retain(|(riding, _)| *riding != number);
        }
    }

    fn advance(&mut self) -> bool {
        let wakeups = self.sides.iter().filter_map(|side| side.session.next_wakeup()).map(|wakeup| wakeup.at);
        let air = self.air.iter().map(|(at, ..)| at.mono).chain(self.feedback.iter().map(|(at, ..)| at.mono));
        let next = wakeups.chain(air).min();
        let pending = self.sides.iter().any(|side| side.open.is_some() || side.down);
        let Some(next) = next else { return pending };
        if next > self.now.mono {
            self.now = self.now.after(next.since(self.now.mono));
        }
        let now = self.now;
        for site in 0..2 {
            let due: Vec<(usize, Vec<u8>)> = self
                .air
                .extract_if(.., |(at, to, _)| at.mono <= now.mono && *to == site)
                .map(|(_, to, octets)| (to, octets))
                .collect();
            for (to, octets) in due {
                if !self.sides[to].down {
                    self.sides[to].session.arrived(now, &octets);
                }
            }
            let told: Vec<(u64, bool)> = self
                .feedback
                .extract_if(.., |(at, to, _, _)| at.mono <= now.mono && *to == site)
                .map(|(_, _, unit, told)| (unit, told))
                .collect();
            for (unit, told) in told {
                if told {
                    self.sides[site].session.unit_delivered(now, unit);
                } else {
                    self.sides[site].session.unit_failed(now, unit);
                }
                self.sides[site].session.set_room(now, 4, 1 << 20);
            }
            self.sides[site].session.handle_wakeup(now);
        }
        true
    }

    fn check(&self, site: usize) {
        let other = &self.sides[1 - site];
        for (key, got) in &self.sides[site].got {
            let sent = other.said(*key, got);
            assert!(sent.iter().zip(got).all(|(sent, got)| *sent == got), "side {site} got {got:?} of {sent:?}");
            assert!(sent.len() >= got.len(), "side {site} got {got:?} of {sent:?}");
        }
    }
}

fn outgoing(site: usize, number: u64, (priority, label, body): &(i8, u8, String)) -> Outgoing {
    Outgoing {
        number,
        priority: MtPriority::try_from(*priority).unwrap(),
        label_context: *label,
        since: WallTime::default(),
        stanza: stanza(site, *priority, *label, body),
    }
}

fn order_key(label: u8, priority: i8, _: u8) -> u8 {
    (label << 4) | u8::try_from(priority + 4).unwrap()
}

fn stanza(site: usize, priority: i8, label: u8, body: &str) -> Stanza {
    let names = [("anna@hq.example", "bob@field.example"), ("bob@field.example", "anna@hq.example")];
    let (from, to) = names[site];
    let mut element = minidom::Element::bare("message", "jabber:server");
    let set = |element: &mut minidom::Element, name, value: &str| {
        crate::xmpp::writer::set_attribute(element, name, value);
    };
    set(&mut element, rxml::xml_ncname!("from"), &format!("{from}/{}", order_key(label, priority, 0)));
    set(&mut element, rxml::xml_ncname!("to"), to);
    set(
        &mut element,
        rxml::xml_ncname!("id"),
        &format!("id of {}", body.trim_start_matches(ASIDE).split(' ').take(2).collect::<Vec<_>>().join(" ")),
    );
    let is_aside = body.starts_with(ASIDE);
    if is_aside {
        element.append_child(minidom::Element::bare("composing", crate::xmpp::ns::CHAT_STATES));
    }
    let mut child = minidom::Element::bare(if is_aside { "thread" } else { "body" }, SERVER);
    child.append_text(body);
    element.append_child(child);
    Stanza::from_element(element).unwrap()
}

/// Runs one world: troubles first, then calm; gives how many stanzas arrived.
pub(super) fn run(seed: u64, troubles: Troubles, steps: u64, stanzas: u64) -> usize {
    let mut world = World::new(seed, troubles);
    (0..2).for_each(|site| world.up(site));
    for _ in 0..steps {
        for site in 0..2 {
            if world.random.chance(u32::try_from(stanzas * 1_000_000 / steps).unwrap()) {
                world.submit(site);
            }
        }
        world.step();
    }
    world.troubles = CALM;
    let mut quiet = 0;
    for _ in 0..20_000 {
        quiet = if world.step() { 0 } else { quiet + 1 };
        if quiet > 3 {
            break;
        }
    }
    assert!(quiet > 3, "seed {seed}: never quiet");
    for site in 0..2 {
        let other = &world.sides[1 - site];
        for key in other.sent.keys() {
            let got = world.sides[site].got.get(key).map(Vec::as_slice).unwrap_or_default();
            assert!(other.said(*key, got).into_iter().eq(got), "seed {seed}: side {site} got {got:?}");
        }
        assert!(other.rows.is_empty(), "seed {seed}: {} rows are never done", other.rows.len());
    }
    world.sides.iter().flat_map(|side| side.got.values()).map(Vec::len).sum()
}
