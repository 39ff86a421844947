//! A replica's link to the simulated store: connects, keeps the link as the shipped code does, and reconnects.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::server::Server;
use balance_gateway::shared::{CONNECT_TIMEOUT, Commands, Shared};

/// The connection of one replica, until it breaks.
#[derive(Clone)]
pub(crate) struct Connection {
    server: Arc<Server>,
    replica: usize,
    generation: u64,
}

/// The events of a link that a replica notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The link is connected; sharing begins when the replica has read the missed invalidations.
    Connected,
    /// The link is broken.
    Broken,
    /// A balance of its only account was invalidated, with this number.
    Marked { balance: usize, number: u64 },
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let words = cmd.args_iter().filter_map(|word| match word {
            redis::Arg::Simple(word) => Some(word.to_vec()),
            _ => None,
        });
        let (words, Self { server, replica, generation }) = (words.collect::<Vec<_>>(), &*self);
        if words.as_slice() == [b"PING"] {
            return Box::pin(server.ping(*replica, *generation));
        }
        Box::pin(server.ask(*replica, *generation, words))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _pipeline: &'a Pipeline,
        _offset: usize,
        _count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        // The gateway sends no pipelines.
        Box::pin(async { Err((redis::ErrorKind::Client, "no pipelines").into()) })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

impl Server {
    /// Keeps a replica's link until it is stopped; `notice` is told what it notices.
    pub(crate) async fn link(
        self: Arc<Self>,
        replica: usize,
        shared: Arc<Shared>,
        notice: impl Fn(Told),
        stop: CancellationToken,
    ) {
        stop.run_until_cancelled(async {
            loop {
                if let Ok(Some((generation, messages))) =
                    timeout(3 * CONNECT_TIMEOUT, self.connect(replica)).await
                {
                    notice(Told::Connected);
                    let connection = Connection { server: Arc::clone(&self), replica, generation };
                    let commands = Commands::over(connection);
                    let messages = futures_util::stream::unfold(messages, async |mut messages| {
                        Some((messages.recv().await?, messages))
                    });
                    let mut messages = std::pin::pin!(messages.inspect(|message| {
                        if let Some(told) = mark(&shared, message) {
                            notice(told);
                        }
                    }));
                    // Both connections use the same network path: one ping tests both.
                    let ping_events = || std::future::ready(Ok(Value::Nil));
                    // The tests do not depend on why the link broke.
                    let _ = shared.follow(commands, &mut messages, ping_events).await;
                }
                shared.end_sharing();
                notice(Told::Broken);
                sleep(Duration::from_millis(self.draw(1000))).await;
            }
        })
        .await;
    }
}

fn mark(shared: &Shared, message: &[u8]) -> Option<Told> {
    let message = std::str::from_utf8(message).ok()?;
    let (name, number) = message.strip_prefix("marked ")?.split_once(' ')?;
    let balance = shared.index_of(name)?;
    Some(Told::Marked { balance, number: number.parse().ok()? })
}
