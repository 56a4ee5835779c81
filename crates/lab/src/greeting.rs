//! The first bytes of a connection, which say whether its client speaks HTTP/2 or HTTP/1.1.

use std::io::{self, Cursor, ErrorKind};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// Waits until a client has said which HTTP it speaks, and gives its bytes back unread. hyper would wait for them for
/// ever; from there on it has deadlines of its own.
pub(crate) async fn heard(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    within: Duration,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let mut bytes = Vec::with_capacity(PREFACE.len());
    let listen = async {
        while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
            let missing = PREFACE.len() - bytes.len();
            if stream.read_buf(&mut (&mut bytes).limit(missing)).await? == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    tokio::time::timeout(within, listen).await??;
    let (rest, writer) = tokio::io::split(stream);
    Ok(tokio::io::join(Cursor::new(bytes).chain(rest), writer))
}

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_said_is_heard_again() {
        for said in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"POST", b"PRI", PREFACE] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(said).await.unwrap();
            client.write_all(b"!").await.unwrap();
            drop(client);
            let mut stream = heard(server, Duration::MAX).await.unwrap();
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, [said, b"!"].concat());
        }
    }

    #[tokio::test]
    async fn who_says_nothing_or_half_a_preface_is_not_waited_for() {
        for said in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(said).await.unwrap();
            let late = heard(server, Duration::from_millis(1)).await;
            assert_eq!(late.err().unwrap().kind(), ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn who_hangs_up_at_once_is_gone() {
        let (client, server) = tokio::io::duplex(64);
        drop(client);
        let gone = heard(server, Duration::MAX).await;
        assert_eq!(gone.err().unwrap().kind(), ErrorKind::UnexpectedEof);
    }
}
