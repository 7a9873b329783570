//! Three processes on one simulated radio: one hosts it, two have joined; a U_PDU passes between the two that joined.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use skywave_protocols::bytes::Bytes;
use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::fields::{
    Confirmation, DeliveryMode, Order, Rank, SapId, ServiceType, TransmissionMode, Ttl,
};
use skywave_protocols::s5066::sis::frame::FrameReader;
use skywave_protocols::s5066::sis::pdu::Primitive;
use skywave_protocols::s5066::sis::unidata::{Quirks, UnidataRequest};

use crate::site::Process;
use crate::wait;

const SPEED: u32 = 20;

/// A client of a SIS server.
pub struct Client {
    stream: TcpStream,
    reader: FrameReader,
}

impl Client {
    /// Binds the SAP of RCOP.
    pub fn bind(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut client = Self { stream, reader: FrameReader::default() };
        let service = ServiceType { mode: DeliveryMode::ARQ_NODE, retransmissions: 0 };
        client.say(&Primitive::BindRequest { sap: SapId::RCOP, rank: Rank::default(), service });
        client.until(|primitive| matches!(primitive, Primitive::BindAccepted { .. }).then_some(()));
        client
    }

    /// Sends a primitive.
    pub fn say(&mut self, primitive: &Primitive) {
        self.stream.write_all(&primitive.encode().unwrap()).unwrap();
    }

    /// Reads until a primitive gives something.
    pub fn until<T>(&mut self, wanted: impl Fn(&Primitive) -> Option<T>) -> T {
        let mut octets = [0; 4096];
        loop {
            while let Some(frame) = self.reader.next_frame() {
                let primitive = Primitive::decode(&frame.unwrap(), Quirks::default()).unwrap();
                if let Some(found) = wanted(&primitive) {
                    return found;
                }
            }
            let read = self.stream.read(&mut octets).unwrap();
            assert!(read > 0, "the node hung up");
            self.reader.push(&octets[..read]);
        }
    }
}

#[test]
fn a_u_pdu_passes_between_processes_that_joined_a_radio() {
    let folder = tempfile::Builder::new().prefix("skywave-radio-").tempdir().unwrap();
    let [radio, ports @ ..] = [(); 4].map(|()| wait::free_port());
    let start = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Process::start(&["node"], &path, None)
    };
    let station = |number: usize| {
        format!(
            "[station.\"s{number}.test\"]\nlisten = \"127.0.0.1:{}\"\naddress = \"1.1.0.{number}\"\n",
            ports[number]
        )
    };
    let hosts =
        format!("speed = {SPEED}\nbits_per_second = 2400\n[radio]\nlisten = \"127.0.0.1:{radio}\"\n{}", station(0));
    let host = start("host.toml", hosts);
    wait::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, radio)), 20);
    let joined = [1, 2].map(|number| {
        start(&format!("guest-{number}.toml"), format!("[radio]\njoin = \"127.0.0.1:{radio}\"\n{}", station(number)))
    });
    for port in ports {
        wait::listening(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 20);
    }
    let [mut one, mut other] = [1, 2].map(|number| Client::bind(ports[number]));
    let u_pdu = Bytes::from("between two processes ".repeat(50));
    one.say(&Primitive::UnidataRequest(UnidataRequest {
        priority: 6,
        sap: SapId::RCOP,
        destination: "1.1.0.2".parse::<NodeAddress>().unwrap(),
        mode: DeliveryMode::new(TransmissionMode::Arq, Confirmation::Node, Order::InOrder),
        retransmissions: 0,
        ttl: Ttl::from_span(Duration::from_secs(600)),
        u_pdu: u_pdu.clone(),
    }));
    let arrived = other.until(|primitive| match primitive {
        Primitive::UnidataIndication(indication) => Some(indication.u_pdu.clone()),
        _ => None,
    });
    assert_eq!(arrived, u_pdu);
    one.until(|primitive| matches!(primitive, Primitive::UnidataRequestConfirm(_)).then_some(()));
    drop((joined, host));
}
