//! One balance of an answer: chosen, looked up, counted and written.

use std::time::{Duration, Instant};

use http::HeaderMap;

use super::reply::{self, Served};
use crate::clock;
use crate::domain::{Directives, Moment, rounded_up};
use crate::gateway::{BalanceSlot, Found, Refusal, RequestContext, Selection};
use crate::http::answer::{self, Reply, Response};
use crate::http::caller::Caller;
use crate::http::directives;
use crate::http::forced::ForcedUnit;
use crate::http::logged::Logged;
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use crate::http::state::{Api, OpenAccount};
use crate::metrics::Label;
use crate::server::Delivery;

/// The balance that `currency` and `type` choose.
pub(crate) fn select<'a>(open: &'a OpenAccount, query: &Query<'_>) -> Result<&'a BalanceSlot, Problem> {
    let unsupported = |code| {
        Err(Problem::new(code, "the balances of each account are in /v1/accounts").about(&open.account))
    };
    match open.account.select(query.one("currency")?, query.one("type")?) {
        Selection::Found(slot) => Ok(slot),
        Selection::UnsupportedCurrency => unsupported(Code::UnsupportedCurrency),
        Selection::UnsupportedType => unsupported(Code::UnsupportedType),
    }
}

/// The context that all balances of a request share. Its deadline is at most `longest` after the request arrived.
pub(crate) fn context(
    info: &RequestInfo,
    headers: &HeaderMap,
    query: &Query<'_>,
    longest: Duration,
) -> Result<RequestContext, Problem> {
    let not_before = query.not_before()?;
    let wait = info.wait.map_or(longest, |wait| longest.min(Duration::from_secs(wait)));
    Ok(RequestContext {
        arrived: info.moment,
        directives: if info.caller()?.obeys_cache_control() {
            directives::parse(headers, not_before)
        } else {
            Directives { not_before, ..Directives::default() }
        },
        deadline: info.moment.monotonic + wait,
    })
}

/// One balance of an account that the caller may see.
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) open: &'a OpenAccount,
    pub(crate) slot: &'a BalanceSlot,
}

impl Item<'_> {
    /// Looks up the balance. Its age must be checked again before it is served.
    pub(crate) async fn look_up(
        &self,
        api: &Api,
        caller: &Caller,
        context: &RequestContext,
    ) -> Result<Found, Refusal> {
        let charge = |now| ForcedUnit::take(api, caller, self.open, now);
        api.gateway.balance(&self.open.account, self.slot, context, charge).await
    }

    /// Looks the balance up, counts the outcome, and writes the answer or the problem.
    pub(crate) async fn answer(
        &self,
        api: &Api,
        caller: &Caller,
        context: &RequestContext,
        write: impl FnOnce(&Found, Duration) -> Response,
    ) -> Reply {
        let result = self.serve(api, caller, context).await;
        let outcome = self.count(&result, context);
        let mut reply = match &result {
            Ok((found, age)) => {
                let now = clock::monotonic();
                let taken_by = Some(self.taken_by(found, *age, now));
                let delivery = Delivery { taken_by, ..Delivery::default() };
                Reply { response: write(found, *age), delivery, made_at: Some(now) }
            }
            Err(refusal) => answer::from_router(self.problem(*refusal)),
        };
        if api.needs_attributes() {
            reply.response.extensions_mut().insert(Logged {
                outcome: Some(outcome.as_str()),
                age_seconds: result.ok().map(|(_, age)| rounded_up(age)),
                ..Logged::default()
            });
        }
        reply
    }

    async fn serve(&self, api: &Api, caller: &Caller, context: &RequestContext) -> Served {
        let charge = |now| ForcedUnit::take(api, caller, self.open, now);
        api.gateway.serve(&self.open.account, self.slot, context, charge).await
    }

    /// The age of the snapshot; `None` if it has expired.
    pub(crate) fn age(&self, found: &Found, now: Moment) -> Option<Duration> {
        found.age(self.open.account.limits(), now)
    }

    /// When the balance reaches the ceiling. The caller must have read the answer by then.
    pub(crate) fn taken_by(&self, found: &Found, age: Duration, now: Instant) -> Instant {
        found.taken_by(self.open.account.limits(), age, now)
    }

    /// Counts the outcome and the served age.
    pub(crate) fn count(&self, result: &Served, context: &RequestContext) -> crate::metrics::Outcome {
        let outcome = reply::outcome(result, self.open.account.limits(), context.arrived);
        self.open.metrics.looked_up(outcome);
        if let Ok((_, age)) = result {
            self.open.metrics.served(*age);
        }
        outcome
    }

    pub(crate) fn problem(&self, refusal: Refusal) -> Problem {
        Problem::refused(refusal, &self.open.account)
    }
}
