//! Submits a sample to a site's SMTP port: the world's client over TCP.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::client::{Client, Draft, Submission};

/// Submits one mail.
///
/// # Errors
/// The connection broke before the answer; in words.
pub async fn submit(address: SocketAddr, draft: Draft) -> Result<Submission, String> {
    let mut client = Client::new(vec![draft], true);
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let mut octets = vec![0; 4096];
    let mut answer = None;
    while !client.is_closing() {
        let count = stream.read(&mut octets).await.map_err(|error| error.to_string())?;
        if count == 0 {
            client.handle_closed();
        }
        client.handle_read(&octets[..count]);
        while let Some(written) = client.poll_write() {
            stream.write_all(&written).await.map_err(|error| error.to_string())?;
        }
        answer = client.poll_event().or(answer);
    }
    answer.ok_or_else(|| "the site did not answer".to_owned())
}
