//! The store's address: one node, a cluster, or the master that sentinels name.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

/// The default ports of a node and of a sentinel.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// The store's address and login.
#[derive(Clone)]
pub struct StoreUrl {
    pub(super) topology: Topology,
    pub(super) is_tls: bool,
    /// Host and port of each node, or of each sentinel.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
    pub(super) database: u32,
    shown: String,
}

/// Which node is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    /// The only node.
    Node,
    /// The node that has the key's slot.
    Cluster,
    /// The master of this name, as the sentinels know it.
    Sentinel(String),
}

impl StoreUrl {
    /// Completes "expected …".
    pub const EXPECTED: &'static str = "redis[s]://[user:pass@]host[:port][/db], redis[s]-cluster://h1:p1,h2:p2 or \
                                        redis[s]-sentinel://h1:p1,h2:p2/master (valkey for redis too)";

    /// Reads one of the forms of [`StoreUrl::EXPECTED`]; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['?', '#']) {
            return None;
        }
        let (engine, kind) = scheme.split_once('-').unwrap_or((scheme, ""));
        let is_tls = match engine {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return None,
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
        let (topology, database) = match kind {
            "" if !hosts.contains(',') => {
                (Topology::Node, if path.is_empty() { 0 } else { path.parse().ok()? })
            }
            "cluster" if path.is_empty() => (Topology::Cluster, 0),
            "sentinel" if is_name(path) => (Topology::Sentinel(path.to_owned()), 0),
            _ => return None,
        };
        let port = if kind == "sentinel" { SENTINEL_PORT } else { PORT };
        let (user, password) = match login.map(read_login) {
            None => (None, None),
            Some(login) => login?,
        };
        Some(Self {
            hosts: hosts.split(',').map(|host| read_host(host, port)).collect::<Option<_>>()?,
            shown: format!("{scheme}://{hosts}{}", rest.strip_prefix(authority)?),
            topology,
            is_tls,
            user,
            password,
            database,
        })
    }

    /// A store on this machine without a login.
    #[must_use]
    pub fn local() -> Self {
        Self {
            topology: Topology::Node,
            is_tls: false,
            hosts: vec![("localhost".to_owned(), PORT)],
            user: None,
            password: None,
            database: 0,
            shown: "redis://localhost".to_owned(),
        }
    }

    /// Whether its password travels unencrypted to another machine.
    #[must_use]
    pub fn shows_password(&self) -> bool {
        let is_here = |host: &str| {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        self.has_password() && !self.is_tls && !self.hosts.iter().all(|(host, _)| is_here(host))
    }

    /// Whether it holds a password, which must not be in the configuration's text.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

/// The text without user and password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Parses `user:password`, each possibly empty; `user` alone is invalid.
fn read_login(login: &str) -> Option<(Option<String>, Option<SecretString>)> {
    let (user, password) = login.split_once(':')?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let (user, password) = (decoded(user)?, decoded(password)?);
    Some(((!user.is_empty()).then_some(user), (!password.is_empty()).then(|| password.into())))
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn read_host(text: &str, port: u16) -> Option<(String, u16)> {
    let (host, rest) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host.parse::<std::net::Ipv6Addr>().ok()?.to_string(), rest),
        None => match text.split_once(':') {
            Some((host, _)) => (host.to_owned(), &text[host.len()..]),
            None => (text.to_owned(), ""),
        },
    };
    let is_host = host.contains(':') || is_name(&host);
    let port = if rest.is_empty() {
        port
    } else {
        rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?
    };
    is_host.then_some((host, port))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn each_form_is_read() {
        let sentinel = || Topology::Sentinel("mymaster".to_owned());
        for (text, topology, is_tls, hosts, database) in [
            ("redis://store", Topology::Node, false, vec![("store", 6379)], 0),
            ("valkey://store:1/3", Topology::Node, false, vec![("store", 1)], 3),
            ("rediss://10.0.0.1:6380/", Topology::Node, true, vec![("10.0.0.1", 6380)], 0),
            ("valkeys://[::1]:7", Topology::Node, true, vec![("::1", 7)], 0),
            ("redis-cluster://a:1,b", Topology::Cluster, false, vec![("a", 1), ("b", 6379)], 0),
            ("rediss-sentinel://a,b:2/mymaster", sentinel(), true, vec![("a", 26379), ("b", 2)], 0),
        ] {
            let url = StoreUrl::parse(text).unwrap();

            let read: Vec<_> = url.hosts.iter().map(|(host, port)| (host.as_str(), *port)).collect();
            assert_eq!(
                (url.topology, url.is_tls, read, url.database),
                (topology, is_tls, hosts, database),
                "{text}"
            );
        }
    }

    #[test]
    fn a_login_is_read_and_never_shown() {
        for (text, user, password, shown) in [
            ("redis://gateway:s%40crt@store/1", Some("gateway"), Some("s@crt"), "redis://store/1"),
            ("redis://:secret@store", None, Some("secret"), "redis://store"),
            ("redis://gateway:@store", Some("gateway"), None, "redis://store"),
            ("redis-cluster://u:p@w@a,b", Some("u"), Some("p@w"), "redis-cluster://a,b"),
        ] {
            let url = StoreUrl::parse(text).unwrap();

            assert_eq!(url.user.as_deref(), user, "{text}");
            assert_eq!(url.password.as_ref().map(ExposeSecret::expose_secret), password, "{text}");
            assert_eq!(
                (url.to_string(), format!("{url:?}")),
                (shown.to_owned(), format!("StoreUrl({shown})"))
            );
            assert_eq!(url.has_password(), password.is_some());
        }
    }

    #[test]
    fn a_password_is_shown_only_to_another_machine_without_tls() {
        for (text, is_shown) in [
            ("redis://:p@store", true),
            ("redis-sentinel://:p@127.0.0.1,store/main", true),
            ("rediss://:p@store", false),
            ("redis://store", false),
            ("redis://:p@127.0.0.1:7", false),
            ("redis://:p@[::1]", false),
            ("redis://:p@localhost", false),
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap().shows_password(), is_shown, "{text}");
        }
    }

    #[test]
    fn any_other_text_is_refused() {
        for text in [
            "",
            "store",
            "http://store",
            "redis:store",
            "redis://",
            "redis://a,b",
            "redis://store/x",
            "redis://store:0",
            "redis://store:70000",
            "redis://store:",
            "redis://user@store",
            "redis://store?a=b",
            "redis://store#f",
            "redis:// store",
            "redis://[::1",
            "redis-cluster://a,b/1",
            "redis-cluster://a,,b",
            "redis-sentinel://a",
            "redis-sentinel://a/",
            "redis-other://a",
        ] {
            assert!(StoreUrl::parse(text).is_none(), "{text:?}");
        }
    }
}
