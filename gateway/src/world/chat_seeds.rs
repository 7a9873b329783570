//! The chat of seeded worlds: what it is like, what people say, and what goes wrong with it and its links.
//!
//! What can be drawn has grown; each time it did, what came new has had randomness of its own: a world in which nothing
//! of that is drawn stays what it was. In a share of the worlds far sites keep silence and are told of as silent, so that
//! chat goes as single units, is refused or waits; there are second links, and rules that have stanzas take or await
//! them; labels that may not mix; and somebody whose words are Flash. Sites crash in all of these.

use skywave_protocols::message::precedence::Precedence;
use skywave_protocols::random::{Random, Seeded};
use skywave_protocols::time::Duration;
use skywave_protocols::xmpp::precedence::AddressPrecedence;
use skywave_protocols::xmpp::rules::builtin;
use skywave_protocols::xmpp::rules::config::LabelConfig;

use super::chat::Deed;
use super::plan::{ChatPlan, LinkKind, Plan, Servers, full_name};
use super::seeds::{pick, within};
use super::{Trouble, World};
use crate::chat::Way;
use crate::chat::config::EmconRule;
use crate::node::command::Command;
use crate::node::config::{StreamManagement, XmppProfile};

/// What is in labels: the first two in groups of their own, the third in none, and no label.
const MARKINGS: [Option<&str>; 4] = [Some("SECRET"), Some("OPEN"), Some("OTHER"), None];

/// The randomness of a world's chat.
pub(super) struct Chatting {
    /// Of people, servers and the network.
    chat: Seeded,
    /// Of silence, further links, labels and who is urgent.
    ways: Seeded,
    /// Whether anything of that was drawn.
    has_ways: bool,
    /// When after the end of all troubles somebody says that nobody is silent; they may be heard before.
    told_after: Duration,
}

impl Chatting {
    /// Draws what a plan's chat is like, if there is any.
    pub(super) fn drawn(seed: u64, plan: &mut Plan) -> Self {
        let (mut chat, mut ways) = (Seeded::new(seed).fork("chat"), Seeded::new(seed).fork("chat ways"));
        plan.chat = chat_plan(&mut chat, plan);
        let names = plan.names.clone();
        let (mut has_ways, mut told_after) = (false, Duration::ZERO);
        if let Some(drawn) = plan.chat.as_mut() {
            draw_ways(&mut ways, drawn);
            has_ways = self::has_ways(drawn);
            let by_units = drawn.emcon == EmconRule::Units;
            if by_units && ways.chance(500_000) {
                told_after = Duration::from_secs(6 * 3600);
            }
            if by_units && ways.chance(300_000) {
                plan.silent = vec![names[pick(&mut ways, names.len())].clone()];
            }
        }
        Self { chat, ways, has_ways, told_after }
    }

    /// People chat, and their servers, links and the network between sites have troubles.
    pub(super) fn befall(&mut self, world: &mut World, plan: &Plan, rough: Duration) {
        let Some(chat) = &plan.chat else { return };
        self.people(world, plan, rough);
        self.servers(world, plan, rough);
        if chat.over_tcp {
            let count = self.chat.below(4);
            outages(world, &mut self.chat, count, rough);
        }
        if self.has_ways {
            self.silences(world, plan, chat, rough);
            self.words(world, plan, chat, rough);
        }
        if chat.alternate {
            let count = self.ways.below(4);
            outages(world, &mut self.ways, count, rough);
            self.links_down(world, plan, rough);
        }
    }

    fn people(&mut self, world: &mut World, plan: &Plan, rough: Duration) {
        let random = &mut self.chat;
        for number in 0..5 + random.below(25) {
            let (after, site) = (within(random, rough), pick(random, plan.names.len()));
            let deed = Box::new(deed(random, plan, number));
            world.trouble(after, Trouble::Chat(site, format!("user{}", random.below(3)), deed));
        }
    }

    fn servers(&mut self, world: &mut World, plan: &Plan, rough: Duration) {
        let random = &mut self.chat;
        for _ in 0..random.below(4) {
            let (after, site) = (within(random, rough), pick(random, plan.names.len()));
            let span = Duration::from_secs(1 + random.below(900));
            world.trouble(after, Trouble::Xmpp(site, false));
            world.trouble(after + span, Trouble::Xmpp(site, true));
        }
    }

    /// Sites keep silence for a while, and others are told so, sooner or later; of its end they are told or hear.
    fn silences(&mut self, world: &mut World, plan: &Plan, chat: &ChatPlan, rough: Duration) {
        let random = &mut self.ways;
        let count = if chat.emcon == EmconRule::Hold { random.below(2) } else { 1 + random.below(3) };
        for _ in 0..count {
            let (after, site) = (within(random, rough), pick(random, plan.names.len()));
            let span = Duration::from_secs(60 + random.below(3600));
            world.trouble(after, Trouble::Emcon(site, true));
            world.trouble(after + span, Trouble::Emcon(site, false));
            let everywhere = random.chance(300_000);
            for other in plan.others(site) {
                let (early, late) =
                    (within(random, Duration::from_secs(120)), within(random, Duration::from_secs(600)));
                silence(world, other, site, after + early, true, everywhere);
                if random.chance(500_000) {
                    silence(world, other, site, after + span + late, false, everywhere);
                }
            }
        }
    }

    /// The operator does not let a link be used for a while.
    fn links_down(&mut self, world: &mut World, plan: &Plan, rough: Duration) {
        let random = &mut self.ways;
        for _ in 0..random.below(3) {
            let (after, site) = (within(random, rough), pick(random, plan.names.len()));
            let span = Duration::from_secs(1 + random.below(900));
            let links = links(world, site, |_| true);
            let link = links[pick(random, links.len())].0.clone();
            world.trouble(after, Trouble::Command(site, Box::new(Command::LinkDown { link: link.clone() })));
            world.trouble(after + span, Trouble::Command(site, Box::new(Command::LinkUp { link })));
        }
    }

    /// People talk to each other for a while, at length and with labels; sites crash soon after.
    fn words(&mut self, world: &mut World, plan: &Plan, chat: &ChatPlan, rough: Duration) {
        let random = &mut self.ways;
        for talk in 0..1 + random.below(4) {
            let (after, site) = (within(random, rough), pick(random, plan.names.len()));
            let other = &plan.names[(site + 1 + pick(random, plan.names.len() - 1)) % plan.names.len()];
            let (from, to) = (format!("user{}", random.below(3)), format!("user{}@{other}.test", random.below(3)));
            for line in 0..1 + random.below(8) {
                let after = after + within(random, Duration::from_secs(120));
                let padding = "and so on ".repeat(random.below(30) as usize);
                let text = format!("talk {talk} line {line} {padding}");
                let marking = MARKINGS[pick(random, MARKINGS.len())].filter(|_| !chat.label_groups.is_empty());
                let deed = match marking {
                    Some(marking) => Deed::SayMarked { to: to.clone(), text, marking: marking.to_owned() },
                    None => Deed::Say { to: to.clone(), text },
                };
                world.trouble(after, Trouble::Chat(site, from.clone(), Box::new(deed)));
            }
            if random.chance(600_000) {
                let (after, site) = (after + within(random, Duration::from_secs(180)), pick(random, plan.names.len()));
                let down = Duration::from_secs(1 + random.below(300));
                world.trouble(after, Trouble::CrashAfter(site, random.below(60) as u32, down));
            }
        }
    }

    /// Ends what would last.
    pub(super) fn calm(&self, world: &mut World) {
        if !self.has_ways {
            return;
        }
        for site in 0..world.sites.len() {
            for (link, _) in links(world, site, |_| true) {
                world.trouble(Duration::ZERO, Trouble::Command(site, Box::new(Command::LinkUp { link })));
            }
            for other in (0..world.sites.len()).filter(|&other| other != site) {
                silence(world, site, other, self.told_after, false, true);
            }
        }
    }
}

/// Chat in some worlds, over the radio or over IP.
fn chat_plan(random: &mut Seeded, plan: &Plan) -> Option<ChatPlan> {
    if !plan.links.contains(&LinkKind::Hf) || !random.chance(500_000) {
        return None;
    }
    let mut chat = ChatPlan::default();
    if random.chance(300_000) {
        chat.filter = builtin("none").unwrap_or_default();
    }
    if random.chance(300_000) {
        chat.lives.chat_seconds = 1800 + random.below(3600);
    }
    if random.chance(200_000) {
        chat.queue.stanzas_max = 4;
    }
    chat.profile = match random.below(10) {
        0 | 1 => XmppProfile::Standard,
        2 | 3 => XmppProfile::MLinkR17,
        _ => XmppProfile::Skywave,
    };
    chat.over_tcp = random.chance(300_000);
    if chat.over_tcp && chat.profile != XmppProfile::Skywave {
        chat.stream_management = StreamManagement::ALL[pick(random, StreamManagement::ALL.len())];
    }
    chat.servers = match random.below(10) {
        0..=2 => Servers::Dialback,
        3 | 4 => Servers::External,
        _ => Servers::Components,
    };
    Some(chat)
}

/// Silence, further links, labels, and who is urgent.
fn draw_ways(random: &mut Seeded, chat: &mut ChatPlan) {
    if !chat.over_tcp {
        chat.emcon = match random.below(10) {
            0..=2 => EmconRule::Units,
            3 => EmconRule::Refuse,
            _ => EmconRule::Hold,
        };
        chat.alternate = random.chance(350_000);
    }
    if chat.alternate {
        chat.route_over = random.chance(300_000).then(|| 200 + random.below(200) as usize);
        chat.hold_over = random.chance(300_000).then(|| 200 + random.below(200) as usize);
    }
    if chat.profile == XmppProfile::Skywave && random.chance(350_000) {
        let group = |marking: &str| LabelConfig { marking: Some(marking.to_owned()), ..LabelConfig::default() };
        chat.label_groups = MARKINGS[..2].iter().flatten().map(|marking| group(marking)).collect();
    }
    if has_ways(chat) && random.chance(300_000) {
        let urgent = AddressPrecedence { from: Some("user0@*".to_owned()), to: None, precedence: Precedence::Flash };
        chat.precedence.address.push(urgent);
    }
    // So fast that the disk is what is waited for.
    if (chat.over_tcp || chat.alternate) && random.chance(500_000) {
        chat.tcp_bits_per_second = 1_000_000;
    }
}

/// Whether something was drawn that once could not be.
fn has_ways(chat: &ChatPlan) -> bool {
    chat.emcon != EmconRule::Hold || chat.alternate || !chat.label_groups.is_empty()
}

/// What a failing world says of its chat.
pub(super) fn described(plan: &Plan) -> String {
    let Some(chat) = &plan.chat else { return String::new() };
    let way = if chat.over_tcp { "tcp" } else { "rcop" };
    let (profile, management) = (chat.profile.name(), chat.stream_management.name());
    let mut words = format!(", chat {profile} over {way}, stream management {management}, {:?}", chat.servers);
    if has_ways(chat) {
        words += &format!(", emcon {:?}, silent {:?}, further link {}", chat.emcon, plan.silent, chat.alternate);
        words += &format!(", routed over {:?}, held over {:?}", chat.route_over, chat.hold_over);
        words += &format!(", {} groups of labels", chat.label_groups.len());
    }
    words
}

fn outages(world: &mut World, random: &mut Seeded, count: u64, rough: Duration) {
    for _ in 0..count {
        let after = within(random, rough);
        world.trouble(after, Trouble::NetworkOutage(Duration::from_secs(1 + random.below(600))));
    }
}

/// A site's operator says of another site that it keeps silence on the radio, or everywhere, or no more.
fn silence(world: &mut World, site: usize, other: usize, after: Duration, on: bool, everywhere: bool) {
    let name = full_name(&world.sites[other].name).to_string();
    for (link, _) in
        links(world, site, |way| everywhere || way == Way::Stream).into_iter().filter(|(_, of)| *of == name)
    {
        let command = Command::Silence { link, site: name.clone(), on, until: None };
        world.trouble(after, Trouble::Command(site, Box::new(command)));
    }
}

/// The links for chat of a site, and to whom.
fn links(world: &World, site: usize, wanted: impl Fn(Way) -> bool) -> Vec<(String, String)> {
    let peers = world.sites[site].config.chat.iter().flat_map(|chat| &chat.peers);
    let of = |peer: &crate::chat::config::PeerConfig| {
        let ways = peer.ways().filter(|(way, _)| wanted(*way));
        ways.map(|(_, link)| (link.to_string(), peer.site.to_string())).collect::<Vec<_>>()
    };
    peers.flat_map(of).collect()
}

fn deed(random: &mut Seeded, plan: &Plan, number: u64) -> Deed {
    let other = &plan.names[pick(random, plan.names.len())];
    let person = format!("user{}@{other}.test", random.below(3));
    let room = format!("room@chat.{other}.test");
    let nick = format!("nick{}", random.below(3));
    match random.below(20) {
        0..=11 => Deed::Say { to: person, text: format!("text {number}") },
        12 | 13 => Deed::Say { to: room, text: format!("text {number}") },
        14 => Deed::Join(room, nick),
        15 => Deed::Leave(room, nick),
        16 => Deed::Subscribe(person),
        17 => Deed::Online(None),
        18 => Deed::Offline,
        _ => Deed::Ping(person),
    }
}
