//! Finds the last cause in the errors of sockets, TLS and HTTP, by their types and codes.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::domain::{Cause, is_out_of_files};

/// A connection that could not be established.
#[derive(Debug)]
pub(in crate::upstream) struct ConnectError {
    pub(in crate::upstream) cause: Cause,
    source: Option<io::Error>,
}

impl ConnectError {
    pub(in crate::upstream) fn new(cause: Cause, source: io::Error) -> Self {
        Self { cause, source: Some(source) }
    }
}

impl From<Cause> for ConnectError {
    fn from(cause: Cause) -> Self {
        Self { cause, source: None }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// The server's certificate is self-signed and not trusted by the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is self-signed and not trusted")]
pub(in crate::upstream) struct SelfSigned;

/// The cause of a connection to an address that failed.
pub(in crate::upstream) fn of_dial(error: &io::Error) -> Cause {
    if is_out_of_files(error) {
        return Cause::OutOfFiles;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Cause::ConnectionRefused,
        io::ErrorKind::TimedOut => Cause::ConnectTimeout,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Cause::NoRoute,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Cause::Closed,
        _ => Cause::Unknown,
    }
}

/// The cause of a failed handshake, or of a connection that ended.
pub(in crate::upstream) fn of_io(error: &io::Error) -> Cause {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(tls);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Cause::Closed,
        io::ErrorKind::TimedOut => Cause::ConnectTimeout,
        _ => Cause::Unknown,
    }
}

/// The cause in a chain of errors.
pub(super) fn of_chain(error: &(dyn Error + 'static)) -> Cause {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    if let Some(error) = chain.clone().find_map(<dyn Error>::downcast_ref::<ConnectError>) {
        return error.cause;
    }
    let causes = chain.by_ref().filter_map(|error| {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message().then_some(Cause::CutShort);
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return (error.is_reset() || error.is_go_away()).then_some(Cause::Closed);
        }
        let error = error.downcast_ref::<io::Error>()?;
        // After the handshake, an unannounced end cuts an answer short.
        Some(if error.kind() == io::ErrorKind::UnexpectedEof { Cause::CutShort } else { of_io(error) })
    });
    causes.last().unwrap_or(Cause::Closed)
}

fn of_tls(error: &rustls::Error) -> Cause {
    match error {
        rustls::Error::InvalidMessage(_) => Cause::NoTls,
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => Cause::OldTls,
        _ => Cause::Tls,
    }
}

fn of_alert(alert: AlertDescription) -> Cause {
    match alert {
        AlertDescription::ProtocolVersion => Cause::OldTls,
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            Cause::ClientCertificateDemanded
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => Cause::ClientCertificateRefused,
        _ => Cause::Tls,
    }
}

fn of_certificate(error: &CertificateError) -> Cause {
    match error {
        CertificateError::UnknownIssuer => Cause::UnknownIssuer,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Cause::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Cause::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Cause::OtherHost
        }
        CertificateError::Other(error) if error.0.is::<SelfSigned>() => Cause::SelfSigned,
        _ => Cause::BadCertificate,
    }
}
