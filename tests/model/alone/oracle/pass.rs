//! What a request demands at one moment: the contract's table, in milliseconds.

use super::{CallerRequest, Ms, Point};
use crate::alone::clock::SECOND;

/// The tolerance for the clock of another replica.
const TOLERANCE: Ms = SECOND;

/// What a request demands at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub(super) arrived: Point,
    pub(super) not_before: Ms,
    /// Whether the caller has a demand stricter than the ceiling.
    pub(super) is_own: bool,
}

impl Pass {
    /// "Every demand becomes, on arrival, one instant `not_before`, never later than the arrival."
    pub(super) fn new(request: &CallerRequest, arrived: Point, mark: Option<Ms>) -> Self {
        let (asks, ages) = (&request.call.asks, request.ages);
        let (mut oldest, mut is_own) = (ages.max_age, asks.only_if_cached);
        let max_age = asks.max_age.map(|seconds| seconds * SECOND);
        let min_fresh = asks.min_fresh.map(|seconds| (ages.fresh_for - seconds * SECOND).max(0));
        for allowed in [max_age, min_fresh].into_iter().flatten() {
            is_own |= allowed < ages.max_age;
            oldest = oldest.min(allowed);
        }
        if let Some(not_before) = request.not_before {
            is_own = true;
            oldest = oldest.min((arrived.wall - not_before - TOLERANCE).max(0));
        }
        let not_before = arrived.mono - oldest;
        Self { arrived, not_before: mark.map_or(not_before, |mark| mark.max(not_before)), is_own }
    }

    /// The same moment without a demand.
    pub(super) fn everybodys(self, max_age: Ms, mark: Option<Ms>) -> Self {
        let not_before = self.arrived.mono - max_age;
        Self { not_before: mark.map_or(not_before, |mark| mark.max(not_before)), is_own: false, ..self }
    }

    /// "A snapshot is acceptable if `requested_at` ≥ `not_before`", by either clock; from the arrival on, by the
    /// monotonic clock alone.
    pub(super) fn accepts(self, requested_at: Point) -> bool {
        let by_wall = self.arrived.wall - requested_at.wall <= self.arrived.mono - self.not_before;
        requested_at.mono >= self.not_before && (by_wall || requested_at.mono >= self.arrived.mono)
    }
}
