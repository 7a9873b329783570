//! A TCP stream that keeps what is written until somebody reads: lettre writes in small pieces, each with its own
//! flush, and would send a packet for each.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Octets kept; more leave at once.
const KEPT_OCTETS_MAX: usize = 64 << 10;

/// The stream handed to lettre.
#[derive(Debug)]
pub(super) struct Corked {
    stream: TcpStream,
    kept: BytesMut,
    all_left: Arc<AtomicBool>,
}

impl Corked {
    /// Wraps a connection; the flag says whether all that was written has left for the network.
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<AtomicBool>) {
        let all_left = Arc::new(AtomicBool::new(true));
        (Self { stream, kept: BytesMut::new(), all_left: Arc::clone(&all_left) }, all_left)
    }

    fn poll_kept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.kept))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.kept.advance(written);
        }
        self.all_left.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncTokioStream for Corked {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for Corked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A server that answers before it has read everything must still be heard.
        let left = self.poll_kept(cx);
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending if matches!(left, Poll::Ready(Err(_))) => left,
            read => read,
        }
    }
}

impl AsyncWrite for Corked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        if self.kept.len() >= KEPT_OCTETS_MAX {
            ready!(self.poll_kept(cx))?;
        }
        self.kept.extend_from_slice(octets);
        self.all_left.store(self.kept.is_empty(), Ordering::Relaxed);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
