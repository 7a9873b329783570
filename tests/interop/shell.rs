//! The shell around one site on real loopback: hand-over against a local MTA that follows a script, TLS by openssl.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender as Channel, channel};

use skywave::config::{self, Text};
use skywave::node::command::{Command as Ask, Reply};
use skywave::node::seam::Secret;
use skywave::shell::Site;
use skywave::shell::compute::password_line;
use skywave::telemetry::{Event, Status};

use crate::sender::Sender;
use crate::wait;

/// What a scripted MTA does on one connection: for each line that begins so, this reply; an empty one closes, one with
/// an exclamation mark at its end closes behind it.
type Script = &'static [(&'static str, &'static str)];

/// A local MTA that follows a script per connection and tells what it read.
struct Mta {
    address: SocketAddr,
    lines: Receiver<String>,
}

impl Mta {
    fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, (told, lines)) = (listener.local_addr().unwrap(), channel());
        std::thread::spawn(move || {
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                let told = told.clone();
                std::thread::spawn(move || follow(stream, script, &told));
            }
        });
        Self { address, lines }
    }

    /// All lines read until now.
    fn read(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }
}

fn follow(mut stream: TcpStream, script: Script, told: &Channel<String>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let reply_to = |word: &str| script.iter().find(|(begin, _)| word.starts_with(begin)).map(|(_, reply)| *reply);
    let (mut text, mut line) = (false, String::new());
    stream.write_all(b"220 mta.test\r\n").unwrap();
    while {
        line.clear();
        reader.read_line(&mut line).is_ok_and(|read| read > 0)
    } {
        let _ = told.send(line.trim_end().to_owned());
        if text && line != ".\r\n" {
            continue;
        }
        let reply = match reply_to(if text { "." } else { &line }) {
            Some("") => return,
            Some(reply) => reply,
            None if line.starts_with("EHLO") => "250-mta.test\r\n250-PIPELINING\r\n250 DSN",
            None if line.starts_with("DATA") => "354 go on",
            None => "250 2.0.0 yes",
        };
        text = line.starts_with("DATA") && reply.starts_with("354");
        let sent = stream.write_all(format!("{}\r\n", reply.trim_end_matches('!')).as_bytes());
        if sent.is_err() || reply.ends_with('!') {
            return;
        }
    }
}

/// A site in this process whose mail all goes to `mta`.
fn site(mta: SocketAddr, more: &str) -> (Site, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let text = format!(
        "site = \"hq.test\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\
         [mail]\nlisten = [\"127.0.0.1:0\"]\n{more}\n\
         [local.mta]\ndomains = [\"*\"]\ntarget = \"{mta}\"\nkeep_open_forever = true\n"
    );
    let text = text.replace("PLACE", &place.to_string());
    let loaded = config::load(&[Text { file: "test".to_owned(), text }], &BTreeMap::new()).unwrap();
    (Site::start(loaded.site, loaded.shell).unwrap(), folder)
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Submits a mail and gives what became of its recipients.
async fn tried(site: &Site, to: &'static [&'static str]) -> Vec<(String, Status, String)> {
    let mut events = site.events();
    let door = site.listening(1).await[0];
    let sending = tokio::task::spawn_blocking(move || {
        let recipients: Vec<String> = to.iter().map(|to| format!("<{to}>")).collect();
        Sender::connect(door).send("<a@hq.test>", &recipients, b"Subject: x\r\n\r\n.dot\r\n").0
    });
    assert_eq!(sending.await.unwrap(), 250);
    let mut found = Vec::new();
    while found.len() < to.len() {
        let event = tokio::time::timeout(std::time::Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
        // Reports about refused recipients are tried as well.
        if let Event::MailTried { to: tried, status, text, .. } = event
            && to.contains(&tried.trim_matches(['<', '>']))
        {
            found.push((tried, status, text));
        }
    }
    found
}

#[test]
fn each_recipient_gets_its_own_reply() {
    static SCRIPT: Script =
        &[("RCPT TO:<bad", "550 5.1.1 nobody"), ("RCPT TO:<full", "452 4.2.2 full"), (".", "250 2.6.0 taken")];
    let mta = Mta::start(vec![SCRIPT, SCRIPT, SCRIPT]);
    in_runtime(async {
        let (site, _folder) = site(mta.address, "");
        let found = tried(&site, &["good@x.test", "bad@x.test", "full@x.test"]).await;
        let status = |name: &str| {
            found.iter().find(|(to, ..)| to.starts_with(name)).unwrap_or_else(|| panic!("{name}: {found:?}")).1
        };
        assert_eq!(
            (status("good"), status("bad"), status("full")),
            (Status::Sent, Status::Bounced, Status::Deferred),
            "{found:?}"
        );
        let Reply::Ok(facts) = site.command(Ask::Status).await else { panic!() };
        assert_eq!(facts["site"], "hq.test");
        site.stop().await;
    });
    let lines = mta.read();
    assert!(lines.iter().any(|line| line == "..dot"), "{lines:?}");
    let end = lines.iter().position(|line| line == ".").unwrap();
    assert_eq!(lines[end - 1], "..dot", "no line is added");
}

#[test]
fn a_connection_is_used_again() {
    static GOOD: Script = &[];
    let mta = Mta::start(vec![GOOD]);
    in_runtime(async {
        let (site, _folder) = site(mta.address, "");
        for _ in 0..2 {
            assert_eq!(tried(&site, &["good@x.test"]).await[0].1, Status::Sent);
        }
        site.stop().await;
    });
    let lines = mta.read();
    assert_eq!(lines.iter().filter(|line| line.starts_with("EHLO")).count(), 2, "one connection: {lines:?}");
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced_silently() {
    static ONCE: Script = &[(".", "250 2.6.0 taken!")];
    static GOOD: Script = &[];
    let mta = Mta::start(vec![ONCE, GOOD]);
    in_runtime(async {
        let (site, _folder) = site(mta.address, "");
        for _ in 0..2 {
            let found = tried(&site, &["good@x.test"]).await;
            assert_eq!(found[0].1, Status::Sent, "{found:?}");
        }
        site.stop().await;
    });
}

#[test]
fn a_text_without_a_reply_is_in_doubt_and_stays() {
    static SILENT: Script = &[(".", "")];
    let mta = Mta::start(vec![SILENT]);
    in_runtime(async {
        let (site, _folder) = site(mta.address, "");
        let found = tried(&site, &["good@x.test"]).await;
        assert_eq!(found[0].1, Status::Deferred, "{found:?}");
        let Reply::Ok(facts) = site.command(Ask::Status).await else { panic!() };
        assert_eq!(facts["mails_queued"], 1);
        site.stop().await;
    });
}

#[test]
fn starttls_discards_what_was_said_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["hq.test".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let place = folder.path().display();
    let more = format!(
        "certificate = \"own\"\n[certificate.own]\nchain_file = \"{place}/cert.pem\"\nkey_file = \"{place}/key.pem\"\n"
    );
    in_runtime(async {
        let (site, _folder) = site("127.0.0.1:9".parse().unwrap(), &more);
        let door = site.listening(1).await[0];
        let work = tokio::task::spawn_blocking(move || (injected(door), by_openssl(door)));
        let (injected, openssl) = work.await.unwrap();
        assert!(injected, "the clear command behind STARTTLS was not answered");
        assert!(openssl.contains("250 ") && openssl.contains("221 "), "{openssl}");
        site.stop().await;
    });
}

/// Whether only STARTTLS is answered when a command follows it in the same packet.
fn injected(door: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(3))).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    stream.write_all(b"EHLO x.test\r\n").unwrap();
    while !line.starts_with("250 ") {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    stream.write_all(b"STARTTLS\r\nNOOP\r\n").unwrap();
    let mut rest = Vec::new();
    line.clear();
    reader.read_line(&mut line).unwrap();
    let _ = reader.read_until(b'\n', &mut rest);
    // Refusing both is as good as discarding the second.
    (line.starts_with("220") || line.starts_with('5')) && !rest.starts_with(b"250")
}

fn by_openssl(door: SocketAddr) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-crlf", "-starttls", "smtp", "-connect", &door.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    input.write_all(b"EHLO x.test\n").unwrap();
    let mut text = String::new();
    while !text.lines().last().is_some_and(|line| line.starts_with("250 HELP") || line.starts_with("250 DELIVERBY")) {
        assert!(reader.read_line(&mut text).unwrap() > 0, "{text}");
    }
    input.write_all(b"QUIT\n").unwrap();
    wait::within(5, || (reader.read_line(&mut text).unwrap_or(0) == 0 || text.contains("221 ")).then_some(()));
    let _ = child.kill();
    let _ = child.wait();
    text
}

/// The port for users: without AUTH nothing is taken, from whatever network; with it mail may go anywhere.
#[test]
fn users_submit_with_auth_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let line = password_line("anna", &Secret("horse".to_owned()), &[7; 16]).unwrap();
    std::fs::write(folder.path().join("users"), line).unwrap();
    let place = folder.path().display();
    let text = format!(
        "site = \"hq.test\"\nspool_directory = \"{place}/spool\"\nrun_directory = \"{place}/run\"\n\
         password_file = \"{place}/users\"\n[mail]\nlisten = []\nsubmission = [\"127.0.0.1:0\"]\n\
         auth_without_tls = true\n[local.mta]\ndomains = [\"*\"]\ntarget = \"127.0.0.1:9\"\n"
    );
    let loaded = config::load(&[Text { file: "test".to_owned(), text }], &BTreeMap::new()).unwrap();
    in_runtime(async {
        let site = Site::start(loaded.site, loaded.shell).unwrap();
        let door = site.listening(1).await[0];
        let talk = tokio::task::spawn_blocking(move || {
            let mut sender = Sender::connect(door);
            let mut code = |line: &str| sender.command(line).0;
            let before = [code("MAIL FROM:<a@hq.test>"), code("RCPT TO:<b@far.test>"), code("DATA")];
            // Wrong, then right: NUL anna NUL horse.
            let auth = [code("AUTH PLAIN AGFubmEASG9yc2U="), code("AUTH PLAIN AGFubmEAaG9yc2U=")];
            let (end, _) = sender.send("<a@hq.test>", &["<b@far.test>".to_owned()], b"Subject: x\r\n\r\nx\r\n");
            (before, auth, end)
        });
        assert_eq!(talk.await.unwrap(), ([530; 3], [535, 235], 250));
        site.stop().await;
    });
}
