//! `skywave s5066`, `bench live-hf` and the capture of a node, against our own running node.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::site::{self, Process};
use crate::tshark::fields;
use crate::wait;

/// The nodes' time runs so many times as fast.
const SPEED: u32 = 50;

/// Two nodes on one radio of 1200 bit/s.
struct Nodes {
    near: SocketAddr,
    far: SocketAddr,
    process: Option<Process>,
    folder: TempDir,
}

impl Nodes {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("skywave-console-").tempdir().unwrap();
        let [near, far] = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port())));
        let config = folder.path().join("node.toml");
        let text = format!(
            "bits_per_second = 1200\nspeed = {SPEED}\n\
             [station.\"hq.test\"]\nlisten = \"{near}\"\naddress = \"1.1.0.1\"\n\
             [station.\"field.test\"]\nlisten = \"{far}\"\naddress = \"1.1.0.2\"\n"
        );
        fs::write(&config, text).unwrap();
        let process = Process::start(&["node"], &config, Some(&folder.path().join("air.pcapng")));
        [near, far].into_iter().for_each(|address| wait::listening(address, 20));
        Self { near, far, process: Some(process), folder }
    }

    /// Stops the nodes; the capture is whole then.
    fn capture(&mut self) -> PathBuf {
        self.process = None;
        self.folder.path().join("air.pcapng")
    }
}

/// A console with its time as fast as the nodes'.
fn console(server: SocketAddr, words: &[&str]) -> Command {
    let mut command = Command::new(site::program());
    command.arg("s5066").args(words).args(["--json", "--speed", &SPEED.to_string(), "--server", &server.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(server: SocketAddr, words: &[&str]) -> (Option<i32>, Value) {
    let Output { status, stdout, stderr } = console(server, words).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let last = text.lines().last().unwrap_or("null");
    let value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{words:?}: {error}: {text} {errors}"));
    (status.code(), value)
}

/// A console in the background; told to stop when dropped.
struct Background(Option<Child>);

impl Background {
    fn start(server: SocketAddr, words: &[&str]) -> Self {
        let mut command = console(server, words);
        Self(Some(command.spawn().unwrap()))
    }

    /// Returns when the server has accepted its bind: what is asked before that could take the SAP away from it.
    fn bound(mut self) -> Self {
        let child = self.0.as_mut().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("S_BIND_ACCEPTED") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended before it was bound");
        }
        child.stdout = Some(lines.into_inner());
        self
    }

    /// All that it said.
    fn stop(mut self) -> Vec<Value> {
        let child = self.0.take().unwrap();
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A running node is silenced, and says what it counts; a client of a lower rank has no say.
#[test]
fn a_running_node_is_managed() {
    let nodes = Nodes::start();
    let (code, report) = run(nodes.near, &["emcon", "on"]);
    assert_eq!((code, &report["answer"]), (Some(0), &"emcon on".into()), "{report}");
    let (_, status) = run(nodes.near, &["status"]);
    assert_eq!(status["availability_reason"], "emcon", "{status}");
    let (code, state) = run(nodes.near, &["state"]);
    let lines = state["answer"].as_str().unwrap_or_default();
    assert_eq!(code, Some(0), "{state}");
    for line in ["emcon=true", "address=1.1.0.1", "link.frames_forged=0", "cas.rejected=0", "dts.segments_sent=0"] {
        assert!(lines.lines().any(|found| found == line), "{line} is not in\n{lines}");
    }
    let (code, report) = run(nodes.near, &["emcon", "off"]);
    assert_eq!((code, &report["answer"]), (Some(0), &"emcon off".into()), "{report}");
    let (_, status) = run(nodes.near, &["status"]);
    assert_eq!(status["availability"], "half_duplex", "{status}");
}

#[test]
fn status_says_what_the_server_says_and_faults_have_their_codes() {
    let nodes = Nodes::start();
    let (code, status) = run(nodes.near, &["status"]);
    assert_eq!(code, Some(0), "{status}");
    assert_eq!((&status["sap"], &status["mtu_octets"], &status["ended"]), (&13.into(), &2048.into(), &"done".into()));
    assert_eq!(status["availability"], "half_duplex", "{status}");

    let watching = Background::start(nodes.near, &["monitor", "--sap", "13"]).bound();
    let (code, status) = run(nodes.near, &["status"]);
    assert_eq!((code, &status["sap"], &status["saps_taken"][0]), (Some(0), &14.into(), &13.into()), "{status}");
    let (code, refused) = run(nodes.near, &["status", "--sap", "13"]);
    assert_eq!(code, Some(75), "{refused}");
    assert!(refused["why"].as_str().unwrap().contains("SAP already allocated"), "{refused}");
    drop(watching);

    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let (code, gone) = run(nobody, &["ping", "1.1.0.2"]);
    assert_eq!(code, Some(69), "{gone}");
    let (code, large) = run(nodes.near, &["ping", "1.1.0.2", "--octets", "2049"]);
    assert_eq!((code, large["why"].as_str()), (Some(64), Some("2049 octets, the node takes 2048")), "{large}");
}

#[test]
fn pings_traffic_and_a_relay_cross_the_radio() {
    let nodes = Nodes::start();
    let answering = Background::start(nodes.far, &["ping", "--answer"]);
    // The answering console is bound when a ping gets through.
    wait::until("an answer", 60, || (run(nodes.near, &["ping", "1.1.0.2", "--count", "1"]).0 == Some(0)).then_some(()));

    let (code, report) = run(nodes.near, &["ping", "1.1.0.2", "--count", "3", "--pause-seconds", "1"]);
    assert_eq!((code, &report["answered"], &report["duplicates"]), (Some(0), &3.into(), &0.into()), "{report}");
    let mean = report["mean_seconds"].as_f64().unwrap();
    assert!((1.0..30.0).contains(&mean), "{report}");

    let (code, report) = run(nodes.near, &["traffic", "1.1.0.2", "--pdus", "30", "--octets", "1000"]);
    assert_eq!((code, &report["confirmed"], &report["counted"]["pdus"]), (Some(0), &30.into(), &30.into()), "{report}");
    let rate = report["bits_per_second"].as_f64().unwrap();
    assert!((600.0..1200.0).contains(&rate), "{report}");

    let words = ["traffic", "1.1.0.2", "--non-arq", "--pdus", "10", "--octets", "300"];
    let (code, report) = run(nodes.near, &words);
    assert_eq!((code, &report["handed"], &report["counted"]["pdus"]), (Some(0), &10.into(), &10.into()), "{report}");

    let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port()));
    let watching = Background::start(nodes.near, &["monitor", "--listen", &relay.to_string()]);
    wait::listening(relay, 20);
    let (code, report) = run(relay, &["ping", "1.1.0.2", "--count", "1"]);
    assert_eq!((code, &report["answered"]), (Some(0), &1.into()), "{report}");
    let seen = watching.stop();
    let names: Vec<&str> = seen.iter().filter_map(|line| line["primitive"]["primitive"].as_str()).collect();
    for name in ["S_BIND_REQUEST", "S_BIND_ACCEPTED", "S_UNIDATA_REQUEST", "S_UNIDATA_INDICATION", "S_UNBIND_REQUEST"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }

    let said = answering.stop();
    let end = said.last().unwrap();
    assert_eq!((&end["ended"], &end["load_pdus"]), (&"stopped".into(), &40.into()), "{end}");
}

#[test]
fn the_papers_test_runs_through_two_nodes() {
    let nodes = Nodes::start();
    let output = Command::new(site::program())
        .args(["bench", "live-hf", "--json", "--near", &nodes.near.to_string(), "--far", &nodes.far.to_string()])
        .args(["--far-address", "1.1.0.2", "--rounds", "3", "--payloads", "0,100", "--delays", "0,5"])
        .args(["--loads", "100,10240", "--load-seconds", "60", "--rest-seconds", "10"])
        .args(["--speed", &SPEED.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text} {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text).unwrap();
    for (table, rows) in [("round_trips_by_payload", 2), ("round_trips_by_typing_delay", 2), ("throughput", 2)] {
        assert_eq!(report[table].as_array().unwrap().len(), rows, "{report}");
    }
    let first = &report["round_trips_by_payload"][0];
    assert_eq!((&first["answered"], &first["paper_mean_seconds"]), (&3.into(), &11.7.into()), "{first}");
    let long = &report["throughput"][1];
    assert_eq!(long["u_pdus_not_confirmed"], 0, "{long}");
    assert!((50.0..100.0).contains(&long["used_percent"].as_f64().unwrap()), "{long}");
}

/// Every D_PDU on the air is one that the dissector knows, with the right CRCs. Those below 15 octets it leaves alone
/// (vectors' README, note c).
#[test]
fn what_went_on_the_air_is_dissected() {
    let mut nodes = Nodes::start();
    let answering = Background::start(nodes.far, &["traffic", "--answer"]);
    wait::until("an answer", 60, || (run(nodes.near, &["ping", "1.1.0.2", "--count", "1"]).0 == Some(0)).then_some(()));
    run(nodes.near, &["traffic", "1.1.0.2", "--pdus", "20", "--octets", "1500"]);
    run(nodes.near, &["traffic", "1.1.0.2", "--pdus", "5", "--octets", "400", "--expedited"]);
    run(nodes.near, &["traffic", "1.1.0.2", "--pdus", "5", "--octets", "400", "--non-arq"]);
    answering.stop();
    let capture = nodes.capture();

    let sis = fields(&capture, &[], "s5066sis", &["s5066sis.type"]);
    // Request, indication and confirmation of each of the 30; a node faster than real time sends no keep-alives.
    assert!(sis.len() >= 90, "{} packets with primitives", sis.len());
    assert_eq!(fields(&capture, &[], "tcp.analysis.flags", &["frame.number"]), Vec::<Vec<String>>::new());
    let dissected = sound(&capture);
    assert!(dissected > 30, "{dissected} D_PDUs");
}

/// Nothing malformed, and every CRC correct; how many D_PDUs were dissected.
pub fn sound(capture: &Path) -> usize {
    let none = Vec::<Vec<String>>::new();
    assert_eq!(fields(capture, &[], "_ws.malformed", &["frame.number"]), none);
    let output = Command::new("tshark").args(["-V", "-Y", "s5066dts", "-r"]).arg(capture).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let crcs: Vec<&str> = text.lines().filter(|line| line.contains("CRC")).collect();
    let wrong: Vec<&&str> = crcs.iter().filter(|line| !line.contains("(Correct)")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let dissected = fields(capture, &[], "s5066dts", &["frame.number"]).len();
    assert!(crcs.len() >= dissected, "each has one in its header");
    let missed =
        fields(capture, &[], "frame.interface_name == \"air\" && !s5066dts && frame.len >= 15", &["frame.number"]);
    assert_eq!(missed, none);
    dissected
}

/// The vectors through our writer: what the dissector says of them does not depend on the node.
#[test]
fn the_vectors_of_d_pdus_pass_the_writer() {
    use skywave::shell::capture::PcapNg;
    use skywave_protocols::time::WallTime;
    let vectors = skywave_conformance::vectors().unwrap();
    let of_air: Vec<_> = vectors.iter().filter(|vector| vector.protocol == "dpdu").collect();
    assert!(of_air.len() >= 25, "{} vectors", of_air.len());
    let (mut writer, mut file) = (PcapNg::default(), PcapNg::header());
    for (second, vector) in (1_700_000_000..).zip(&of_air) {
        file.extend(writer.sis(WallTime::from_unix_seconds(second), 1, true, &[0x90, 0xeb, 0, 0, 1, 17]));
        file.extend(writer.air(WallTime::from_unix_seconds(second), &vector.id, &vector.octets));
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("vectors.pcapng");
    fs::write(&capture, file).unwrap();
    let long: Vec<_> = of_air.iter().filter(|vector| vector.octets.len() >= 15).collect();
    assert_eq!(sound(&capture), long.len());
    let rows = fields(&capture, &[], "s5066dts", &["frame.comment", "frame.interface_name"]);
    for (row, vector) in rows.iter().zip(&long) {
        assert_eq!((&row[0], row[1].as_str()), (&vector.id, "air"));
    }
    assert_eq!(fields(&capture, &[], "s5066sis", &["frame.interface_name"]).len(), of_air.len());
}
