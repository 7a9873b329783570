//! How somebody chats with a client of their own.

use std::net::SocketAddr;

use super::people::PASSWORD;

/// An account that any client can use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its bare address.
    pub address: String,
    /// Where clients connect.
    pub server: SocketAddr,
}

/// What a person has to know, line by line. Without accounts, how to get some.
pub fn words(accounts: &[Account], prosody_is_installed: bool) -> Vec<String> {
    if accounts.is_empty() {
        return without_accounts(prosody_is_installed);
    }
    let mut lines =
        vec!["Chat with any XMPP client that lets you set server and port (Gajim, Psi, profanity):".to_owned()];
    lines.extend(accounts.iter().map(|Account { address, server }| {
        format!("  {address}  password {PASSWORD}  server {}  port {}", server.ip(), server.port())
    }));
    lines.push("Each server made a certificate for this run: have the client trust it. In profanity:".to_owned());
    lines.extend(accounts.iter().map(|Account { address, server }| {
        format!("  /connect {address} server {} port {} tls trust", server.ip(), server.port())
    }));
    lines.push("Write to the other, or both enter a room, say ops@chat.hq.test: it crosses the radio.".to_owned());
    lines
}

/// Stand-ins take no clients, and a gateway of the demonstration connects to no other server.
fn without_accounts(prosody_is_installed: bool) -> Vec<String> {
    let how = if prosody_is_installed {
        "run skywave demo --prosody (Prosody is installed here)"
    } else {
        "install Prosody (Debian: apt install prosody) and run skywave demo --prosody"
    };
    vec![
        "The XMPP servers of this run are stand-ins, which take no clients. To chat with a client of your own,"
            .to_owned(),
        format!("  {how}: it says account, server and port for each site."),
        "To put a gateway beside a server of your own: \"Chat with real servers\" in the manual (docs/src).".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_account_server_and_port() {
        let server = SocketAddr::from(([127, 0, 0, 1], 5222));
        let accounts =
            ["alice@hq.test", "bob@field.test"].map(|address| Account { address: address.to_owned(), server });
        let told = words(&accounts, true);
        assert!(
            told.contains(&"  alice@hq.test  password skywave  server 127.0.0.1  port 5222".to_owned()),
            "{told:?}"
        );
        assert!(
            told.contains(&"  /connect bob@field.test server 127.0.0.1 port 5222 tls trust".to_owned()),
            "{told:?}"
        );
    }

    #[test]
    fn without_an_account_it_is_told_how_to_get_one() {
        let told = |installed| words(&[], installed).join("\n");
        assert!(told(true).contains("run skywave demo --prosody") && !told(true).contains("install Prosody"));
        assert!(told(false).contains("apt install prosody") && told(false).contains("skywave demo --prosody"));
    }
}
