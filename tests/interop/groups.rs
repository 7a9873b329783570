//! Three running sites on loopback multicast: a mail for two of them goes to a group of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::sender::Sender;
use crate::sink::Sink;
use crate::site::{Process, program};
use crate::wait;

const SITES: [&str; 3] = ["hq", "field", "ship"];
/// The waits of the procedure, and what a busy machine takes.
const CROSSING_SECONDS_MAX: u64 = 60;

#[test]
fn a_mail_for_two_sites_crosses_by_a_group_of_its_own() {
    let folder = tempfile::Builder::new().prefix("skywave-groups-").tempdir().unwrap();
    let place = folder.path();
    let p_mul = [wait::free_port(), wait::free_port(), wait::free_port(), wait::free_port()];
    let sinks: Vec<Sink> = SITES.iter().map(|_| Sink::start()).collect();
    let doors: Vec<SocketAddr> = SITES.iter().map(|_| (Ipv4Addr::LOCALHOST, wait::free_port()).into()).collect();
    let sites: Vec<Process> = (0..SITES.len())
        .map(|index| {
            let file = place.join(format!("{}.toml", SITES[index]));
            let text = site(index, &place.display().to_string(), doors[index], sinks[index].address, p_mul);
            fs::write(&file, text).unwrap();
            let capture = place.join(format!("{}.pcapng", SITES[index]));
            let process = Process::start(&["run"], &file, Some(&capture));
            wait::listening(doors[index], 20);
            process
        })
        .collect();
    let text = "From: <a@hq.test>\r\nSubject: for two\r\nMessage-ID: <two@hq.test>\r\n\r\nhello\r\n";
    let to = ["<b@field.test>".to_owned(), "<c@ship.test>".to_owned()];
    let (code, lines) = Sender::connect(doors[0]).send("<a@hq.test>", &to, text.as_bytes());
    assert_eq!(code, 250, "{lines:?}");
    for sink in &sinks[1..] {
        assert!(sink.mails(1, CROSSING_SECONDS_MAX)[0].octets.ends_with(text.as_bytes()));
    }
    let shown = || {
        let run = place.join("hq-run");
        let asked = Command::new(program())
            .args(["link", "show", "udp", "--json", "--run-directory"])
            .arg(run)
            .output()
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&asked.stdout).unwrap()
    };
    wait::until("the group is given back", CROSSING_SECONDS_MAX, || {
        (shown()["transport"]["groups_own"] == 0).then_some(())
    });
    drop(sites);
    let capture = fs::read(place.join("hq.pcapng")).unwrap();
    // Data went to an address of the range: in a capture it stands behind the address that stands for us.
    let own_group = [10, 50, 66, 1, 239, 192, 7];
    assert!(capture.windows(own_group.len()).any(|octets| octets == own_group), "nothing went to a group of its own");
}

fn site(index: usize, place: &str, door: SocketAddr, mta: SocketAddr, ports: [u16; 4]) -> String {
    let own = SITES[index];
    let address = |index: usize| format!("127.0.0.{}", index + 1);
    let mut text = format!(
        "site = \"{own}.test\"\nspool_directory = \"{place}/{own}-spool\"\nrun_directory = \"{place}/{own}-run\"\n\
         [mail]\nlisten = [\"{door}\"]\n\
         [local.mta]\ndomains = [\"{own}.test\"]\ntarget = \"{mta}\"\n\
         [link.udp]\ncarriage = \"mule\"\ntransport = \"acp142_udp\"\nbind = \"{}\"\nports = {ports:?}\n\
         group = \"239.193.7.1\"\nbits_per_second = 1000000\nack_wait_seconds = 2\n\
         [link.udp.dynamic_groups]\nglobal_group = \"239.193.7.2\"\nrange = [\"239.192.7.1\", \"239.192.7.9\"]\n\
         wait_for_reject_seconds = 1\nannounce_delay_seconds = 2\n",
        address(index)
    );
    for other in (0..SITES.len()).filter(|other| *other != index) {
        let name = SITES[other];
        text.push_str(&format!(
            "[link.udp.site.\"{name}.test\"]\naddress = \"{}\"\n\
             [route.{name}]\ndomains = [\"{name}.test\"]\nsite = \"{name}.test\"\nlinks = [\"udp\"]\n",
            address(other)
        ));
    }
    text
}
