//! What a failure of TLS means, as one line that helps. What the server sent is quoted escaped and bounded.

use std::error::Error as _;
use std::fmt::Write;
use std::io;

use client_core::{Error, ErrorKind, Phase, Sent};
use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};
use rustls_pki_types::UnixTime;

use crate::verify::Refusal;

/// The error of a handshake with `host` that failed with `error`.
pub fn handshake(host: &str, error: io::Error) -> Error {
    let host = &format!("{host:?}");
    let message = match cause(&error) {
        Some(tls) => explain(host, tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => format!("{host} closed the connection during the handshake"),
        None => format!("the connection to {host} failed during the handshake: {error}"),
    };
    Error::new(ErrorKind::Tls, message)
        .with_phase(Phase::Tls)
        .with_sent(Sent::Nothing)
        .with_source(error)
}

/// Whether a handshake failed only because the server speaks none of the protocols that were offered by ALPN (RFC 7301 §3.2): TLS is fine, it is
/// what was to be spoken above that the server does not speak.
pub fn is_protocol_refused(error: &io::Error) -> bool {
    matches!(cause(error), Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)))
}

/// A failure of TLS that surfaces while reading or writing: a server of TLS 1.3 refuses a client's certificate after the client has finished the
/// handshake (RFC 8446 §4.4.2). `None` if the failure has nothing to do with TLS.
///
/// The error has no phase, no cause, and does not know what was sent: these are the caller's.
pub fn classify(error: &io::Error) -> Option<Error> {
    Some(Error::new(ErrorKind::Tls, explain("the server", cause(error)?)))
}

fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What an error of rustls means, in one line. `host` is how the server is called in it: its name in quotes, or "the server".
pub fn explain(host: &str, error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, PeerIncompatible as Incompatible};
    match error {
        InvalidCertificate(error) => certificate(host, error),
        AlertReceived(alert) => refused(host, *alert),
        Incompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => format!("{host} speaks only versions of TLS older than the minimum set"),
        Incompatible(reason) => format!("nothing in common with {host}: {reason:?}"),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => format!("{host} does not speak TLS on this port"),
        other => format!("handshake with {host}: {other}"),
    }
}

fn certificate(host: &str, error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => format!("the certificate of {host} has expired"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate of {host} expired on {}", Date(*not_after))
        }
        CertificateError::NotValidYet => format!("the certificate of {host} is not valid yet"),
        CertificateError::NotValidYetContext { not_before, time } => {
            let (before, now) = (Date(*not_before), Date(*time));
            format!("the certificate of {host} is not valid before {before}; by this machine's clock it is {now}")
        }
        CertificateError::BadSignature => format!("the certificate of {host} was not signed by the authority that it names"),
        CertificateError::NotValidForName => format!("the certificate is not valid for {host}"),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("the certificate is not valid for {:?}, only for {}", expected.to_str(), names(presented))
        }
        CertificateError::UnknownIssuer => {
            format!("the certificate of {host} is signed by an unknown authority; trust its root by TlsConfig::roots")
        }
        CertificateError::Revoked => format!("the certificate of {host} has been revoked"),
        CertificateError::Other(other) => match other.source().and_then(|cause| cause.downcast_ref()) {
            Some(Refusal::SelfSigned) => {
                format!("the certificate of {host} is self-signed; trust it by TlsConfig::roots")
            }
            Some(refusal @ Refusal::NotPinned(_)) => format!("{host}: {refusal}"),
            Some(refusal @ Refusal::NoRoots(_)) => refusal.to_string(),
            None => format!("the certificate of {host} cannot be accepted: {other}"),
        },
        other => format!("the certificate of {host} cannot be accepted: {other}"),
    }
}

fn refused(host: &str, alert: AlertDescription) -> String {
    let hint = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            return format!("{host} requires a client certificate; set TlsConfig::identity");
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => " (our client certificate, or the lack of one)",
        AlertDescription::ProtocolVersion => " (no version of TLS in common)",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            " (no cipher suite in common, or a client certificate is required)"
        }
        AlertDescription::UnrecognisedName => " (it knows no such host)",
        AlertDescription::NoApplicationProtocol => " (no HTTP version in common)",
        _ => "",
    };
    format!("{host} refused the handshake with the alert {alert:?}{hint}")
}

/// How many of a certificate's names are told; some have hundreds.
const TOLD: usize = 8;

/// The names in a certificate, from webpki's notation: `DnsName("a")`, `IpAddress(1.2.3.4)`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| {
        let name = name.strip_prefix("DnsName(\"").and_then(|name| name.strip_suffix("\")")).unwrap_or(name);
        let name = name.strip_prefix("IpAddress(").and_then(|name| name.strip_suffix(')')).unwrap_or(name);
        name.chars().take(253).flat_map(char::escape_debug).collect::<String>()
    };
    let mut told: Vec<_> = presented.iter().take(TOLD).map(plain).collect();
    match presented.len() {
        0 => "no name at all".to_owned(),
        all if all > TOLD => {
            let _ = write!(told[TOLD - 1], " and {} more", all - TOLD);
            told.join(", ")
        }
        _ => told.join(", "),
    }
}

/// A moment as `2026-11-23 13:45 UTC`.
struct Date(UnixTime);

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute) = (seconds % 86_400 / 3600, seconds % 3600 / 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }
}

/// The Gregorian date of a day since 1970-01-01: counted in eras of 400 years of which each begins on a 1st of March, so that the leap
/// day is the last of its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(Date(UnixTime::since_unix_epoch(Duration::from_secs(seconds))).to_string(), expected);
        }
    }

    #[test]
    fn names_are_plain_escaped_and_bounded() {
        let of = |names_given: &[&str]| names(&names_given.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]), "no name at all");
        assert_eq!(of(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]), "a.example, 127.0.0.1");
        assert_eq!(of(&["DnsName(\"a\u{1b}[2J\")"]), "a\\u{1b}[2J");
        assert!(of(&["DnsName(\"a\")"; 100]).ends_with("a and 92 more"));
    }

    #[test]
    fn later_refusals_are_classified() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let error = classify(&io::Error::new(io::ErrorKind::InvalidData, alert)).unwrap();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains("requires a client certificate"), "{error}");
        assert!(classify(&io::ErrorKind::ConnectionReset.into()).is_none());
    }
}
