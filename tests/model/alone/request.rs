//! One caller, from the request's arrival to its answer.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::{self, CLOCKS, Ms, SECOND};
use super::log::{CallerRequest, Given, What};
use super::provider::Asking;
use super::schedule::{Asks, Call, Lag, NotBefore};
use super::world::World;
use balance_gateway::domain::{Directives, Moment, RetryAfter};
use balance_gateway::gateway::Lookup;
use balance_gateway::gateway::{Found, Refusal, RequestContext};

impl World {
    pub(crate) async fn call(self: Arc<Self>, caller: usize, call: Call) {
        let now = CLOCKS[call.gateway];
        let (arrived, request) = (now(), self.request(&call));
        self.write(What::Arrived(caller, Box::new(request.clone())));
        match call.lag {
            Lag::None => {}
            Lag::Sleep(length) => clock::sleep(length).await,
            Lag::Freeze(length) => self.freeze(length).await,
            Lag::StepWall(by) => self.step_wall(call.gateway, by),
        }
        self.write(What::Looked(caller));
        let source = Asking { provider: Arc::clone(&self.provider), caller, place: request.place };
        let lookup = Lookup {
            cache: &self.caches[call.gateway],
            clock: now,
            key: request.place.key(),
            limits: request.ages.limits(),
            source: &source,
        };
        let context = RequestContext {
            arrived,
            directives: directives(&call.asks, request.not_before.map(clock::timestamp)),
            deadline: arrived.monotonic + clock::duration(call.wait),
        };
        let charge = |_| {
            self.write(What::Charged(caller, call.may_force));
            if call.may_force { Ok(()) } else { Err(RetryAfter::ONE_SECOND) }
        };
        let gives_up_after = call.gives_up_after.map_or(Duration::MAX, clock::duration);
        self.write(match tokio::time::timeout(gives_up_after, lookup.serve(&context, charge)).await {
            Ok(result) => What::Answered(caller, given(result)),
            Err(_) => What::Left(caller),
        });
    }

    fn request(&self, call: &Call) -> CallerRequest {
        let place = self.place(call.gateway, call.balance);
        let balance = self.with(call.balance, |balance| *balance);
        let invalidated =
            balance.invalidated.filter(|_| call.asks.not_before == Some(NotBefore::Invalidation));
        let not_before = match call.asks.not_before {
            Some(NotBefore::Ago(ago)) => Some(clock::reading().walls[call.gateway] - ago),
            Some(NotBefore::Invalidation) => invalidated.map(|Moment { wall, .. }| clock::wall(wall)),
            None => None,
        };
        let invalidated_at = invalidated.map(|Moment { monotonic, .. }| clock::monotonic(monotonic));
        CallerRequest { call: call.clone(), place, ages: balance.ages, not_before, invalidated_at }
    }
}

pub(crate) fn directives(asks: &Asks, not_before: Option<Timestamp>) -> Directives {
    let seconds = |seconds: Option<Ms>| seconds.map(|seconds| clock::duration(seconds * SECOND));
    Directives {
        max_age: seconds(asks.max_age),
        min_fresh: seconds(asks.min_fresh),
        not_before,
        only_if_cached: asks.only_if_cached,
        stale_if_error: seconds(asks.stale_if_error),
        is_certain: false,
    }
}

/// What the caller reads in the answer.
fn given(result: Result<(Found, Duration), Refusal>) -> Given {
    let (found, age) = match result {
        Ok(served) => served,
        Err(refusal) => return Given::Refused(refusal),
    };
    let body: serde_json::Value = serde_json::from_slice(found.snapshot.body()).unwrap();
    let text = |field: &str| body[field].as_str().unwrap().to_owned();
    Given::Served {
        amount: text("available"),
        fetched_at: clock::wall(text("fetched_at").parse().unwrap()),
        age: age.as_millis().try_into().unwrap(),
        via: found.via,
    }
}
