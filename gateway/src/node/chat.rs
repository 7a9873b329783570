//! The hook of chat: carries what [`Chat`] asks for to the shell, the store and the links, and brings it the answers.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skywave_protocols::bytes::Bytes;
use skywave_protocols::time::{Duration, Now, Wakeup};
use skywave_protocols::xmpp::door::{ConnId, ConnInput, DoorLookup, DoorOutput, DoorSecure, Found, FoundHost};
use skywave_protocols::xmpp::slow::Medium;
use skywave_transports::io::{Authority, PipeId, PipeInput, PipeOutput, Row, Secure, Space, TlsRole, Trust};
use skywave_transports::transport::{ArrivalId, Delivery, Emission, SiteName, TransportEvent, Unit, UnitTicket};

use super::answers::TRY_LATER;
use super::command::Command;
use super::operator::UNAVAILABLE;
use super::seam::{ACCEPTED_PIPE, ListenerId, Lookup, Number, ReplyTo, Resolved};
use super::steps::Saved;
use super::{Node, Output, Pending};
use crate::chat::lines::{meant, shown};
use crate::chat::operator::{Denied, Order};
use crate::chat::restore::Rows;
use crate::chat::{Chat, ChatOutput, ChatUnit, Line, LinkState, Way};
use crate::store::Batch;

/// Pipes that the door opened have this bit set; those of links do not.
const DOOR_PIPE: u64 = 1 << 62;
/// First listener of chat; those of the mail door come before.
const LISTENER: u32 = 1_000;
/// First listener with TLS from the first octet.
const LISTENER_DIRECT_TLS: u32 = 2_000;
/// How long a unit may stay in a transport: chat expires in the gateway, not on the link.
const UNIT_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the node knows of chat beside the machine itself.
#[derive(Default)]
pub struct ChatHook {
    /// The machine, where chat is configured.
    pub chat: Option<Box<Chat>>,
    /// Whose a link is: by link index.
    lines: BTreeMap<usize, Vec<(Line, SiteName)>>,
    /// Accepted pipes that are the door's.
    pipes: std::collections::BTreeSet<PipeId>,
    /// Names looked up: the door's number of each.
    lookups: BTreeMap<Number, u64>,
    /// Rows that have been read so far.
    rows: Rows,
    /// Peers that the operator said are silent, before the machine began; or are not, whatever the configuration says.
    silence: BTreeMap<Line, bool>,
}

impl ChatHook {
    /// Whether a link carries chat.
    pub fn has_link(&self, index: usize) -> bool {
        self.lines.contains_key(&index)
    }

    /// When the machine wants to be woken.
    pub fn next_wakeup(&self) -> Option<Wakeup> {
        self.chat.as_ref().and_then(|chat| chat.next_wakeup())
    }

    /// The far site of a line on a link.
    fn site(&self, index: usize, line: Line) -> Option<SiteName> {
        let lines = self.lines.get(&index)?;
        lines.iter().find(|(of, _)| *of == line).map(|(_, site)| site.clone())
    }

    fn line(&self, index: usize, site: Option<&SiteName>) -> Option<Line> {
        let lines = self.lines.get(&index)?;
        match site {
            Some(site) => lines.iter().find(|(_, of)| of == site).map(|(line, _)| *line),
            // A stream knows only one other end.
            None => lines.first().filter(|_| lines.len() == 1).map(|(line, _)| *line),
        }
    }
}

impl Node {
    /// Makes the machine and asks for its rows; links are built by now.
    pub(super) fn build_chat(&mut self, now: Now) {
        let Some(config) = self.config.chat.clone() else { return };
        let chat = Chat::new(config, now, self.random.as_mut());
        for (line, link, site) in chat.lines() {
            if let Some(index) = self.links.index(&link) {
                self.chat.lines.entry(index).or_default().push((line, site.as_str().into()));
            }
        }
        self.chat.chat = Some(Box::new(chat));
        for space in [Space::Site, Space::ChatOut, Space::ChatIn, Space::ChatLink, Space::Presence] {
            self.await_fetch(Pending::Chat(space));
        }
    }

    /// Rows of one space are here; with the last the machine begins, and is kept until the site is ready.
    pub(super) fn chat_rows(&mut self, space: Space, rows: Vec<Row>) {
        let kept = &mut self.chat.rows;
        match space {
            Space::ChatOut => kept.out = rows,
            Space::ChatIn => kept.local = rows,
            Space::ChatLink => kept.sessions = rows,
            Space::Presence => kept.presence = rows,
            _site => kept.site = rows,
        }
    }

    /// The site is ready: chat begins with the rows of earlier runs, and its listeners listen.
    pub(super) fn start_chat(&mut self, now: Now) {
        let rows = std::mem::take(&mut self.chat.rows);
        let Some(chat) = self.chat.chat.as_mut() else { return };
        let listen = chat.config().listen.clone();
        let direct = chat.config().listen_direct_tls.clone();
        let silence = std::mem::take(&mut self.chat.silence);
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.start(now, rows);
            silence.into_iter().for_each(|(line, silent)| chat.set_silence(now, line, silent));
        }
        let listeners = (LISTENER..).zip(listen).chain((LISTENER_DIRECT_TLS..).zip(direct));
        for (listener, address) in listeners {
            self.out.push_back(Output::Listen(ListenerId(listener), address));
        }
    }

    /// Whether a listener is the door's.
    pub(super) const fn is_chat_listener(listener: ListenerId) -> bool {
        listener.0 >= LISTENER && listener.0 < LISTENER_DIRECT_TLS + LISTENER
    }

    /// Somebody connected to the door.
    pub(super) fn chat_accepted(&mut self, now: Now, listener: ListenerId, pipe: PipeId, peer: std::net::SocketAddr) {
        self.chat.pipes.insert(pipe);
        // Stanzas go out on the server's own stream too, and what nobody confirms is with it once it has left.
        self.out.push_back(Output::Pipe(pipe, PipeOutput::TellDrained));
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.accepted(now, ConnId(pipe.0), listener.0 >= LISTENER_DIRECT_TLS, peer);
        }
    }

    /// Whether a pipe is the door's.
    pub(super) fn is_chat_pipe(&self, pipe: PipeId) -> bool {
        (pipe.0 & ACCEPTED_PIPE == 0 && pipe.0 & DOOR_PIPE != 0) || self.chat.pipes.contains(&pipe)
    }

    /// Of a pipe of the door.
    pub(super) fn chat_pipe(&mut self, now: Now, pipe: PipeId, input: PipeInput) {
        let conn = ConnId(if pipe.0 & ACCEPTED_PIPE == 0 { pipe.0 & !DOOR_PIPE } else { pipe.0 });
        if matches!(input, PipeInput::Closed(_) | PipeInput::Refused(_) | PipeInput::SecureFailed(_)) {
            self.chat.pipes.remove(&pipe);
        }
        let input = match input {
            PipeInput::Opened => ConnInput::Opened,
            PipeInput::Refused(why) => ConnInput::Refused(why),
            PipeInput::Closed(why) => ConnInput::Closed(why),
            PipeInput::Read(octets) => ConnInput::Read(octets),
            PipeInput::Drained(writes) => ConnInput::Drained(writes),
            PipeInput::Secured(secured) => ConnInput::Secured { peer_names: secured.peer_names, alpn: secured.alpn },
            PipeInput::SecureFailed(why) => ConnInput::SecureFailed(why),
        };
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.handle_connection(now, conn, input);
        }
    }

    /// A name of the door was looked up. False if it was not the door's.
    pub(super) fn chat_resolved(&mut self, now: Now, number: Number, resolved: Resolved) {
        let Some(asked) = self.chat.lookups.remove(&number) else { return };
        let found = match resolved {
            Resolved::Addresses(addresses) => Found::Addresses(addresses),
            Resolved::Hosts(hosts) => Found::Hosts(
                hosts
                    .into_iter()
                    .map(|host| FoundHost {
                        host: host.host,
                        port: host.port,
                        priority: host.priority,
                        weight: host.weight,
                    })
                    .collect(),
            ),
            Resolved::Nothing => Found::Nothing,
            // The door reads it as RFC 2782 writes it.
            Resolved::NotOffered => {
                Found::Hosts(vec![FoundHost { host: ".".to_owned(), port: 0, priority: 0, weight: 0 }])
            }
            Resolved::Failed(why) => Found::Failed(why),
        };
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.resolved(now, asked, found);
        }
    }

    /// An event of a link that carries chat.
    pub(super) fn chat_link_event(&mut self, now: Now, index: usize, event: TransportEvent) {
        match event {
            TransportEvent::Delivered { ticket, by } => {
                if let Some(chat) = self.chat.chat.as_mut() {
                    chat.unit_delivered(now, ticket.0);
                }
                // Units are confirmed by the far site itself; on a stream it may be the network that took them.
                if self.chat.line(index, Some(&by)).is_some_and(|line| line.way == Way::Units) {
                    self.chat_heard(now, index, Some(&by));
                }
            }
            TransportEvent::Failed { ticket, .. } => {
                if let Some(chat) = self.chat.chat.as_mut() {
                    chat.unit_failed(now, ticket.0);
                }
            }
            TransportEvent::Arrived { arrival, from, source, key, content, .. } => {
                if let Some(link) = self.links.link_mut(index) {
                    link.units_received += 1;
                }
                match self.chat.line(index, from.as_ref()) {
                    Some(line) => self.chat_arrived(now, line, arrival, &key, &content),
                    None => self.chat_from_stranger(now, index, arrival, &source, content.len()),
                }
                self.chat_heard(now, index, from.as_ref());
            }
            TransportEvent::Up => {
                self.link_state(index, None);
                // What was read early belongs to the stream that begins now.
                self.watch_chat_link(now, index);
            }
            TransportEvent::Down(why) => {
                self.link_state(index, Some(why));
                // It may be up again before anybody looks: what was on the old connection is lost all the same.
                self.watch_chat_link(now, index);
            }
            TransportEvent::Notice(notice) => {
                let part = self.links.link(index).map_or_else(String::new, |link| link.name.to_string());
                self.notice(&part, notice.alarm, notice.name, notice.detail);
            }
            // Room and profile are looked at after every input: `watch_chat_links`. Whose silence ends is `chat_heard`.
            TransportEvent::Profile(_)
            | TransportEvent::RoomChanged
            | TransportEvent::Progress(_)
            | TransportEvent::SilenceEnded(_) => {}
        }
    }

    fn chat_arrived(&mut self, now: Now, line: Line, arrival: ArrivalId, name: &[u8], content: &Bytes) {
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.arrived(now, line, arrival, name, content);
        }
    }

    fn chat_from_stranger(&mut self, now: Now, index: usize, arrival: ArrivalId, source: &str, octets: usize) {
        self.links.with(now, index, |transport| transport.refuse(now, arrival, false));
        let detail = format!("{octets} octets from {source}");
        let part = self.links.link(index).map_or_else(String::new, |link| link.name.to_string());
        self.notice(&part, false, "chat_from_stranger", detail);
    }

    /// Tells chat how its links are, where that has changed.
    fn watch_chat_links(&mut self, now: Now) {
        for index in 0..self.links.len() {
            if self.chat.has_link(index) {
                self.watch_chat_link(now, index);
            }
        }
    }

    fn watch_chat_link(&mut self, now: Now, index: usize) {
        if !self.ready {
            return;
        }
        let (Some(link), Some(transport)) = (self.links.link(index), self.links.transport(index)) else { return };
        let (profile, room) = (transport.profile(), transport.room());
        let usable = !self.links.down.contains(&link.name) && link.emission == Emission::Free;
        let state = LinkState {
            up: link.up && link.restored,
            allowed: usable && !self.stopping,
            medium: Medium {
                boundaries: profile.boundaries,
                unit_octets_max: profile.unit_octets_max,
                bits_per_second: profile.bits_per_second,
            },
            units: room.units,
            octets: room.octets,
        };
        let ChatHook { chat: Some(chat), lines, .. } = &mut self.chat else { return };
        for (line, _) in lines.get(&index).into_iter().flatten() {
            chat.link_state(now, *line, &state);
        }
    }

    /// Wakes the machine if it is due.
    pub(super) fn chat_due(&mut self, now: Now) {
        if let Some(chat) = self.chat.chat.as_mut()
            && chat.next_wakeup().is_some_and(|wakeup| wakeup.at <= now.mono)
        {
            chat.handle_wakeup(now);
        }
    }

    /// Does everything that chat asks for, until it and the links are quiet.
    pub(super) fn drain_chat(&mut self, now: Now) {
        if self.chat.chat.is_none() || !self.ready {
            return;
        }
        loop {
            self.watch_chat_links(now);
            let mut moved = false;
            while let Some(output) = self.chat.chat.as_mut().and_then(|chat| chat.poll()) {
                moved = true;
                self.chat_output(now, output);
            }
            if !moved {
                return;
            }
            self.drain_links(now);
        }
    }

    fn chat_output(&mut self, now: Now, output: ChatOutput) {
        match output {
            ChatOutput::Door(output) => self.door_output(output),
            ChatOutput::Store { number, writes, keep, urgent } => {
                let batch = Batch { writes, urgent, patient: keep, ..Batch::default() };
                let saved = if keep { Saved::Notes(Vec::new()) } else { Saved::Chat(number) };
                self.save(batch, saved);
            }
            ChatOutput::Unit(line, unit) => self.chat_unit(now, line, unit),
            ChatOutput::Accept(line, arrival) => {
                if let Some(index) = self.chat_link(line) {
                    self.links.with(now, index, |transport| transport.accept(now, arrival));
                }
            }
            ChatOutput::Wanted(line, wanted) => {
                if let Some(index) = self.chat_link(line) {
                    self.links.with(now, index, |transport| transport.set_wanted(now, wanted));
                }
            }
            ChatOutput::Reset(line) => {
                if let Some(index) = self.chat_link(line) {
                    self.links.with(now, index, |transport| transport.reset(now));
                }
            }
            ChatOutput::Tell(event) => self.tell(event),
        }
    }

    fn chat_link(&self, line: Line) -> Option<usize> {
        self.chat.lines.iter().find(|(_, lines)| lines.iter().any(|(of, _)| *of == line)).map(|(&index, _)| index)
    }

    fn chat_unit(&mut self, now: Now, line: Line, unit: ChatUnit) {
        let Some(index) = self.chat_link(line) else { return };
        let Some(site) = self.chat.site(index, line) else { return };
        if let Some(link) = self.links.link_mut(index) {
            link.units_sent += 1;
        }
        let unit = Unit {
            ticket: UnitTicket(unit.ticket),
            to: vec![site],
            priority: unit.priority,
            expiry: now.wall + UNIT_LIFE,
            delivery: Delivery::Committed,
            context: unit.context,
            content: unit.content,
        };
        self.links.with(now, index, |transport| transport.submit(now, unit));
    }

    fn door_output(&mut self, output: DoorOutput) {
        let pipe = |conn: ConnId| PipeId(if conn.0 & ACCEPTED_PIPE == 0 { conn.0 | DOOR_PIPE } else { conn.0 });
        let (conn, asked) = match output {
            DoorOutput::Open(conn, target) => (conn, PipeOutput::Open { target, dscp: 0 }),
            DoorOutput::Write(conn, octets) => (conn, PipeOutput::Write(octets)),
            DoorOutput::Close(conn) => (conn, PipeOutput::Close),
            DoorOutput::Pause(conn) => (conn, PipeOutput::Pause),
            DoorOutput::Resume(conn) => (conn, PipeOutput::Resume),
            DoorOutput::Secure(conn, secure) => {
                let authority = self.config.chat.as_ref().map(|chat| chat.authority.clone());
                (conn, PipeOutput::Secure(secured(secure, authority.unwrap_or(Authority::System))))
            }
            DoorOutput::Resolve(asked, lookup) => {
                let number = self.storekeeper.number();
                self.chat.lookups.insert(number, asked);
                let lookup = match lookup {
                    DoorLookup::Srv(name) => Lookup::Srv(name),
                    DoorLookup::Addresses(name) => Lookup::Addresses(name),
                };
                return self.out.push_back(Output::Resolve(number, lookup));
            }
            // Chat takes the door's events itself.
            DoorOutput::Event(_) => return,
        };
        self.out.push_back(Output::Pipe(pipe(conn), asked));
    }

    /// A batch of chat is on the disk.
    pub(super) fn chat_stored(&mut self, now: Now, number: u64) {
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.stored(now, number);
        }
    }

    /// A batch of chat is not.
    pub(super) fn chat_store_failed(&mut self, now: Now, number: u64, why: &str) {
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.store_failed(now, number, why);
        }
    }

    /// Answers a command if it is about chat; otherwise gives it back.
    pub(super) fn chat_command(&mut self, now: Now, reply_to: ReplyTo, command: Command) -> Option<Command> {
        let Some(chat) = self.chat.chat.as_ref() else { return Some(command) };
        if let Some((number, order)) = order_of(&command) {
            self.order_chat(now, reply_to, number, order);
            return None;
        }
        let facts = match &command {
            Command::QueueShow { ticket: id } | Command::Track { id } => chat.find(now, id),
            Command::QueueList { limit, link: Some(link) } => {
                let index = self.links.index(link);
                let is_chat = index.is_some_and(|index| self.chat.has_link(index));
                is_chat
                    .then(|| json!({ "mails": [], "mails_queued": 0, "stanzas": chat.list(now, *limit, Some(link)) }))
            }
            _other => None,
        };
        let Some(facts) = facts else { return Some(command) };
        self.reply_ok(reply_to, facts);
        None
    }

    /// Answers when what it changed is on the disk.
    fn order_chat(&mut self, now: Now, reply_to: ReplyTo, number: u64, order: Order) {
        self.begin_command();
        let done = self.chat.chat.as_mut().map_or(Err(Denied::Unknown), |chat| chat.order(now, number, order));
        self.drain_chat(now);
        match done {
            Ok(facts) => self.reply_stored(reply_to, facts),
            Err(denied) => {
                let code = if denied.may_pass() { TRY_LATER } else { UNAVAILABLE };
                self.reply_error(reply_to, &format!("{}: {denied}", shown(number)), code);
            }
        }
        self.end_command();
    }

    /// What a link shows of the chat that it carries; nothing if it carries none.
    pub(super) fn show_chat_link(&self, index: usize) -> Option<Value> {
        let (chat, lines) = (self.chat.chat.as_ref()?, self.chat.lines.get(&index)?);
        Some(lines.iter().map(|(line, _)| chat.show_line(*line)).collect())
    }

    /// Stanzas that wait, for the listing of the whole queue.
    pub(super) fn list_chat(&self, limit: usize) -> Vec<Value> {
        self.chat.chat.as_ref().map_or_else(Vec::new, |chat| chat.list(self.now, limit, None))
    }

    /// What the status says of chat.
    pub(super) fn chat_status(&self) -> Value {
        self.chat.chat.as_ref().map_or(Value::Null, |chat| {
            let mut status = chat.status();
            status["door"] = chat.show_door();
            status
        })
    }

    /// The end in good order: the door takes and gives nothing more.
    pub(super) fn stop_chat(&mut self, now: Now) {
        if let Some(chat) = self.chat.chat.as_mut() {
            chat.stop(now);
        }
    }

    /// A site was heard by a link for chat: if it was believed to keep silence, that is as good as the operator's word.
    fn chat_heard(&mut self, now: Now, index: usize, site: Option<&SiteName>) {
        let Some(line) = self.chat.line(index, site) else { return };
        let ended = self.chat.chat.as_mut().filter(|_| self.ready).is_some_and(|chat| chat.heard(now, line));
        if let Some(site) = self.chat.site(index, line).filter(|_| ended) {
            self.believe(now, index, &site, false, None);
        }
    }

    /// The links on which a site is silent whenever it is silent on this one: for chat, the first and that for units.
    pub(super) fn silent_together(&self, index: usize, site: &SiteName) -> Vec<usize> {
        let line = self.chat.line(index, Some(site));
        let chat = self.chat.chat.as_ref();
        let lines = line.and_then(|line| Some(chat?.silent_together(line))).unwrap_or_default();
        let others = lines.into_iter().filter_map(|line| self.chat_link(line)).filter(|&other| other != index);
        std::iter::once(index).chain(others).collect()
    }

    /// The operator says that a site on a link is silent, or is no more.
    pub(super) fn chat_silence(&mut self, now: Now, index: usize, site: &SiteName, silent: bool) {
        let Some(line) = self.chat.line(index, Some(site)) else { return };
        if self.ready {
            if let Some(chat) = self.chat.chat.as_mut() {
                chat.set_silence(now, line, silent);
            }
        } else {
            self.chat.silence.insert(line, silent);
        }
    }
}

/// What a command has done to a stanza, if it names one by the gateway's number.
fn order_of(command: &Command) -> Option<(u64, Order)> {
    let (ticket, order) = match command {
        Command::QueueHold { ticket } => (ticket, Order::Hold),
        Command::QueueRelease { ticket } => (ticket, Order::Release),
        Command::QueueDelete { ticket, report } => (ticket, Order::Delete { report: *report }),
        _other => return None,
    };
    Some((meant(ticket)?, order))
}

fn secured(secure: DoorSecure, authority: Authority) -> Secure {
    let trust = match (secure.want_peer_certificate, secure.require_peer_certificate) {
        (false, _) => Trust::Anybody,
        (true, true) => Trust::Authority(authority),
        // Whether the names that are told suffice is the door's to decide, after TLS.
        (true, false) => Trust::Asked(authority),
    };
    Secure {
        role: if secure.client { TlsRole::Client } else { TlsRole::Server },
        server_name: secure.server_name,
        alpn: secure.alpn,
        certificate: secure.certificate,
        trust,
    }
}
