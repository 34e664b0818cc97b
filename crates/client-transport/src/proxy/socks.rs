//! A tunnel through a SOCKS proxy: version 4, its extension 4a, and version 5 (RFC 1928) with names and passwords (RFC 1929).
//!
//! Each answer is read to its exact length: what follows belongs to the tunnel.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Credentials;

/// Where the tunnel is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// An address.
    Address(SocketAddr),
    /// A name that the proxy resolves.
    Name(&'a str, u16),
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Io(io::Error),
    #[error("it closed the connection before its answer was complete")]
    Ended,
    #[error("its answer begins with the byte {0:#04x}: it does not speak SOCKS{1}")]
    Version(u8, u8),
    #[error("SOCKS4 carries no IPv6 addresses; use socks5")]
    Ipv6,
    #[error("the host's name has {0} bytes; SOCKS carries 1 to 255 without NUL")]
    Name(usize),
    #[error("none of the ways to authenticate is acceptable to it{0}")]
    Method(&'static str),
    #[error("it chose a way to authenticate that was not offered: {0:#04x}")]
    Unasked(u8),
    #[error("it refused the credentials")]
    Credentials,
    #[error("it refused: {0} (code {1})")]
    Refused(&'static str, u8),
    #[error("its answer has an address of unknown type {0:#04x}")]
    AddressType(u8),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Io(error),
        }
    }
}

/// SOCKS4, and for names 4a.
pub(crate) async fn version4<S>(stream: &mut S, target: Target<'_>, credentials: Option<&Credentials>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (address, name, port) = match target {
        Target::Address(address) => match address.ip().to_canonical() {
            IpAddr::V4(ip) => (ip, None, address.port()),
            IpAddr::V6(_) => return Err(Failure::Ipv6),
        },
        // An address that cannot be says: see the name at the end.
        Target::Name(name, port) => (Ipv4Addr::new(0, 0, 0, 1), Some(checked(name)?), port),
    };
    let mut request = vec![4, 1];
    request.extend_from_slice(&port.to_be_bytes());
    request.extend_from_slice(&address.octets());
    request.extend_from_slice(credentials.map_or(&[][..], |credentials| &credentials.user));
    request.push(0);
    if let Some(name) = name {
        request.extend_from_slice(name);
        request.push(0);
    }
    stream.write_all(&request).await?;
    stream.flush().await?;

    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await?;
    match answer {
        [0, 90, ..] => Ok(()),
        [0, code, ..] => Err(Failure::Refused(
            match code {
                91 => "rejected or failed",
                92 => "it cannot reach the identd of this machine",
                93 => "the identd of this machine names another user",
                _ => "unknown reason",
            },
            code,
        )),
        [other, ..] => Err(Failure::Version(other, 4)),
    }
}

/// SOCKS5.
pub(crate) async fn version5<S>(stream: &mut S, target: Target<'_>, credentials: Option<&Credentials>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    authenticate(stream, credentials).await?;

    let mut request = vec![5, 1, 0];
    let port = match target {
        Target::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    request.push(1);
                    request.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    request.push(4);
                    request.extend_from_slice(&ip.octets());
                }
            }
            address.port()
        }
        Target::Name(name, port) => {
            let name = checked(name)?;
            // Checked to fit into a byte.
            request.extend_from_slice(&[3, name.len() as u8]);
            request.extend_from_slice(name);
            port
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    stream.flush().await?;

    let mut head = [0; 4];
    stream.read_exact(&mut head[..2]).await?;
    let [version, code, ..] = head;
    if version != 5 {
        return Err(Failure::Version(version, 5));
    }
    // Some proxies end a refusal here.
    if code != 0 {
        return Err(Failure::Refused(reason(code), code));
    }
    stream.read_exact(&mut head[2..]).await?;
    let length = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        other => return Err(Failure::AddressType(other)),
    };
    // The address the proxy connects from, and its port: of no use to us.
    let mut bound = [0; 255 + 2];
    stream.read_exact(&mut bound[..length + 2]).await?;
    Ok(())
}

async fn authenticate<S>(stream: &mut S, credentials: Option<&Credentials>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    const NONE: u8 = 0;
    const PASSWORD: u8 = 2;
    let offer: &[u8] = if credentials.is_some() { &[5, 2, NONE, PASSWORD] } else { &[5, 1, NONE] };
    stream.write_all(offer).await?;
    stream.flush().await?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).await?;
    match (choice, credentials) {
        ([5, NONE], _) => Ok(()),
        ([5, PASSWORD], Some(Credentials { user, password, .. })) => {
            // Both were checked to fit into a byte when the proxy was made.
            let mut request = vec![1, user.len() as u8];
            request.extend_from_slice(user);
            request.push(password.len() as u8);
            request.extend_from_slice(password);
            stream.write_all(&request).await?;
            stream.flush().await?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await?;
            if answer[1] == 0 { Ok(()) } else { Err(Failure::Credentials) }
        }
        ([5, 0xff], None) => Err(Failure::Method("; it may want a user and a password")),
        ([5, 0xff], Some(_)) => Err(Failure::Method("")),
        ([5, method], _) => Err(Failure::Unasked(method)),
        ([version, _], _) => Err(Failure::Version(version, 5)),
    }
}

/// A name with a length that goes into a byte: a longer one would be cut or change what follows (CVE-2023-38545).
fn checked(name: &str) -> Result<&[u8], Failure> {
    let is_fit = (1..=255).contains(&name.len()) && !name.bytes().any(|byte| byte == 0);
    if is_fit { Ok(name.as_bytes()) } else { Err(Failure::Name(name.len())) }
}

/// RFC 1928 §6.
fn reason(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "the connection timed out",
        7 => "it does not know the command",
        8 => "it does not know the type of address",
        _ => "unknown reason",
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// Plays a proxy: expects bytes, sends bytes, in turn. Afterwards the tunnel carries one byte.
    async fn run(version: u8, target: Target<'_>, user: Option<(&str, &str)>, script: &[(&[u8], &[u8])]) -> Result<(), Failure> {
        let (mut ours, mut theirs) = duplex(1024);
        let credentials = user.map(|(user, password)| Credentials::new(user.as_bytes(), password.as_bytes()));
        let proxy = async {
            for (expected, answer) in script {
                let mut received = vec![0; expected.len()];
                theirs.read_exact(&mut received).await.unwrap();
                assert_eq!(received, *expected);
                theirs.write_all(answer).await.unwrap();
            }
            theirs.write_all(b"!").await.unwrap();
        };
        let client = async {
            match version {
                4 => version4(&mut ours, target, credentials.as_ref()).await?,
                _ => version5(&mut ours, target, credentials.as_ref()).await?,
            }
            assert_eq!(ours.read_u8().await.unwrap(), b'!', "nothing of the tunnel was read");
            drop(ours);
            Ok(())
        };
        tokio::join!(proxy, client).1
    }

    fn v4() -> Target<'static> {
        Target::Address(([1, 2, 3, 4], 0x1234).into())
    }

    #[tokio::test]
    async fn version_4() {
        let granted = b"\x00\x5a\xaa\xaa\xbb\xbb\xbb\xbb";
        run(4, v4(), None, &[(b"\x04\x01\x12\x34\x01\x02\x03\x04\x00", granted)]).await.unwrap();
        run(4, v4(), Some(("me", "")), &[(b"\x04\x01\x12\x34\x01\x02\x03\x04me\x00", granted)])
            .await
            .unwrap();
        let name = Target::Name("h.example", 80);
        run(4, name, None, &[(b"\x04\x01\x00\x50\x00\x00\x00\x01\x00h.example\x00", granted)])
            .await
            .unwrap();
        let sent = b"\x04\x01\x12\x34\x01\x02\x03\x04\x00";
        for (answer, expected) in [
            (&b"\x00\x5b\0\0\0\0\0\0"[..], "it refused: rejected or failed (code 91)"),
            (b"\x00\x5d\0\0\0\0\0\0", "it refused: the identd of this machine names another user (code 93)"),
            (b"HTTP/1.1", "its answer begins with the byte 0x48: it does not speak SOCKS4"),
        ] {
            assert_eq!(run(4, v4(), None, &[(sent, answer)]).await.unwrap_err().to_string(), expected);
        }
        let v6 = Target::Address("[2001:db8::1]:80".parse().unwrap());
        assert!(matches!(run(4, v6, None, &[]).await, Err(Failure::Ipv6)));
    }

    #[tokio::test]
    async fn version_5() {
        let (hello, plain) = (b"\x05\x01\x00", b"\x05\x00");
        for (target, request) in [
            (v4(), &b"\x05\x01\x00\x01\x01\x02\x03\x04\x12\x34"[..]),
            (
                Target::Address("[2001:db8::1]:80".parse().unwrap()),
                b"\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
            ),
            (Target::Name("h.example", 80), b"\x05\x01\x00\x03\x09h.example\x00\x50"),
        ] {
            for bound in [&b"\x01abcdPP"[..], b"\x04abcdabcdabcdabcdPP", b"\x03\x02abPP", b"\x03\x00PP"] {
                let answer = [b"\x05\x00\x00", bound].concat();
                run(5, target, None, &[(hello, plain), (request, &answer)]).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn version_5_authentication() {
        let request: (&[u8], &[u8]) = (b"\x05\x01\x00\x01\x01\x02\x03\x04\x12\x34", b"\x05\x00\x00\x01abcdPP");
        let (both, password): (&[u8], &[u8]) = (b"\x05\x02\x00\x02", b"\x01\x02me\x06secret");
        let me = Some(("me", "secret"));
        run(5, v4(), me, &[(both, b"\x05\x02"), (password, b"\x01\x00"), request]).await.unwrap();
        // Not asked for them, it is not told.
        run(5, v4(), me, &[(both, b"\x05\x00"), request]).await.unwrap();
        for (user, script, expected) in [
            (me, &[(both, &b"\x05\x02"[..]), (password, b"\x01\x01")][..], "it refused the credentials"),
            (me, &[(both, b"\x05\xff")], "none of the ways to authenticate is acceptable to it"),
            (None, &[(b"\x05\x01\x00", b"\x05\xff")], "it may want a user and a password"),
            (None, &[(b"\x05\x01\x00", b"\x05\x02")], "was not offered: 0x02"),
            (None, &[(b"\x05\x01\x00", b"HT")], "begins with the byte 0x48: it does not speak SOCKS5"),
        ] {
            let failure = run(5, v4(), user, script).await.unwrap_err().to_string();
            assert!(failure.contains(expected) && !failure.contains("secret"), "{failure}");
        }
    }

    #[tokio::test]
    async fn version_5_refusals() {
        let hello: (&[u8], &[u8]) = (b"\x05\x01\x00", b"\x05\x00");
        let sent = b"\x05\x01\x00\x01\x01\x02\x03\x04\x12\x34";
        for (answer, expected) in [
            (&b"\x05\x01"[..], "it refused: general failure (code 1)"),
            (b"\x05\x02", "it refused: not allowed by its rules (code 2)"),
            (b"\x05\x05\x00\x01abcdPP", "it refused: connection refused (code 5)"),
            (b"\x05\x08", "it refused: it does not know the type of address (code 8)"),
            (b"\x05\x63", "it refused: unknown reason (code 99)"),
            (b"\x05\x00\x00\x09", "its answer has an address of unknown type 0x09"),
            (b"\x04\x00", "its answer begins with the byte 0x04: it does not speak SOCKS5"),
        ] {
            assert_eq!(run(5, v4(), None, &[hello, (sent, answer)]).await.unwrap_err().to_string(), expected);
        }
        for name in ["", "a\0b", &"a".repeat(256)] {
            let outcome = run(5, Target::Name(name, 80), None, &[hello]).await;
            assert!(matches!(outcome, Err(Failure::Name(_))), "{name:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_may_end_early() {
        let (mut ours, theirs) = duplex(64);
        drop(theirs);
        let outcome = version5(&mut ours, v4(), None).await;
        assert!(matches!(outcome, Err(Failure::Io(_) | Failure::Ended)));
    }
}
