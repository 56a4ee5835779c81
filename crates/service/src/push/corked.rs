//! Joins small writes, so that a push leaves in one TLS record.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Keeps what is written until it is flushed or fills a TLS record.
///
/// HEADERS and DATA in two writes cost an isolated push the peer's delayed acknowledgement (40 ms), because the second
/// waits for the first. It does not offer vectored writes, so that `h2` copies small payloads into its own buffer and
/// flushes many pushes at once instead of each by itself.
pub(super) struct Corked<T> {
    io: T,
    held: BytesMut,
}

/// The most plaintext a TLS record carries (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;

impl<T: AsyncWrite + Unpin> Corked<T> {
    pub(super) fn new(io: T) -> Self {
        Self {
            io,
            held: BytesMut::with_capacity(RECORD),
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        // Advancing gave the front of the buffer away; clearing an empty one takes it back.
        self.held.reserve(RECORD);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Corked<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.held.is_empty() && self.held.len() + bytes.len() > RECORD {
            ready!(self.poll_release(cx))?;
        }
        let taken = bytes.len().min(RECORD);
        self.held.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Corked<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}
