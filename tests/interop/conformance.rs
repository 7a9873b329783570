//! `skywave conformance --against`: the vectors of the subnetwork interface against a running node, here our own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{site, wait};

/// The node; stopped when dropped.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn our_own_node_takes_every_vector_that_a_client_sends() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wait::free_port()));
    let text =
        format!("bits_per_second = 9600\n[station.\"hq.test\"]\nlisten = \"{address}\"\naddress = \"1.1.0.1\"\n");
    fs::write(&config, text).unwrap();
    let mut command = Command::new(site::program());
    let command = command.args(["node", "-c"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let _node = Node(command.spawn().unwrap());
    wait::listening(address, 20);

    let ran = Command::new(site::program())
        .args(["conformance", "sis", "--json", "--against", &address.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(ran.status.success() && report["failed"] == 0, "{text}");
    assert!(report["passed"].as_u64().is_some_and(|passed| passed >= 15), "{text}");

    let nobody =
        Command::new(site::program()).args(["conformance", "sis", "--against", "127.0.0.1:1"]).output().unwrap();
    assert!(!nobody.status.success(), "nobody listens there");
}
