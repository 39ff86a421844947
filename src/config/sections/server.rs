//! `[server]`: the listeners and the limits of connections and requests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::tls::ListenerTls;
use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::{DurationOrZero, Replicas, duration};
use crate::http::ServerSettings;

const API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const OPS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// The section, and the values that other sections are checked against.
pub(super) struct Server {
    pub(in crate::config) settings: Read<ServerSettings>,
    pub(in crate::config) request_timeout: Read<Duration>,
    pub(in crate::config) replicas: Read<Replicas>,
}

impl Setting for SocketAddr {
    const EXPECTED: &'static str = "an IP address and a port, such as \"127.0.0.1:8080\"";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| text.parse().ok())
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

/// Reads the section; `has_store`: whether replicas share a store.
pub(in crate::config) fn read(mut section: Section<'_>, has_store: bool) -> Server {
    let api = section.or("api", API);
    let ops = section.or("ops", OPS);
    let request_timeout = section.or("request_timeout", Duration::from_secs(10));
    let drain_delay = section.or("drain_delay", DurationOrZero(Duration::from_secs(5)));
    let drain_timeout = section.or("drain_timeout", Duration::from_secs(20));
    let max_connections = section.count("max_connections", 10_000);
    let max_in_flight = section.count("max_in_flight", 20_000);
    let header_timeout = section.or("header_timeout", Duration::from_secs(10));
    let idle_timeout = section.or("idle_timeout", Duration::from_secs(75));
    let max_connection_age = section.or("max_connection_age", Duration::from_mins(10));
    let replicas = section.or("replicas", NonZeroU32::MIN);
    let tls: Read<Option<ListenerTls>> = section.optional("tls");
    let hooks: Read<Option<SocketAddr>> = section.optional("hooks");
    let hooks_tls: Read<Option<ListenerTls>> = section.optional("hooks_tls");
    if hooks == Ok(None) && section.has("hooks_tls") {
        section.wrong("hooks", "missing, expected the address that hooks_tls is for");
    }
    if let (Ok(api), Ok(ops)) = (api, ops)
        && api == ops
        && api.port() != 0
    {
        section.expected("ops", "another address than api");
    }
    if let (Ok(Some(hooks)), Ok(api), Ok(ops)) = (hooks, api, ops)
        && (hooks == api || hooks == ops)
        && hooks.port() != 0
    {
        section.expected("hooks", "another address than api and ops");
    }
    section.at_most("request_timeout", request_timeout, "drain_timeout", drain_timeout);
    section.close_and_record();

    let settings = || {
        Ok(ServerSettings {
            api: api?,
            ops: ops?,
            tls: tls?.and_then(|tls| tls.settings),
            hooks: hooks?,
            hooks_tls: hooks_tls?.and_then(|tls| tls.settings),
            request_timeout: request_timeout?,
            drain_delay: drain_delay?.0,
            drain_timeout: drain_timeout?,
            max_connections: max_connections?,
            max_in_flight: max_in_flight?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            max_connection_age: max_connection_age?,
            replicas: replicas?.get(),
            log_requests: false,
            shows_balances: false,
        })
    };
    let replicas = replicas.map(|count| Replicas { count, has_store });
    Server { settings: settings(), request_timeout, replicas }
}

impl Section<'_> {
    /// Reads a maximum number.
    fn count(&mut self, key: &'static str, default: u32) -> Read<usize> {
        let count = self.or(key, NonZeroU32::new(default).unwrap_or(NonZeroU32::MIN))?;
        Ok(usize::try_from(count.get()).unwrap_or(usize::MAX))
    }

    /// Requires that one duration is not above another.
    pub(super) fn at_most(&self, key: &str, value: Read<Duration>, bound_key: &str, bound: Read<Duration>) {
        if let (Ok(value), Ok(bound)) = (value, bound)
            && value > bound
        {
            let (value, bound) = (duration::format(value), duration::format(bound));
            self.wrong(key, &format!("expected at most {bound_key} ({bound}), not {value}"));
        }
    }
}
