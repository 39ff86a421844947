//! One balance: `GET /v1/accounts/{account}/balance`, and what every answer with balances does for each of them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use super::arrival::Arrival;
use super::caller::Caller;
use super::observe::Logged;
use super::problem::{Code, Problem};
use super::query::Query;
use super::{Api, OpenAccount, directives, reply};
use crate::domain::{Moment, rounded_up};
use crate::gateway::{Asked, BalanceSlot, Found, Refusal, Selection};
use crate::metrics::Label;

/// `GET /v1/accounts/{account}/balance`.
pub(super) async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (arrival, headers) = (Arrival::of(&request)?, request.headers());
    let query = Query::parse(request.uri().query(), &["currency", "type", "not_before"])?;
    let open = arrival.account()?;
    let item = Item { open, slot: select(open, &query)? };
    let asked = asked(arrival, headers, &query, api.request_timeout)?;
    let write = |found: &Found, age| {
        reply::balance(found, open.account.limits(), open.cache_control.clone(), age, headers)
    };
    Ok(item.answer(&api, arrival.caller()?, &asked, write).await)
}

/// The balance that `currency` and `type` choose.
pub(super) fn select<'a>(open: &'a OpenAccount, query: &Query<'_>) -> Result<&'a BalanceSlot, Problem> {
    let unsupported = |code| {
        Err(Problem::new(code, "the balances of each account are in /v1/accounts").about(&open.account))
    };
    match open.account.select(query.one("currency")?, query.one("type")?) {
        Selection::Found(slot) => Ok(slot),
        Selection::UnsupportedCurrency => unsupported(Code::UnsupportedCurrency),
        Selection::UnsupportedType => unsupported(Code::UnsupportedType),
    }
}

/// What the request asks of freshness, and how long it waits: at most `longest`.
pub(super) fn asked(
    arrival: &Arrival,
    headers: &HeaderMap,
    query: &Query<'_>,
    longest: Duration,
) -> Result<Asked, Problem> {
    let wait =
        directives::prefer_wait(headers).map_or(longest, |wait| longest.min(Duration::from_secs(wait)));
    Ok(Asked {
        arrived: arrival.moment,
        wish: directives::wish(headers, query.not_before()?),
        deadline: arrival.moment.monotonic + wait,
    })
}

/// What is served of a balance and how old it is, or why nothing is.
pub(super) type Served = Result<(Found, Duration), Refusal>;

/// One balance of an account that the caller may see.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) open: &'a OpenAccount,
    pub(super) slot: &'a BalanceSlot,
}

impl Item<'_> {
    /// Finds the balance; its age is judged when all of a batch are there.
    pub(super) async fn look_up(&self, api: &Api, caller: &Caller, asked: &Asked) -> Result<Found, Refusal> {
        api.gateway.balance(&self.open.account, self.slot, asked, |now| caller.charge_forced(now)).await
    }

    /// Looks up, counts, and writes what was found, or why nothing was.
    pub(super) async fn answer(
        &self,
        api: &Api,
        caller: &Caller,
        asked: &Asked,
        write: impl FnOnce(&Found, Duration) -> Response,
    ) -> Response {
        let result = self.serve(api, caller, asked).await;
        let outcome = self.count(&result, asked);
        let mut response = match &result {
            Ok((found, age)) => write(found, *age),
            Err(refusal) => self.problem(*refusal).into_response(),
        };
        if api.is_noted() {
            response.extensions_mut().insert(Logged {
                outcome: Some(outcome.as_str()),
                age_seconds: result.ok().map(|(_, age)| rounded_up(age)),
                ..Logged::default()
            });
        }
        response
    }

    async fn serve(&self, api: &Api, caller: &Caller, asked: &Asked) -> Served {
        api.gateway.serve(&self.open.account, self.slot, asked, |now| caller.charge_forced(now)).await
    }

    /// The age of what was found; `None` when it may not be served any more.
    pub(super) fn age(&self, found: &Found, now: Moment) -> Option<Duration> {
        found.age(self.open.account.limits(), now)
    }

    /// Counts what the caller gets.
    pub(super) fn count(&self, result: &Served, asked: &Asked) -> crate::metrics::Outcome {
        let outcome = reply::outcome(result, self.open.account.limits(), asked.arrived);
        self.open.metrics.looked_up(outcome);
        if let Ok((_, age)) = result {
            self.open.metrics.served(*age);
        }
        outcome
    }

    pub(super) fn problem(&self, refusal: Refusal) -> Problem {
        Problem::refused(refusal, &self.open.account)
    }
}
