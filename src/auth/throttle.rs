//! Limits failed authentication per peer. Only failures are counted, so a valid key is never refused because of its
//! peer. A failure that the limit refuses is not counted either.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::RetryAfter;

/// Most failures of one peer within `SPAN`.
const FAILURES: usize = 20;
/// The length of the sliding window for `FAILURES`.
const SPAN: Duration = Duration::from_secs(10);
/// Most remembered peers; each takes under 500 bytes.
const MOST_PEERS: usize = 20_000;

/// The recent failures of each peer.
#[derive(Debug, Default)]
pub struct AuthThrottle(Mutex<HashMap<IpAddr, VecDeque<Instant>>>);

impl AuthThrottle {
    /// Counts a failure of a peer.
    ///
    /// # Errors
    /// The time until the peer may fail again, if it has failed too often. This failure is not counted.
    pub fn note_failure(&self, peer: IpAddr, now: Instant) -> Result<(), RetryAfter> {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = network(peer);
        if peers.len() >= MOST_PEERS && !peers.contains_key(&peer) {
            peers.retain(|_, failures| failures.back().is_some_and(|last| !is_over(*last, now)));
            if peers.len() >= MOST_PEERS {
                // Under a flood from this many networks, forget all peers rather than grow or refuse them all.
                peers.clear();
            }
        }
        let failures = peers.entry(peer).or_default();
        while failures.front().is_some_and(|first| is_over(*first, now)) {
            failures.pop_front();
        }
        if failures.len() >= FAILURES {
            let first = failures.front().copied().unwrap_or(now);
            return Err(RetryAfter::from_wait((first + SPAN).saturating_duration_since(now)));
        }
        failures.push_back(now);
        Ok(())
    }
}

fn is_over(failure: Instant, now: Instant) -> bool {
    now.saturating_duration_since(failure) >= SPAN
}

/// What counts as one peer: an IPv4 address, or the /64 network of an IPv6 address.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now().monotonic
    }

    #[test]
    fn the_twenty_first_failure_in_ten_seconds_is_refused() {
        let (throttle, now) = (AuthThrottle::default(), start());
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..20 {
            assert_eq!(throttle.note_failure(peer, now), Ok(()));
        }

        let later = now + Duration::from_millis(3500);
        assert_eq!(throttle.note_failure(peer, later).unwrap_err().as_secs(), 7);
        assert_eq!(throttle.note_failure("192.0.2.2".parse().unwrap(), later), Ok(()));
        assert_eq!(throttle.note_failure(peer, now + SPAN), Ok(()));
    }

    #[test]
    fn a_peer_is_an_ipv4_address_or_an_ipv6_network() {
        let same = |a: &str, b: &str| network(a.parse().unwrap()) == network(b.parse().unwrap());

        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn the_number_of_remembered_peers_is_bounded() {
        let (throttle, now) = (AuthThrottle::default(), start());
        for n in 0..u32::try_from(MOST_PEERS).unwrap() + 10 {
            throttle.note_failure(std::net::Ipv4Addr::from(n).into(), now).unwrap();
        }

        assert!(throttle.0.lock().unwrap().len() <= MOST_PEERS);
    }
}
