//! The proxy's side of SOCKS4 and 4a, and of SOCKS5 with names and passwords (RFC 1928, RFC 1929).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::AsyncReadExt;

use super::{Asked, Client, ProxyPlan, ProxyTarget, connect};

pub(super) async fn serve(mut client: Client, plan: &ProxyPlan, asked: &Asked) -> io::Result<()> {
    let is_v5 = plan.scheme.starts_with("socks5");
    let target = if is_v5 {
        version5(&mut client, plan).await?
    } else {
        version4(&mut client, plan).await?
    };
    let Some(target) = target else {
        return Ok(());
    };
    let port = match &target {
        ProxyTarget::Address(address) => address.port(),
        ProxyTarget::Name(_, port) => *port,
    };
    asked.push(target);
    let (granted, refused): (&[u8], &[u8]) = match is_v5 {
        true => (b"\x05\x00\x00\x01\x7f\x00\x00\x01\x10\x00", b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00"),
        false => (b"\x00\x5a\x10\x00\x7f\x00\x00\x01", b"\x00\x5b\x00\x00\x00\x00\x00\x00"),
    };
    match connect(port).await {
        Ok(origin) => {
            client.say(plan.grant.as_deref().unwrap_or(granted)).await?;
            client.tunnel(origin, &[]).await
        }
        Err(_) => client.say(refused).await,
    }
}

/// `None` where the client was refused.
async fn version4(client: &mut Client, plan: &ProxyPlan) -> io::Result<Option<ProxyTarget>> {
    let mut head = [0; 8];
    client.stream.read_exact(&mut head).await?;
    let [4, 1, high, low, address @ ..] = head else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let port = u16::from_be_bytes([high, low]);
    let user = text(client).await?;
    let target = match address {
        // An address that cannot be: a name follows.
        [0, 0, 0, last] if last != 0 => ProxyTarget::Name(text(client).await?, port),
        address => ProxyTarget::Address((Ipv4Addr::from(address), port).into()),
    };
    if plan.credentials.as_ref().is_some_and(|(wanted, _)| *wanted != user) {
        client.say(b"\x00\x5d\x00\x00\x00\x00\x00\x00").await?;
        return Ok(None);
    }
    Ok(Some(target))
}

/// Up to a NUL.
async fn text(client: &mut Client) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        match client.stream.read_u8().await? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            byte => text.push(byte),
        }
    }
}

/// `None` where the client was refused.
async fn version5(client: &mut Client, plan: &ProxyPlan) -> io::Result<Option<ProxyTarget>> {
    expect(client, 5).await?;
    let offered = short(client).await?;
    let wanted = if plan.credentials.is_some() { 2 } else { 0 };
    if !offered.contains(&wanted) {
        client.say(&[5, 0xff]).await?;
        return Ok(None);
    }
    client.say(&[5, wanted]).await?;
    if let Some((user, password)) = &plan.credentials {
        expect(client, 1).await?;
        let given = (short(client).await?, short(client).await?);
        let is_right = given == (user.clone().into_bytes(), password.clone().into_bytes());
        client.say(&[1, u8::from(!is_right)]).await?;
        if !is_right {
            return Ok(None);
        }
    }
    for byte in [5, 1, 0] {
        expect(client, byte).await?;
    }
    let ip: IpAddr = match client.stream.read_u8().await? {
        1 => Ipv4Addr::from_bits(client.stream.read_u32().await?).into(),
        4 => Ipv6Addr::from_bits(client.stream.read_u128().await?).into(),
        3 => {
            let name = String::from_utf8_lossy(&short(client).await?).into_owned();
            return Ok(Some(ProxyTarget::Name(name, client.stream.read_u16().await?)));
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(Some(ProxyTarget::Address((ip, client.stream.read_u16().await?).into())))
}

async fn expect(client: &mut Client, byte: u8) -> io::Result<()> {
    let is_as_expected = client.stream.read_u8().await? == byte;
    if is_as_expected { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Bytes with their number before them.
async fn short(client: &mut Client) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; client.stream.read_u8().await?.into()];
    client.stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
