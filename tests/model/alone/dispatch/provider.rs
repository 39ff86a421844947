//! The provider in memory. Each of its addresses is a different account at the provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;

use super::log::{Log, What};
use crate::alone::clock::{self, Ms};
use balance_gateway::metrics::Operation;
use balance_gateway::upstream::{Response, Sending, Transport};

#[derive(Debug)]
pub(super) struct Provider {
    log: Arc<Log>,
    replies: Vec<Ms>,
    calls: AtomicUsize,
}

impl Provider {
    pub(super) fn new(log: Arc<Log>, replies: Vec<Ms>) -> Self {
        Self { log, replies, calls: AtomicUsize::new(0) }
    }
}

/// The base URL of one address.
pub(super) fn base_url(address: usize) -> String {
    format!("http://127.0.0.1:{}", address + 1)
}

/// The amount encodes the number of the call and the address that answered it.
pub(super) fn amount(call: usize, address: usize) -> String {
    format!("{call}.0{address}")
}

impl Transport for Provider {
    fn send(&self, _: Operation, request: http::Request<Vec<u8>>, _: Duration) -> Sending<'_> {
        let address = usize::from(request.uri().port_u16().unwrap()) - 1;
        Box::pin(async move {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            self.log.write(What::Called { call, address });
            clock::sleep(self.replies[call % self.replies.len()]).await;
            let amount = amount(call, address);
            let body = format!(r#"{{"grossBalance":{amount},"blockedBalance":0.00,"netBalance":{amount}}}"#);
            Ok(Response { headers: HeaderMap::new(), body: body.as_bytes().into() })
        })
    }
}
