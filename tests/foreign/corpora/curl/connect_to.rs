//! curl's `--connect-to`: from a host and port to another, whatever the URL says. A connector of our transport does the same.

use client_core::{BoxError, BoxFuture};
use client_transport::connector::Connect;
use client_transport::stream::Stream;
use tokio::net::TcpStream;

/// The entries; the first that fits counts.
#[derive(Clone, Debug)]
pub(super) struct ConnectTo(Vec<Entry>);

/// What is left out is any, or stays as it is.
#[derive(Clone, Debug)]
struct Entry {
    from: (Option<String>, Option<u16>),
    to: (Option<String>, Option<u16>),
}

impl ConnectTo {
    /// Reads `host:port:host:port` of each entry. `None`: one of them is no such thing.
    pub(super) fn parse(entries: &[String]) -> Option<Self> {
        entries.iter().map(|entry| Entry::parse(entry)).collect::<Option<_>>().map(Self)
    }

    fn of<'a>(&'a self, host: &'a str, port: u16) -> (&'a str, u16) {
        let fits = |entry: &&Entry| {
            let (from_host, from_port) = &entry.from;
            from_host.as_ref().is_none_or(|from| from.eq_ignore_ascii_case(host)) && from_port.is_none_or(|from| from == port)
        };
        self.0.iter().find(fits).map_or((host, port), |entry| {
            let (to_host, to_port) = &entry.to;
            (to_host.as_deref().unwrap_or(host), to_port.unwrap_or(port))
        })
    }
}

impl Entry {
    fn parse(entry: &str) -> Option<Self> {
        let parts: Vec<&str> = entry.split(':').collect();
        let [from_host, from_port, to_host, to_port] = parts[..] else {
            return None;
        };
        let host = |host: &str| (!host.is_empty()).then(|| host.to_owned());
        let port = |port: &str| if port.is_empty() { Some(None) } else { port.parse().ok().map(Some) };
        Some(Self {
            from: (host(from_host), port(from_port)?),
            to: (host(to_host), port(to_port)?),
        })
    }
}

impl Connect for ConnectTo {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<Stream, BoxError>> {
        let to = self.of(host, port);
        Box::pin(async move { Ok(Stream::boxed(TcpStream::connect(to).await?)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_fits_counts() {
        let entries = ["a.example::b.example:", ":81::18990", "::127.0.0.1:1"].map(String::from);
        let connect_to = ConnectTo::parse(&entries).unwrap();
        assert_eq!(connect_to.of("A.example", 80), ("b.example", 80));
        assert_eq!(connect_to.of("c.example", 81), ("c.example", 18990));
        assert_eq!(connect_to.of("c.example", 80), ("127.0.0.1", 1));
        assert!(ConnectTo::parse(&["::a:b".into()]).is_none());
        assert!(ConnectTo::parse(&["a:b".into()]).is_none());
    }
}
