//! Whatever happens in whatever order, no caller gets a snapshot over the ceiling.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

/// One thing that happens to a balance. Times are milliseconds.
#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(u64),
    StepWallClock(i64),
    Invalidate,
    /// A caller who looks into memory, then asks behind it.
    Glance(Option<u64>),
    /// A caller who waits; each read that leaves meanwhile takes so long and ends so.
    Ask(Option<u64>, u64, Ending),
    Fallback(u64),
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Success,
    SuccessWithAge(u64),
    Failure,
    Held(u64),
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => Just(Ending::Success),
        1 => (0_u64..70_000).prop_map(Ending::SuccessWithAge),
        1 => Just(Ending::Failure),
        1 => (1_u64..5_000).prop_map(Ending::Held),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let demand = || proptest::option::of(0_u64..70);
    prop_oneof![
        3 => (0_u64..30_000).prop_map(Event::Pass),
        1 => (-90_000_i64..90_000).prop_map(Event::StepWallClock),
        1 => Just(Event::Invalidate),
        3 => demand().prop_map(Event::Glance),
        4 => (demand(), 0_u64..20_000, ending()).prop_map(|(demand, took, end)| Event::Ask(demand, took, end)),
        1 => (0_u64..100).prop_map(Event::Fallback),
    ]
}

fn wish(demand: Option<u64>) -> Wish {
    demand.map_or(NONE, max_age)
}

fn answer(read: Pending, ending: Ending) {
    match ending {
        Ending::Success => read.succeed(),
        Ending::SuccessWithAge(age) => read.succeed_with_age(Duration::from_millis(age)),
        Ending::Failure => read.fail(refused(UpstreamError::Timeout)),
        Ending::Held(wait) => read.fail(held(Duration::from_millis(wait))),
    }
}

fn age(snapshot: &Arc<Snapshot>) -> Duration {
    snapshot.requested_at().age_at(now())
}

/// How old the snapshot is that the event hands to a caller, if it does, at the moment when it does.
async fn happen(balance: &mut Balance, event: Event) -> Option<Duration> {
    match event {
        Event::Pass(time) => advance(Duration::from_millis(time)),
        Event::StepWallClock(step) => {
            let wall = now().wall.checked_add(SignedDuration::from_millis(step)).unwrap();
            NOW.set(Some(Moment { wall, ..now() }));
        }
        Event::Invalidate => drop(balance.invalidate()),
        Event::Glance(demand) => return glance(balance, wish(demand)).await,
        Event::Ask(demand, took, ending) => {
            let caller = balance.ask(wish(demand));
            let caller = tokio::spawn(async { caller.await.unwrap().result.ok().as_ref().map(age) });
            settle().await;
            while let Ok(read) = balance.inbox.try_recv() {
                advance(Duration::from_millis(took));
                answer(read, ending);
                settle().await;
            }
            return got(caller).await;
        }
        Event::Fallback(oldest) => {
            let wish = Wish { stale_if_error: Some(Duration::from_secs(oldest)), ..FORCED };
            return balance.cache.fallback(&balance.question(wish)).await.as_ref().map(age);
        }
    }
    None
}

async fn glance(balance: &Balance, wish: Wish) -> Option<Duration> {
    let found = match balance.peek(wish).await {
        Peek::Fresh(snapshot) | Peek::Stale { snapshot, .. } => Some(age(&snapshot)),
        Peek::Absent { .. } => None,
    };
    balance.refresh_behind().await;
    found
}

proptest! {
    #[test]
    fn no_caller_gets_a_snapshot_over_the_ceiling(events in proptest::collection::vec(event(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let served = runtime.block_on(async {
            let mut balance = Balance::new();
            let mut ages = Vec::new();
            for event in events {
                ages.extend(happen(&mut balance, event).await);
            }
            ages
        });

        prop_assert!(served.iter().all(|age| *age < MAX_AGE), "{served:?}");
    }
}
