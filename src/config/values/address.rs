//! URLs of other services. A URL with a user or password is an error.

use url::{Host, Url};

use crate::config::reader::{Read, Setting, Value, quoted};

/// The base URL of a provider's API, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct BaseUrl(pub(in crate::config) String);

impl BaseUrl {
    pub(in crate::config) fn parse(text: &str) -> Option<Self> {
        Some(Self(safe_url(text)?.as_str().trim_end_matches('/').to_owned()))
    }
}

/// The URL of one document, under the rules of [`BaseUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct DocumentUrl(pub(in crate::config) String);

/// Parses a URL with https, or with http to this machine, where nothing can be intercepted.
fn safe_url(text: &str) -> Option<Url> {
    plain_url(text).filter(|url| url.scheme() == "https" || url.scheme() == "http" && is_loopback(url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Parses a URL with a host and an optional path only.
fn plain_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let has_user = text.contains('@') || !url.username().is_empty() || url.password().is_some();
    let is_plain = !has_user && url.query().is_none() && url.fragment().is_none() && url.has_host();
    // The parser drops line breaks and spaces silently; here they are an error.
    (is_plain && text.bytes().all(|byte| byte.is_ascii_graphic())).then_some(url)
}

impl Setting for BaseUrl {
    const EXPECTED: &'static str =
        "an https URL (http only to 127.0.0.0/8, [::1] or localhost) without user, query and fragment";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, Self::parse)
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

impl Setting for DocumentUrl {
    const EXPECTED: &'static str = BaseUrl::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| Some(Self(safe_url(text)?.into())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// The URL of an OTLP collector, without a slash at the end. http is allowed, since no secret is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct CollectorUrl(pub(in crate::config) String);

impl Setting for CollectorUrl {
    const EXPECTED: &'static str = "an http or https URL without user, query and fragment";

    fn read(value: &Value<'_>) -> Read<Self> {
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        let parse = |text: &str| {
            let url = plain_url(text).filter(is_web)?;
            Some(Self(url.as_str().trim_end_matches('/').to_owned()))
        };
        value.text(Self::EXPECTED, parse)
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// A path below the base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct UrlPath(pub(in crate::config) String);

impl Setting for UrlPath {
    const EXPECTED: &'static str = "a path that starts with /, without query and fragment";

    fn read(value: &Value<'_>) -> Read<Self> {
        let legal = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>`{}^|".contains(&byte);
        value.text(Self::EXPECTED, |text| {
            (text.starts_with('/') && text.bytes().all(legal)).then(|| Self(text.to_owned()))
        })
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// An HTTP proxy for `CONNECT`.
#[derive(Clone, Debug)]
pub(in crate::config) struct Proxy(pub(in crate::config) Url);

impl Setting for Proxy {
    const EXPECTED: &'static str = "an http URL of a host and a port, without user, path and query";

    fn read(value: &Value<'_>) -> Read<Self> {
        let is_proxy = |url: &Url| url.scheme() == "http" && url.path() == "/";
        value.text(Self::EXPECTED, |text| plain_url(text).filter(is_proxy).map(Self))
    }

    fn show(&self) -> String {
        quoted(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_allowed_anywhere_and_http_only_to_this_machine() {
        for (text, read) in [
            ("https://api.ntxpay.com", Some("https://api.ntxpay.com")),
            ("https://api.ntxpay.com/", Some("https://api.ntxpay.com")),
            ("https://API.ntxpay.com:443/v2/", Some("https://api.ntxpay.com/v2")),
            ("http://127.0.0.1:8081", Some("http://127.0.0.1:8081")),
            ("http://127.255.0.9", Some("http://127.255.0.9")),
            ("http://[::1]:1", Some("http://[::1]:1")),
            ("http://localhost:1", Some("http://localhost:1")),
            ("http://localhost.example", None),
            ("http://10.0.0.1", None),
            ("http://[::ffff:127.0.0.1]", None),
            ("http://0.0.0.0", None),
            ("ftp://localhost", None),
            ("localhost:80", None),
            ("https://user@api.ntxpay.com", None),
            ("https://@api.ntxpay.com", None),
            ("https://user:secret@api.ntxpay.com", None),
            ("https://api.ntxpay.com?", None),
            ("https://api.ntxpay.com?a=b", None),
            ("https://api.ntxpay.com#", None),
            (" https://api.ntxpay.com", None),
            ("https://api.ntx\npay.com", None),
            ("https://", None),
            ("", None),
        ] {
            assert_eq!(BaseUrl::parse(text).map(|url| url.0).as_deref(), read, "{text:?}");
        }
    }
}
