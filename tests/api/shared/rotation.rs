//! The rotation of `shared.key` in three steps: replicas one step apart share, except at the last step.

use super::fleet::{Fleet, KEY, KIND, sharing};
use super::redis::RedisServer;
use crate::harness::{Harness, Setup};

const NEXT: &str = "dGhlLW5leHQtc2hhcmVkLWtleS0tMzItYnl0ZXMtLTo=";
/// The old key, and the new one.
const A: &str = "{ env = \"SHARED_KEY\" }";
const B: &str = "{ env = \"NEXT_KEY\" }";

fn with_keys(url: &str, keys: &[&str]) -> Setup {
    let mut setup = sharing(&Setup::default(), url, 2);
    setup.further = setup.further.replace(A, &format!("[{}]", keys.join(", ")));
    setup.secrets.push(("NEXT_KEY", NEXT.to_owned()));
    setup
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_during_a_key_rotation_except_at_its_last_step() {
    assert_ne!(KEY, NEXT);
    for (behind, ahead, reads) in
        [(&[A][..], &[A, B, A][..], 1), (&[A, B, A], &[B, A], 1), (&[B, A], &[B], 2)]
    {
        for (first, second) in [(behind, ahead), (ahead, behind)] {
            let store = RedisServer::start().await;
            let [first_setup, second_setup] = [first, second].map(|keys| with_keys(&store.url(), keys));
            let one = Harness::start(first_setup).await;
            let other = one.beside(&second_setup);
            let fleet = Fleet { store, replicas: vec![one, other] };
            fleet.until_sharing(1.0).await;

            for replica in &fleet.replicas {
                assert_eq!(replica.balance(KIND).await.status, 200);
                fleet.store.until_published(&[]).await;
            }

            assert_eq!(fleet.reads(), reads, "{first:?} {second:?}");
            for kind in ["invalid", "protocol"] {
                let refused = format!("shared_errors_total{{operation=\"lookup\",kind=\"{kind}\"}}");
                assert_eq!(fleet.count(&refused).await, 0, "{first:?} {second:?}");
            }
        }
    }
}
