//! Callers: keys, permissions and limits.

mod forced;
mod keys;
mod limits;
mod permissions;

use std::cell::Cell;
use std::time::{Duration, Instant};

use balance_gateway::sandbox::{Fault, FaultKind, Kind, Operation};
use serde_json::{Value, json};

use crate::harness::{Harness, KEY, Reply, Setup, digest, record, retry_within};
use crate::process::Site;

const BRAZIL: &str = "/v1/accounts/ntxpay-br-demo/balance";
/// The key of a caller that may read only the accounts of the NTX brand.
const SOME_KEY: &str = "bgk_test-key-of-the-caller-that-sees-some-accounts";

async fn with_caller(caller: &str) -> Harness {
    Harness::start(Setup { caller: caller.to_owned(), ..Setup::default() }).await
}

async fn with_some() -> Harness {
    record("secrets", SOME_KEY);
    let further = format!(
        "[callers.some]\nkeys_sha256 = [\"{}\"]\naccounts = [\"ntxpay-*\"]\n\
         limit = {{ requests = 1000000, per = \"1m\", burst = 1000000 }}\n",
        digest(SOME_KEY)
    );
    Harness::start(Setup { further, ..Setup::default() }).await
}

/// The whole-number parameters of a policy in a structured field.
fn units(reply: &Reply, field: &str, policy: &str) -> std::collections::BTreeMap<String, i64> {
    let list = sfv::Parser::new(reply.header(field)).parse::<sfv::List>().unwrap();
    let item = list.iter().find_map(|entry| match entry {
        sfv::ListEntry::Item(item) if item.bare_item.as_string()?.as_str() == policy => Some(item),
        _ => None,
    });
    let item = item.unwrap_or_else(|| panic!("no {policy} in {field}: {reply:?}"));
    let number = |value: &sfv::BareItem| i64::from(value.as_integer().unwrap());
    item.params.iter().map(|(name, value)| (name.as_str().to_owned(), number(value))).collect()
}
