//! A schedule: requests, reloads, and how long the provider takes. All of it follows from one seed.

use fastrand::Rng;

use crate::alone::clock::{Ms, SECOND};

/// The addresses that the account's provider can have; each is another identity of the account.
pub(super) const ADDRESSES: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) first: Setting,
    pub(super) steps: Vec<Step>,
    /// How long the provider takes for each call, in order. Further calls begin again with the first.
    pub(super) replies: Vec<Ms>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The time since the previous step.
    pub(super) after: Ms,
    pub(super) action: Action,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Ask(Ask),
    Reload(Setting),
}

/// One request for the balance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    /// How long its body takes; `None` without a body.
    pub(super) body: Option<Ms>,
    /// Whether it says `no-cache`.
    pub(super) is_new: bool,
}

/// The configuration of the account and the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// Which address the provider has.
    pub(super) address: usize,
    pub(super) account: AccountState,
    pub(super) caller: CallerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountState {
    On,
    Off,
    Absent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallerState {
    SeesAccount,
    SeesOther,
    Unknown,
}

impl Schedule {
    pub(super) fn of(seed: u64) -> Self {
        let random = &mut Rng::with_seed(seed);
        let first = Setting { address: 0, account: AccountState::On, caller: CallerState::SeesAccount };
        let (mut steps, mut setting) = (Vec::new(), first);
        for _ in 0..random.usize(6..20) {
            let action = if happens(random, 55) {
                Action::Ask(ask(random))
            } else {
                setting = changed(random, setting);
                Action::Reload(setting)
            };
            steps.push(Step { after: pause(random), action });
        }
        let replies = (0..random.usize(2..8)).map(|_| random.i64(0..=4) * SECOND / 2).collect();
        Self { first, steps, replies }
    }
}

/// True with this probability in percent.
fn happens(random: &mut Rng, percent: u32) -> bool {
    random.u32(0..100) < percent
}

/// Most times are multiples of half a second, so that events coincide.
fn pause(random: &mut Rng) -> Ms {
    match random.u32(0..10) {
        0..=3 => 0,
        4..=7 => random.i64(1..=4) * SECOND / 2,
        8 => random.i64(1..=2 * SECOND),
        _ => random.i64(10..=70) * SECOND,
    }
}

fn ask(random: &mut Rng) -> Ask {
    let body = happens(random, 80).then(|| random.i64(0..=8) * SECOND / 2);
    Ask { body, is_new: happens(random, 40) }
}

fn changed(random: &mut Rng, setting: Setting) -> Setting {
    match random.u32(0..100) {
        0..=39 => Setting { address: random.usize(0..ADDRESSES), ..setting },
        40..=49 => Setting { account: AccountState::Off, ..setting },
        50..=56 => Setting { account: AccountState::Absent, ..setting },
        57..=63 => Setting { caller: CallerState::SeesOther, ..setting },
        64..=70 => Setting { caller: CallerState::Unknown, ..setting },
        // A reload that concerns neither the account nor the caller.
        71..=79 => setting,
        _ => Setting { account: AccountState::On, caller: CallerState::SeesAccount, ..setting },
    }
}
