//! The air of a busy exchange, shown to tshark: bursts of losses, traffic both ways, a hard link, and a node that begins
//! anew in the middle of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use skywave_protocols::s5066::address::NodeAddress;
use skywave_protocols::s5066::sis::fields::{HardLink, HardLinkType, SapId};
use skywave_protocols::s5066::sis::pdu::Primitive;

use crate::console::sound;
use crate::shared_radio::Client;
use crate::site::{self, Process};
use crate::tshark::fields;
use crate::wait;

/// The nodes' time runs so many times as fast.
const SPEED: u32 = 50;
const NEAR: &str = "1.1.0.1";
const FAR: &str = "1.1.0.2";

/// Two nodes, each in a process of its own: the near one has the radio and its capture.
struct Nodes<'a> {
    folder: &'a Path,
    setup: &'a str,
    near: SocketAddr,
    far: SocketAddr,
    radio: SocketAddr,
}

impl<'a> Nodes<'a> {
    fn new(folder: &'a Path, setup: &'a str) -> Self {
        let [near, far, radio] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port())));
        fs::write(folder.join("weather.toml"), "[burst]\nloss_percent = 8.0\nmean_blocks = 3\n").unwrap();
        Self { folder, setup, near, far, radio }
    }

    fn start(&self, name: &str, head: &str, (listen, address): (SocketAddr, &str), capture: Option<&Path>) -> Process {
        let station = format!("[station.\"{name}.test\"]\nlisten = \"{listen}\"\naddress = \"{address}\"\n");
        let config = self.folder.join(format!("{name}.toml"));
        fs::write(&config, format!("{head}{station}setup = \"{}\"\n", self.setup)).unwrap();
        let process = Process::start(&["node"], &config, capture);
        wait::listening(listen, 20);
        process
    }

    fn start_near(&self, capture: &Path) -> Process {
        let head = format!(
            "weather_file = \"weather.toml\"\nbits_per_second = 1200\nspeed = {SPEED}\n[radio]\nlisten = \"{}\"\n",
            self.radio
        );
        self.start("near", &head, (self.near, NEAR), Some(capture))
    }

    fn start_far(&self) -> Process {
        self.start("far", &format!("[radio]\njoin = \"{}\"\n", self.radio), (self.far, FAR), None)
    }
}

/// Traffic from a server to a node, in the background.
fn traffic(server: SocketAddr, to: &str, words: &[&str]) -> Child {
    let mut command = Command::new(site::program());
    command.args(["s5066", "traffic", to, "--no-count", "--timeout-seconds", "600"]).args(words);
    command.args(["--speed", &SPEED.to_string(), "--server", &server.to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The types of the D_PDUs that such nodes put on the air, all of them sound.
fn types(setup: &str) -> BTreeSet<u8> {
    let folder = tempfile::Builder::new().prefix("skywave-busy-").tempdir().unwrap();
    let capture = folder.path().join("air.pcapng");
    let nodes = Nodes::new(folder.path(), setup);
    let near = nodes.start_near(&capture);
    let far = nodes.start_far();

    let both = [
        traffic(nodes.near, FAR, &["--sap", "13", "--pdus", "25", "--octets", "1500"]),
        traffic(nodes.far, NEAR, &["--sap", "12", "--pdus", "25", "--octets", "700"]),
        traffic(nodes.near, FAR, &["--sap", "14", "--pdus", "3", "--octets", "300", "--expedited"]),
        traffic(nodes.far, NEAR, &["--sap", "9", "--pdus", "5", "--octets", "400", "--non-arq", "--repeats", "1"]),
    ];
    for mut child in both {
        assert!(child.wait().unwrap().success(), "{setup}");
    }
    let mut client = Client::bind(nodes.near.port());
    let node: NodeAddress = FAR.parse().unwrap();
    let link = HardLink { kind: HardLinkType::Reservation, priority: 1, remote_sap: SapId::RCOP, node };
    client.say(&Primitive::HardLinkEstablish(link));
    client.until(|primitive| match primitive {
        Primitive::HardLinkEstablished(..) => Some(()),
        Primitive::HardLinkRejected(reason, _) => panic!("{setup}: {reason:?}"),
        _ => None,
    });
    let mut cut_off = traffic(nodes.near, FAR, &["--sap", "13", "--pdus", "60", "--octets", "1500"]);
    wait::pass(Duration::from_secs(2));
    far.kill();
    let far = nodes.start_far();
    // What rides on the link that the return of the hard link replaces is reported, not delivered (ADR 0063): who sends
    // again gets through.
    let mut back = (0..3).map(|_| traffic(nodes.far, NEAR, &["--sap", "12", "--pdus", "5", "--octets", "700"]));
    assert!(back.any(|mut child| child.wait().unwrap().success()), "{setup}: a node that began anew sends");
    // What was under way when the node went may be confirmed or reported; that it ends is another test's.
    let _ = cut_off.kill();
    cut_off.wait().unwrap();
    drop((far, near));

    let dissected = sound(&capture);
    assert!(dissected > 200, "{setup}: {dissected} D_PDUs");
    let rows = fields(&capture, &[], "s5066dts", &["s5066dts.type"]);
    rows.iter().flatten().filter_map(|kind| kind.parse().ok()).collect()
}

#[test]
fn all_types_of_a_busy_exchange_are_dissected() {
    let by_setup = ["ride", "handshake", "reset"].map(|setup| (setup, types(setup)));
    // Without 6 and 15: nobody manages, and nobody does what is to be warned of.
    for kind in [0, 1, 2, 3, 4, 5, 7, 8] {
        assert!(by_setup.iter().any(|(_, seen)| seen.contains(&kind)), "no D_PDU of type {kind}: {by_setup:?}");
    }
}
