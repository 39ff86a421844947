//! Many balances in one answer: selects them, reads them in parallel, and collects failures.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::poll;
use http::header::{AGE, CACHE_CONTROL, HeaderValue};
use serde::Serialize;

use super::item::Item;
use super::reply::Served;
use crate::clock;
use crate::domain::{BalanceType, Currency, Selector, UpstreamError, rounded_up};
use crate::gateway::{Found, Refusal, RequestContext};
use crate::http::caller::Caller;
use crate::http::problem::{self, Problem};
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use crate::http::state::{Api, OpenAccount};
use crate::server::Delivery;

/// A batch stops waiting this long before the request's deadline, so that it has time to write its answer.
const MARGIN: Duration = Duration::from_millis(500);

/// The longest time that a batch waits for its balances.
pub(crate) fn longest_wait(api: &Api) -> Duration {
    api.request_timeout.saturating_sub(MARGIN)
}

/// The results, in the order of the answer.
pub(crate) struct Batch<'a> {
    items: Vec<(Item<'a>, Served)>,
    /// Named accounts that do not exist for this caller.
    not_found: BTreeSet<String>,
}

/// The balances that the filters of a query choose.
pub(crate) struct Choice<'a> {
    /// In any order until [`Self::sorted`].
    pub(super) items: Vec<Item<'a>>,
    /// Named accounts that do not exist for this caller.
    pub(super) not_found: BTreeSet<String>,
}

/// One balance that is not served.
pub(crate) struct Missing<'a> {
    pub(crate) account: &'a str,
    pub(crate) selector: Option<&'a Selector>,
    pub(crate) problem: Problem,
}

/// The JSON form of a missing balance.
#[derive(Serialize)]
pub(crate) struct ErrorItem<'a> {
    account: &'a str,
    currency: Option<Currency>,
    r#type: Option<&'a BalanceType>,
    problem: problem::Body<'a>,
}

impl<'a> Batch<'a> {
    /// Reads the balances that `account` and `provider` of the query choose.
    pub(crate) async fn read(
        api: &'a Api,
        info: &RequestInfo,
        query: &Query<'_>,
        context: &RequestContext,
    ) -> Result<Self, Problem> {
        let caller = info.caller()?;
        let Choice { items, not_found } =
            Choice::of(api, caller, query)?.sorted().logged(api, caller, context.arrived.monotonic);
        let results = read_all(api, caller, &items, context).await;
        Ok(Self { items: items.into_iter().zip(results).collect(), not_found })
    }

    /// The served balances.
    pub(crate) fn found(&self) -> impl Iterator<Item = (&Item<'a>, &Found)> {
        self.items.iter().filter_map(|(item, result)| Some((item, &result.as_ref().ok()?.0)))
    }

    /// The failed balances, sorted.
    pub(crate) fn missing(&self) -> Vec<Missing<'_>> {
        let failed = self.items.iter().filter_map(|(item, result)| {
            let account = item.open.account.name().as_str();
            let problem = item.problem(*result.as_ref().err()?);
            Some(Missing { account, selector: Some(&item.slot.selector), problem })
        });
        let not_found = self.not_found.iter().map(|account| {
            let problem = Problem::account_not_found(account);
            Missing { account, selector: None, problem }
        });
        let mut missing: Vec<_> = failed.chain(not_found).collect();
        missing.sort_by(|a, b| (a.account, a.selector).cmp(&(b.account, b.selector)));
        missing
    }

    /// Adds what every batch has: `no-store`, the age of the oldest balance, and as deadline the earliest moment at
    /// which a balance reaches the ceiling.
    pub(crate) fn mark<B>(&self, response: &mut http::Response<B>) {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let served = || self.items.iter().filter_map(|(item, result)| Some((item, result.as_ref().ok()?)));
        if let Some(oldest) = served().map(|(_, (_, age))| *age).max() {
            headers.insert(AGE, HeaderValue::from(rounded_up(oldest)));
        }
        let now = clock::monotonic();
        let taken_by = served().map(|(item, (found, age))| item.taken_by(found, *age, now)).min();
        response.extensions_mut().get_or_insert_default::<Delivery>().taken_by = taken_by;
    }
}

impl Missing<'_> {
    pub(crate) fn as_item<'a>(&'a self, info: &'a RequestInfo) -> ErrorItem<'a> {
        self.item(info.request_id.to_str().unwrap_or_default())
    }

    /// The JSON form, for the answer to the request with this id.
    pub(crate) fn item<'a>(&'a self, request_id: &'a str) -> ErrorItem<'a> {
        ErrorItem {
            account: self.account,
            currency: self.selector.and_then(|selector| selector.currency),
            r#type: self.selector.and_then(|selector| selector.r#type.as_ref()),
            problem: self.problem.body(request_id),
        }
    }
}

impl<'a> Choice<'a> {
    /// Applies the filters of a query.
    pub(crate) fn of(api: &'a Api, caller: &Caller, query: &Query<'_>) -> Result<Self, Problem> {
        let named: BTreeSet<&str> = query.all("account").collect();
        let provider = query.one("provider")?;
        let (mut open, mut not_found) = (Vec::new(), BTreeSet::new());
        if named.is_empty() {
            open.extend(api.visible_accounts(caller).filter(|open| open.account.is_enabled()));
        }
        for name in named {
            match api.visible_account(caller, name) {
                Some(account) => open.push(account),
                None => {
                    not_found.insert(name.to_owned());
                }
            }
        }
        open.retain(|open| provider.is_none_or(|provider| open.account.provider().as_str() == provider));
        let of_account =
            |open: &'a Arc<OpenAccount>| open.account.balances().iter().map(move |slot| Item { open, slot });
        let items = open.into_iter().flat_map(of_account).collect();
        Ok(Self { items, not_found })
    }

    /// The same choice in the order of the answer.
    pub(crate) fn sorted(mut self) -> Self {
        self.items.sort_by(|a, b| {
            (a.open.account.name(), &a.slot.selector).cmp(&(b.open.account.name(), &b.slot.selector))
        });
        self
    }

    /// Logs each named account that does not exist for this caller.
    pub(crate) fn logged(self, api: &Api, caller: &Caller, now: Instant) -> Self {
        for name in &self.not_found {
            api.note_not_found(caller, name, now);
        }
        self
    }

    /// The number of chosen balances, plus the named accounts that do not exist for this caller.
    pub(crate) fn len(&self) -> usize {
        self.items.len() + self.not_found.len()
    }
}

/// Reads all balances in parallel. A balance that expires while others are read is looked up once more.
async fn read_all(api: &Api, caller: &Caller, items: &[Item<'_>], context: &RequestContext) -> Vec<Served> {
    let mut results = all(items.iter().map(|item| item.look_up(api, caller, context))).await;
    let now = api.gateway.now();
    let again = RequestContext { arrived: now, ..*context };
    for (item, result) in items.iter().zip(&mut results) {
        if result.as_ref().is_ok_and(|found| item.age(found, now).is_none()) {
            *result = item.look_up(api, caller, &again).await;
        }
    }
    let now = api.gateway.now();
    let judge = |(item, result): (&Item<'_>, Result<Found, Refusal>)| {
        let result = result.and_then(|found| match item.age(&found, now) {
            Some(age) => Ok((found, age)),
            None => Err(Refusal::Failed(UpstreamError::Timeout, None)),
        });
        item.count(&result, context);
        result
    };
    items.iter().zip(results).map(judge).collect()
}

/// Waits for all futures. Cached hits are ready at once: they share one box, and only the others wait.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let (mut results, mut waiting, mut spare) = (Vec::new(), Vec::new(), None::<Pin<Box<F>>>);
    for future in futures {
        let mut look_up = match spare.take() {
            Some(mut place) => {
                place.set(future);
                place
            }
            None => Box::pin(future),
        };
        match poll!(look_up.as_mut()) {
            Poll::Ready(result) => {
                results.push(Some(result));
                spare = Some(look_up);
            }
            Poll::Pending => {
                results.push(None);
                waiting.push(look_up);
            }
        }
    }
    let mut waited = join_all(waiting).await.into_iter();
    results.into_iter().filter_map(|result| result.or_else(|| waited.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_keep_their_order_whether_they_were_ready_or_not() {
        let late = |n: u32| async move {
            if n % 3 == 1 {
                tokio::task::yield_now().await;
            }
            n
        };

        assert_eq!(all((0..100).map(late)).await, (0..100).collect::<Vec<_>>());
        assert!(all(std::iter::empty::<std::future::Ready<u32>>()).await.is_empty());
    }
}
