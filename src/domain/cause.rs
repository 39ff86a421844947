//! Why a provider cannot be reached, down to the last cause. Types and codes of errors decide, never their text.

use std::fmt;

/// The last cause of a connection that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The name server does not know the host.
    UnknownHost,
    /// The name server failed, or the network to it.
    NameServer,
    /// The name server did not answer in time.
    NameServerTimeout,
    /// The port is closed.
    ConnectionRefused,
    /// No route to the address.
    NoRoute,
    /// No address answered in time.
    ConnectTimeout,
    /// The TLS handshake, or the proxy, did not finish in time.
    HandshakeTimeout,
    /// The other side closed or reset the connection.
    Closed,
    /// The answer ended before its announced end.
    CutShort,
    /// The proxy answered `CONNECT` with this status.
    Proxy(u16),
    /// The proxy answered `CONNECT` with something that is not HTTP.
    ProxyNotHttp,
    /// The other side does not speak TLS.
    NoTls,
    /// The other side speaks no version of TLS that is still allowed.
    OldTls,
    /// The server's certificate comes from an authority that is not trusted.
    UnknownIssuer,
    /// The server's certificate is signed by itself, and not trusted.
    SelfSigned,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate is for another host.
    OtherHost,
    /// The server's certificate is unusable for another reason.
    BadCertificate,
    /// The server demands a client certificate.
    ClientCertificateDemanded,
    /// The server refuses our client certificate.
    ClientCertificateRefused,
    /// TLS failed in another way.
    Tls,
    /// This process can open no more files.
    OutOfFiles,
    /// The failure of another replica.
    Elsewhere,
    /// Anything else.
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnknownHost => "the host name is not known",
            Self::NameServer => "the name server fails",
            Self::NameServerTimeout => "the name server does not answer in time",
            Self::ConnectionRefused => "the connection is refused",
            Self::NoRoute => "there is no route to the host",
            Self::ConnectTimeout => "no address accepts a connection in time",
            Self::HandshakeTimeout => "the TLS handshake does not finish in time",
            Self::Closed => "the connection was closed",
            Self::CutShort => "the answer was cut short",
            Self::Proxy(status) => return write!(f, "the proxy answered CONNECT with status {status}"),
            Self::ProxyNotHttp => "the proxy does not speak HTTP",
            Self::NoTls => "the server does not speak TLS (plain HTTP on this port?)",
            Self::OldTls => "the server speaks no TLS 1.2 or 1.3",
            Self::UnknownIssuer => "the server's certificate has an unknown issuer",
            Self::SelfSigned => "the server's certificate is self-signed and not trusted (see extra_ca)",
            Self::Expired => "the server's certificate has expired",
            Self::NotYetValid => "the server's certificate is not valid yet",
            Self::OtherHost => "the server's certificate is for another host name",
            Self::BadCertificate => "the server's certificate is not usable",
            Self::ClientCertificateDemanded => {
                "the server demands a client certificate (see client_identity)"
            }
            Self::ClientCertificateRefused => "the server refuses the client certificate",
            Self::Tls => "the TLS handshake failed",
            Self::OutOfFiles => "the gateway is out of file descriptors",
            Self::Elsewhere => "another replica could not connect",
            Self::Unknown => "the connection failed",
        };
        f.write_str(text)
    }
}
