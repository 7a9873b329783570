//! What goes wrong in a world, and what people do in it, at a time.

use skywave_protocols::time::Duration;

use super::World;
use super::chat::Deed;
use super::disk::Ailment;
use super::heap::Happening;
use super::local_mta::Mood;
use crate::node::Input;
use crate::node::command::Command;

/// Something that is done to a world.
#[derive(Clone, PartialEq, Debug)]
pub enum Trouble {
    /// A site that was absent, or stopped, starts.
    Start(usize),
    /// A site ends in good order and starts again after a time.
    Restart(usize, Duration),
    /// A site crashes and starts again after a time.
    Crash(usize, Duration),
    /// A site crashes after so many more outputs.
    CrashAfter(usize, u32, Duration),
    /// A disk ails, or is well again.
    Disk(usize, Option<Ailment>),
    /// A local MTA changes its mood.
    Mta(usize, Mood),
    /// A user of a local XMPP server does something.
    Chat(usize, String, Box<Deed>),
    /// A local XMPP server goes down or comes up.
    Xmpp(usize, bool),
    /// A station and its site's links enter or leave EMCON.
    Emcon(usize, bool),
    /// Only the station enters or leaves EMCON.
    StationEmcon(usize, bool),
    /// No propagation for a time.
    Outage(Duration),
    /// A site's STANAG 5066 node is switched off or on.
    StationPower(usize, bool),
    /// A site's STANAG 5066 node begins anew, and takes U_PDUs of at most so many octets.
    StationRenewed(usize, u16),
    /// A site's wall clock jumps by so many microseconds.
    ClockJump(usize, i64),
    /// Loss of datagrams, in a million.
    DatagramLoss(u32),
    /// Nothing passes between sites over IP for a time.
    NetworkOutage(Duration),
    /// An operator's command whose reply nobody reads.
    Command(usize, Box<Command>),
}

impl World {
    /// Does it now.
    pub(super) fn befall(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Start(site) => self.start(site),
            Trouble::Restart(site, down) => {
                self.sites[site].restart_after = Some(down);
                self.feed(site, Input::Stop);
            }
            Trouble::Crash(site, down) => {
                self.sites[site].restart_after = Some(down);
                self.crash(site);
            }
            Trouble::CrashAfter(site, outputs, down) => {
                self.sites[site].restart_after = Some(down);
                self.sites[site].outputs_until_crash = Some(outputs);
            }
            Trouble::Disk(site, ailment) => self.sites[site].disk.ail(ailment),
            Trouble::Mta(site, mood) => self.sites[site].mta.mood = mood,
            Trouble::Chat(site, user, deed) => self.chat(site, &user, &deed),
            Trouble::Xmpp(site, up) => self.xmpp_power(site, up),
            Trouble::Emcon(site, on) => {
                self.befall(Trouble::StationEmcon(site, on));
                self.command(site, Command::Emcon { link: None, on });
            }
            Trouble::StationEmcon(site, on) => self.air.set_emcon(self.at, site, on),
            Trouble::Outage(span) => self.air.outage(self.at, span),
            Trouble::StationPower(site, on) => {
                for session in self.air.set_power(self.at, site, on) {
                    self.end_session(session);
                }
            }
            Trouble::StationRenewed(site, mtu) => {
                for session in self.air.renew(self.at, site, mtu) {
                    self.end_session(session);
                }
            }
            Trouble::ClockJump(site, micros) => self.sites[site].wall_ahead += micros,
            Trouble::DatagramLoss(per_million) => self.net.loss_per_million = per_million,
            Trouble::NetworkOutage(span) => self.network_outage(span),
            Trouble::Command(site, command) => {
                self.command(site, *command);
            }
        }
    }

    /// A node begins a life.
    pub(super) fn start(&mut self, site: usize) {
        if self.sites[site].node.is_none() {
            let at = self.at;
            self.sites[site].start(at);
            self.checkers.started(site, at);
            self.feed(site, Input::Started);
        }
    }

    /// A node's life ends without a word.
    pub(super) fn crash(&mut self, site: usize) {
        if self.sites[site].node.is_none() {
            return;
        }
        self.checkers.crashed(&self.sites[site]);
        self.end_life(site);
    }

    /// A node has ended, in good order or not; the rest of the world notices.
    pub(super) fn end_life(&mut self, site: usize) {
        self.reset_peers(site);
        self.sites[site].crash();
        self.net.forget(site);
        self.air.hang_up(self.at, site);
        let at = self.at;
        self.sites[site].xmpp.hang_up(at);
        for errand in self.errands.of_site(site) {
            self.close_client(errand);
        }
        if let Some(down) = self.sites[site].restart_after.take() {
            self.heap.push(self.at + down, Happening::SiteStarts(site));
        }
    }
}
