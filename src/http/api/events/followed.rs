//! The balances of one stream, chosen as in `/v1/balances`, and the last event written for each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::frame::{self, Frame};
use super::query::PARAMETERS;
use crate::clock;
use crate::domain::{Moment, Selector};
use crate::gateway::{Account, BalanceSlot, Event, Refusal, Report};
use crate::http::api::batch::{Choice, Missing};
use crate::http::caller::Caller;
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;
use crate::http::state::{Api, OpenAccount};

/// The balances of one stream, in the order of `/v1/balances`.
pub(super) struct Followed {
    pub(super) balances: Vec<FollowedBalance>,
    /// Named accounts that do not exist for this caller.
    not_found: BTreeSet<String>,
}

/// One balance of a stream.
pub(super) struct FollowedBalance {
    pub(super) open: Arc<OpenAccount>,
    index: usize,
    /// The last snapshot that was written to the stream.
    pub(super) last: Option<Arc<Report>>,
    /// The code of the last event, if that was a problem.
    problem: Option<Code>,
}

impl Followed {
    /// The balances that the filters of the query choose.
    pub(super) fn choose(
        api: &Api,
        caller: &Caller,
        query: Option<&str>,
        now: Instant,
    ) -> Result<Self, Problem> {
        let query = Query::parse(query, PARAMETERS)?;
        let Choice { items, not_found } = Choice::of(api, caller, &query)?.sorted().logged(api, caller, now);
        let followed = items.into_iter().filter_map(|item| {
            let open = Arc::clone(api.visible_account(caller, item.open.account.name().as_str())?);
            let index = open.account.balances().iter().position(|slot| std::ptr::eq(slot, item.slot))?;
            Some(FollowedBalance { open, index, last: None, problem: None })
        });
        Ok(Self { balances: followed.collect(), not_found })
    }

    /// One problem event for each named account that does not exist for this caller.
    pub(super) fn not_found(&self, request_id: &str) -> impl Iterator<Item = Bytes> {
        self.not_found.iter().map(move |account| {
            let problem = Problem::account_not_found(account);
            write_problem(&Missing { account, selector: None, problem }, request_id)
        })
    }

    /// After a reload, takes over the last written events from `before`; false if the caller may now see other
    /// balances.
    pub(super) fn continue_from(&mut self, before: &Self) -> bool {
        let is_same = self.not_found == before.not_found
            && self.balances.len() == before.balances.len()
            && self.balances.iter().zip(&before.balances).all(|(now, before)| now.is_same(before));
        for (now, before) in self.balances.iter_mut().zip(&before.balances).filter(|_| is_same) {
            now.last.clone_from(&before.last);
            now.problem = before.problem;
        }
        is_same
    }

    /// The frame of an event; `None` if the stream skips it.
    pub(super) fn write(
        &mut self,
        index: usize,
        event: Event,
        now: Moment,
        request_id: &str,
    ) -> Option<Frame> {
        let balance = self.balances.get_mut(index)?;
        match event {
            Event::Balance(report) => balance.write_balance(report, now),
            Event::Problem(refusal) => balance.write_problem(refusal, request_id).map(Frame::unbound),
        }
    }
}

impl FollowedBalance {
    pub(super) fn account(&self) -> &Account {
        &self.open.account
    }

    pub(super) fn slot(&self) -> &BalanceSlot {
        &self.open.account.balances()[self.index]
    }

    fn is_same(&self, other: &Self) -> bool {
        let (account, before) = (self.account(), other.account());
        account.name() == before.name()
            && account.provider() == before.provider()
            && account.is_enabled() == before.is_enabled()
            && account.limits() == before.limits()
            && self.slot().is_same(other.slot())
    }

    /// The frame of a balance; `None` if the balance has reached the ceiling.
    fn write_balance(&mut self, report: Arc<Report>, now: Moment) -> Option<Frame> {
        let frame = report.left(self.account().limits(), now).map(|left| {
            self.problem = None;
            Frame { text: report.text(frame::balance), taken_by: Some(clock::monotonic() + left) }
        });
        self.last = Some(report);
        frame
    }

    /// The text of a problem; `None` if the last event was a problem with the same code.
    fn write_problem(&mut self, refusal: Refusal, request_id: &str) -> Option<Bytes> {
        let problem = Problem::refused(refusal, self.account());
        if self.problem.replace(problem.code) == Some(problem.code) {
            return None;
        }
        let selector: Option<&Selector> = Some(&self.slot().selector);
        Some(write_problem(
            &Missing { account: self.account().name().as_str(), selector, problem },
            request_id,
        ))
    }
}

fn write_problem(missing: &Missing<'_>, request_id: &str) -> Bytes {
    // Texts and numbers serialise without failing.
    frame::problem(&serde_json::to_vec(&missing.item(request_id)).unwrap_or_default())
}
