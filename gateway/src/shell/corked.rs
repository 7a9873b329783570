//! A TCP stream that keeps what is written until somebody reads: lettre writes in small pieces, each with its own
//! flush, and would send a packet for each. The text of a mail goes past lettre, which would copy it octet by octet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Octets kept; more leave at once.
const KEPT_OCTETS_MAX: usize = 64 << 10;
/// Pieces of a text written at once.
const PIECES_AT_ONCE: usize = 64;

/// The stream handed to lettre.
#[derive(Debug)]
pub(super) struct Corked {
    stream: TcpStream,
    kept: BytesMut,
    /// What follows `kept`.
    text: VecDeque<Bytes>,
    side: Arc<Side>,
}

/// What the dialogue shares with its stream, past lettre.
#[derive(Debug)]
pub(super) struct Side {
    all_left: AtomicBool,
    /// A text that the stream has not taken over.
    text: Mutex<VecDeque<Bytes>>,
}

impl Side {
    /// Whether all that was written has left for the network.
    pub(super) fn all_left(&self) -> bool {
        self.all_left.load(Ordering::Relaxed)
    }

    /// Writes a text, as it is, behind what was written before; it leaves when somebody reads. Not for a stream over
    /// which TLS is spoken.
    pub(super) fn write(&self, text: Vec<Bytes>) {
        self.all_left.store(false, Ordering::Relaxed);
        self.text.lock().unwrap_or_else(PoisonError::into_inner).extend(text);
    }
}

impl Corked {
    /// Wraps a connection.
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<Side>) {
        let side = Arc::new(Side { all_left: AtomicBool::new(true), text: Mutex::default() });
        (Self { stream, kept: BytesMut::new(), text: VecDeque::new(), side: Arc::clone(&side) }, side)
    }

    fn take_text(&mut self) {
        self.text.append(&mut self.side.text.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn poll_text(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.text.is_empty() {
            let slices: Vec<IoSlice<'_>> =
                self.text.iter().take(PIECES_AT_ONCE).map(|piece| IoSlice::new(piece)).collect();
            let mut written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            while let Some(piece) = self.text.front_mut()
                && written > 0
            {
                let gone = written.min(piece.len());
                piece.advance(gone);
                written -= gone;
                if piece.is_empty() {
                    self.text.pop_front();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_kept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.kept))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.kept.advance(written);
        }
        ready!(self.poll_text(cx))?;
        self.side.all_left.store(true, Ordering::Relaxed);
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
        self.take_text();
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
        self.take_text();
        // What is written after a text leaves after it.
        if self.kept.len() >= KEPT_OCTETS_MAX || !self.text.is_empty() {
            ready!(self.poll_kept(cx))?;
        }
        self.kept.extend_from_slice(octets);
        self.side.all_left.store(self.kept.is_empty(), Ordering::Relaxed);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.take_text();
        ready!(self.poll_kept(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Corked, Arc<Side>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (corked, side) = Corked::new(here);
        (corked, side, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn commands_and_texts_leave_in_order_when_somebody_reads() {
        let (mut corked, side, mut far) = pair().await;
        // More pieces than go at once, more octets than the buffers of both ends hold.
        let text: Vec<Bytes> = (0..300u32).map(|n| vec![n as u8; 50_000].into()).collect();
        let expected = [b"DATA\r\n".to_vec(), text.concat(), b"RSET\r\n".to_vec()].concat();
        let octets = expected.len();
        let reading = tokio::spawn(async move {
            let mut read = vec![0; octets];
            far.read_exact(&mut read).await.unwrap();
            far.write_all(b"!").await.unwrap();
            (read, far)
        });
        corked.write_all(b"DATA\r\n").await.unwrap();
        assert!(!side.all_left());
        side.write(text);
        corked.write_all(b"RSET\r\n").await.unwrap();
        assert_eq!(corked.read_u8().await.unwrap(), b'!');
        assert!(side.all_left());
        assert!(reading.await.unwrap().0 == expected);
    }

    #[tokio::test]
    async fn a_text_that_has_not_left_is_known() {
        let (mut corked, side, far) = pair().await;
        side.write(vec![vec![0; 64 << 20].into()]);
        drop(far);
        assert!(corked.read_u8().await.is_err());
        assert!(!side.all_left());
    }
}
