//! The mailboxes of a site in the demonstration: a small SMTP server that takes everything, keeps each mail as a file
//! and tells about it. Not for the world outside: it listens on loopback and knows no limits but those of its lines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use skywave_protocols::time::WallTime;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::shell::clock::Clock;
use crate::world::local_mta::header;

/// Longest line and largest mail.
const LINE_OCTETS_MAX: u64 = 64 << 10;
const MAIL_OCTETS_MAX: usize = 64 << 20;

/// A mail that a mailbox took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// At which site.
    pub site: usize,
    /// When, on the demonstration's clock.
    pub at: WallTime,
    /// Its Message-ID.
    pub message_id: String,
    /// Its recipients.
    pub to: Vec<String>,
}

/// What all connections of a site's mailboxes share.
#[derive(Clone)]
struct Office {
    site: usize,
    clock: Clock,
    folder: PathBuf,
    taken: mpsc::Sender<Taken>,
}

/// Starts the mailboxes of a site; where they listen.
///
/// # Errors
/// The folder cannot be made or no port be had.
pub async fn start(
    site: usize,
    clock: Clock,
    folder: &Path,
    taken: mpsc::Sender<Taken>,
) -> std::io::Result<SocketAddr> {
    std::fs::create_dir_all(folder)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let office = Office { site, clock, folder: folder.to_owned(), taken };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let office = office.clone();
            tokio::spawn(async move {
                let _ = serve(stream, &office).await;
            });
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream, office: &Office) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mailbox.test ready\r\n").await?;
    let mut to = Vec::new();
    loop {
        let line = read_line(&mut stream).await?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.to_ascii_uppercase();
        let reply = if line.is_empty() {
            return Ok(());
        } else if verb.starts_with("EHLO") {
            "250-mailbox.test\r\n250-PIPELINING\r\n250-SIZE 67108864\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n\
             250-ENHANCEDSTATUSCODES\r\n250 MT-PRIORITY STANAG4406\r\n"
        } else if verb.starts_with("MAIL") || verb.starts_with("RSET") {
            to.clear();
            "250 2.0.0 ok\r\n"
        } else if verb.starts_with("RCPT") {
            to.extend(line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(to, _)| to.to_owned()));
            "250 2.1.5 ok\r\n"
        } else if verb == "DATA" {
            stream.write_all(b"354 go on\r\n").await?;
            let text = read_text(&mut stream).await?;
            keep(office, &text, std::mem::take(&mut to)).await?;
            "250 2.0.0 taken\r\n"
        } else if verb == "QUIT" {
            stream.write_all(b"221 2.0.0 bye\r\n").await?;
            return Ok(());
        } else if verb == "NOOP" || verb.starts_with("HELO") {
            "250 2.0.0 ok\r\n"
        } else {
            "502 5.5.1 not here\r\n"
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(LINE_OCTETS_MAX).read_until(b'\n', &mut line).await?;
    Ok(line)
}

async fn read_text(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line == b".\r\n" {
            return Ok(text);
        }
        if line.is_empty() || text.len() > MAIL_OCTETS_MAX {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

async fn keep(office: &Office, text: &[u8], to: Vec<String>) -> std::io::Result<()> {
    let at = office.clock.now().wall;
    let message_id = header(text, "message-id").unwrap_or_default();
    for recipient in &to {
        let name: String =
            recipient.chars().map(|c| if c.is_alphanumeric() || c == '@' || c == '.' { c } else { '_' }).collect();
        let folder = office.folder.join(name);
        tokio::fs::create_dir_all(&folder).await?;
        tokio::fs::write(folder.join(format!("{}.eml", at.unix_micros())), text).await?;
    }
    let taken = Taken { site: office.site, at, message_id, to };
    office.taken.send(taken).await.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
}
