//! One datagram socket: binds, joins groups, sends and receives.
//!
//! A socket bound to one address of the machine does not hear groups, so each group has a socket of its own, bound to
//! the group's address, that only listens: sites on one machine do not hear each other's unicast datagrams.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use skywave_protocols::bytes::Bytes;
use skywave_transports::io::{SocketId, SocketInput, SocketOutput};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::inbox::{Happened, Inbox};
use crate::node::Input;

/// Largest datagram in octets.
const DATAGRAM_OCTETS_MAX: usize = 65_535;
/// Hops a multicast datagram may go.
const MULTICAST_HOPS: u32 = 16;

/// The node's end of a socket.
pub(super) type SocketOrders = mpsc::UnboundedSender<SocketOutput>;

/// Starts the task of a socket; `Bind` is its first order.
pub(super) fn start(inbox: Inbox, id: SocketId) -> SocketOrders {
    let (orders, mut received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut socket = Datagrams { inbox, id, bound: None, groups: BTreeMap::new(), dscp: 0 };
        while let Some(order) = received.recv().await {
            if let Err(error) = socket.order(order).await {
                socket.say(SocketInput::Failed(error.to_string())).await;
            }
        }
    });
    orders
}

/// Sets the Differentiated Services code point of a socket's packets.
pub(super) fn set_dscp(socket: &SockRef<'_>, v4: bool, dscp: u8) -> std::io::Result<()> {
    let octet = u32::from(dscp & 0x3f) << 2;
    if octet == 0 {
        return Ok(());
    }
    if v4 { socket.set_tos_v4(octet) } else { socket.set_tclass_v6(octet) }
}

struct Listening {
    socket: Arc<UdpSocket>,
    task: tokio::task::AbortHandle,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Datagrams {
    inbox: Inbox,
    id: SocketId,
    bound: Option<(SocketAddr, Listening)>,
    groups: BTreeMap<IpAddr, Listening>,
    dscp: u8,
}

impl Datagrams {
    async fn say(&self, input: SocketInput) {
        let _ = self.inbox.send(Happened::Input(Input::Socket(self.id, input))).await;
    }

    async fn order(&mut self, order: SocketOutput) -> std::io::Result<()> {
        match order {
            SocketOutput::Bind(address) => {
                self.bound = None;
                let listening = self.listen(address)?;
                let local = listening.socket.local_addr()?;
                self.bound = Some((local, listening));
                self.say(SocketInput::Bound(local)).await;
                Ok(())
            }
            SocketOutput::Send { destination, octets, dscp } => self.send(destination, &octets, dscp).await,
            SocketOutput::Join(group) => self.join(group),
            SocketOutput::Leave(group) => {
                self.groups.remove(&group);
                Ok(())
            }
        }
    }

    async fn send(&mut self, destination: SocketAddr, octets: &[u8], dscp: u8) -> std::io::Result<()> {
        let Some((address, listening)) = &self.bound else { return Err(std::io::ErrorKind::NotConnected.into()) };
        if dscp != self.dscp {
            let octet = u32::from(dscp & 0x3f) << 2;
            let socket = SockRef::from(&*listening.socket);
            if address.is_ipv4() {
                socket.set_tos_v4(octet)?
            } else {
                socket.set_tclass_v6(octet)?
            }
            self.dscp = dscp;
        }
        match listening.socket.send_to(octets, destination).await {
            Ok(_) => Ok(()),
            // A host or net that cannot be reached is weather: the carrier repeats what was not acknowledged.
            Err(error) if is_weather(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn join(&mut self, group: IpAddr) -> std::io::Result<()> {
        let Some((bound, _)) = &self.bound else { return Err(std::io::ErrorKind::NotConnected.into()) };
        let (interface, port) = (bound.ip(), bound.port());
        let listening = self.listen(SocketAddr::new(group, port))?;
        match (group, interface) {
            (IpAddr::V4(group), IpAddr::V4(interface)) => listening.socket.join_multicast_v4(group, interface)?,
            (IpAddr::V4(group), IpAddr::V6(_)) => listening.socket.join_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?,
            (IpAddr::V6(group), _) => listening.socket.join_multicast_v6(&group, 0)?,
        }
        self.groups.insert(group, listening);
        Ok(())
    }

    fn listen(&self, address: SocketAddr) -> std::io::Result<Listening> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.ip().is_multicast() {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        if let IpAddr::V4(interface) = address.ip()
            && !interface.is_multicast()
        {
            socket.set_multicast_ttl_v4(MULTICAST_HOPS)?;
            if !interface.is_unspecified() {
                socket.set_multicast_if_v4(&interface)?;
            }
        }
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let (inbox, id, receiving) = (self.inbox.clone(), self.id, Arc::clone(&socket));
        let task = tokio::spawn(async move { receive(inbox, id, &receiving).await }).abort_handle();
        Ok(Listening { socket, task })
    }
}

async fn receive(inbox: Inbox, id: SocketId, socket: &UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        let input = match socket.recv_from(&mut buffer).await {
            Ok((octets, source)) => SocketInput::Datagram { source, octets: Bytes::copy_from_slice(&buffer[..octets]) },
            Err(error) if is_weather(&error) => continue,
            Err(error) => SocketInput::Failed(error.to_string()),
        };
        let failed = matches!(input, SocketInput::Failed(_));
        if inbox.send(Happened::Input(Input::Socket(id, input))).await.is_err() || failed {
            return;
        }
    }
}

fn is_weather(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
}
