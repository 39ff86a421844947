//! The store's process and the network in front of it: connections, lost messages, and lost data.

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep;

use super::engine::{self, Call};
use super::keyspace::Keyspace;

/// How long a script runs, in microseconds.
const STEP: u64 = 7;

/// The network between one replica and the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weather {
    /// The longest delay of a command, an answer or a message, in milliseconds.
    pub(crate) delay: u64,
    /// The percentage of messages that are lost in each direction.
    pub(crate) loss: u32,
}

impl Weather {
    /// Whether every message arrives soon.
    pub(crate) fn is_calm(self) -> bool {
        self.delay <= 2 && self.loss == 0
    }
}

/// The store.
pub(crate) struct Server {
    /// The store's clock in microseconds: several replicas read it within one millisecond of the model.
    clock: fn() -> u64,
    state: Mutex<State>,
    /// Wakes waiting commands in the order in which they came, unlike a watch channel.
    goes_on: Notify,
    /// Scripts that are changed before they run, to show that a change is noticed.
    changes: Vec<(&'static str, &'static str)>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a state of the process by itself")]
struct State {
    keyspace: Keyspace,
    /// The data that another node would take over.
    replicated: Keyspace,
    scripts: HashSet<String>,
    codes: Vec<(String, String)>,
    /// The last reading of the clock, and the time that the last script got.
    clock: (u64, u64),
    rng: Rng,
    weathers: Vec<Weather>,
    subscribers: Vec<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    /// A number per replica, increased whenever its connections break.
    connections: Vec<u64>,
    is_gone: bool,
    is_stopped: bool,
    is_full: bool,
    is_read_only: bool,
}

impl Server {
    pub(crate) fn new(
        clock: fn() -> u64,
        seed: u64,
        weathers: Vec<Weather>,
        changes: Vec<(&'static str, &'static str)>,
    ) -> Arc<Self> {
        let replicas = weathers.len();
        Arc::new(Self {
            clock,
            state: Mutex::new(State {
                keyspace: Keyspace::default(),
                replicated: Keyspace::default(),
                scripts: HashSet::new(),
                codes: Vec::new(),
                clock: (0, 0),
                rng: Rng::with_seed(seed),
                weathers,
                subscribers: (0..replicas).map(|_| None).collect(),
                connections: vec![0; replicas],
                is_gone: false,
                is_stopped: false,
                is_full: false,
                is_read_only: false,
            }),
            goes_on: Notify::new(),
            changes,
        })
    }

    pub(crate) fn set_weather(&self, replica: usize, weather: Weather) {
        self.state().weathers[replica] = weather;
    }

    /// Stops the process, or continues it: it then runs the commands that came meanwhile.
    pub(crate) fn stop(&self, is_stopped: bool) {
        self.state().is_stopped = is_stopped;
        self.goes_on.notify_waiters();
    }

    /// Removes the keys with this ending.
    pub(crate) fn evict(&self, ending: &str) {
        self.state().keyspace.evict(ending.as_bytes());
    }

    pub(crate) fn fill(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    pub(crate) fn write_protect(&self, is_read_only: bool) {
        self.state().is_read_only = is_read_only;
    }

    /// Ends the process; it is unreachable until it is started.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.is_gone = true;
        state.break_all();
    }

    /// Starts it again, without data.
    pub(crate) fn start(&self) {
        let mut state = self.state();
        state.is_gone = false;
        (state.is_full, state.is_read_only) = (false, false);
        state.keyspace = Keyspace::default();
        state.scripts.clear();
    }

    /// Replicates the current data, which another node would take over.
    pub(crate) fn replicate(&self) {
        let mut state = self.state();
        state.replicated = state.keyspace.clone();
    }

    /// Another node takes over with the replicated data.
    pub(crate) fn fail_over(&self) {
        let mut state = self.state();
        state.keyspace = state.replicated.clone();
        state.scripts.clear();
        state.break_all();
    }

    /// Breaks the connections of one replica.
    pub(crate) fn cut(&self, replica: usize) {
        self.state().break_one(replica);
    }

    /// A random number below this one.
    pub(crate) fn draw(&self, below: u64) -> u64 {
        self.state().rng.u64(0..below.max(1))
    }

    /// Connects a replica and subscribes it; `None` while the store is unreachable or stopped.
    pub(crate) async fn connect(&self, replica: usize) -> Option<(u64, mpsc::UnboundedReceiver<Vec<u8>>)> {
        self.way(replica).await?;
        self.running().await;
        let (sender, receiver) = mpsc::unbounded_channel();
        let connection = {
            let mut state = self.state();
            if state.is_gone {
                return None;
            }
            state.break_one(replica);
            state.subscribers[replica] = Some(sender);
            state.connections[replica]
        };
        self.way(replica).await?;
        Some((connection, receiver))
    }

    /// Sends a ping and waits for its answer.
    pub(crate) async fn ping(&self, replica: usize, connection: u64) -> RedisResult<Value> {
        let mut has_come = self.way(replica).await.is_some();
        self.running().await;
        let is_connected = self.is_connected(replica, connection);
        has_come &= self.way(replica).await.is_some();
        if is_connected && !has_come {
            pending::<()>().await;
        }
        if is_connected { Ok(Value::SimpleString("PONG".to_owned())) } else { Err(broken()) }
    }

    /// Sends a command and returns its answer. The command runs even if the replica stops waiting.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        replica: usize,
        connection: u64,
        words: Vec<Vec<u8>>,
    ) -> RedisResult<Value> {
        let (answered, answer) = oneshot::channel();
        let server = Arc::clone(self);
        tokio::spawn(async move {
            if server.way(replica).await.is_none() {
                // Lost: no answer and no error ever come.
                answered_never(answered).await;
                return;
            }
            server.running().await;
            if !server.is_connected(replica, connection) {
                return;
            }
            let result = server.execute(&words);
            if server.way(replica).await.is_none() {
                answered_never(answered).await;
            } else if server.is_connected(replica, connection) {
                let _ = answered.send(result);
            }
        });
        answer.await.unwrap_or_else(|_| Err(broken()))
    }

    fn execute(self: &Arc<Self>, words: &[Vec<u8>]) -> RedisResult<Value> {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        match words {
            [name, load, code] if name == b"SCRIPT" && load == b"LOAD" => {
                let hash = redis::Script::new(&text(code)).get_hash().to_owned();
                let mut state = self.state();
                state.scripts.insert(hash.clone());
                if !state.codes.iter().any(|(known, _)| *known == hash) {
                    state.codes.push((hash.clone(), self.changed(text(code))));
                }
                Ok(Value::BulkString(hash.into_bytes()))
            }
            [name, hash, count, rest @ ..] if name == b"EVALSHA" => {
                let (hash, count): (_, usize) = (text(hash), text(count).parse().unwrap());
                let mut guard = self.state();
                let state = &mut *guard;
                let now = state.tick((self.clock)());
                let code =
                    state.codes.iter().find(|(known, _)| *known == hash && state.scripts.contains(known));
                let Some((_, code)) = code else {
                    return Err((ErrorKind::Server(ServerErrorKind::NoScript), "no such script").into());
                };
                let (keys, arguments) = rest.split_at(count);
                let call = Call {
                    code,
                    keys,
                    arguments,
                    now,
                    is_full: state.is_full,
                    is_read_only: state.is_read_only,
                };
                let (result, told) = engine::run(&call, &mut state.keyspace);
                drop(guard);
                for message in told {
                    self.tell(&message);
                }
                result.map_err(|refused| {
                    let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
                    (kind, "the script failed", refused).into()
                })
            }
            [name] if name == b"TIME" => {
                let now = self.state().tick((self.clock)());
                let part = |number: u64| Value::BulkString(number.to_string().into_bytes());
                Ok(Value::Array(vec![part(now / 1_000_000), part(now % 1_000_000)]))
            }
            other => panic!("unknown command {:?}", other.first().map(|name| text(name))),
        }
    }

    fn changed(&self, code: String) -> String {
        self.changes.iter().fold(code, |code, (before, after)| code.replace(before, after))
    }

    /// Sends a message to every subscriber, each with its own delay.
    fn tell(self: &Arc<Self>, message: &[u8]) {
        let subscribers = self.state().subscribers.clone();
        for (replica, subscriber) in subscribers.into_iter().enumerate() {
            let Some(subscriber) = subscriber else { continue };
            let (server, message) = (Arc::clone(self), message.to_vec());
            tokio::spawn(async move {
                if server.way(replica).await.is_some() {
                    // A replica that has reconnected does not receive it.
                    let _ = subscriber.send(message);
                }
            });
        }
    }

    /// Delays a message between a replica and the store; `None` if the message is lost.
    async fn way(&self, replica: usize) -> Option<()> {
        let (delay, is_lost) = {
            let mut state = self.state();
            let Weather { delay, loss } = state.weathers[replica];
            (state.rng.u64(0..=delay), state.rng.u32(0..100) < loss)
        };
        sleep(Duration::from_millis(delay)).await;
        (!is_lost).then_some(())
    }

    async fn running(&self) {
        while self.state().is_stopped {
            self.goes_on.notified().await;
        }
    }

    fn is_connected(&self, replica: usize, connection: u64) -> bool {
        let state = self.state();
        !state.is_gone && state.connections[replica] == connection
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The time for one script. No two scripts get the same time, unless the clock is stepped.
    fn tick(&mut self, clock: u64) -> u64 {
        let (before, told) = self.clock;
        let now = if clock < before { clock } else { clock.max(told + STEP) };
        self.clock = (clock, now);
        now
    }

    fn break_one(&mut self, replica: usize) {
        self.connections[replica] += 1;
        self.subscribers[replica] = None;
    }

    fn break_all(&mut self) {
        (0..self.connections.len()).for_each(|replica| self.break_one(replica));
    }
}

fn broken() -> RedisError {
    RedisError::from((ErrorKind::Io, "the connection broke"))
}

/// Keeps a replica waiting for a lost answer until it gives up.
async fn answered_never(mut answered: oneshot::Sender<RedisResult<Value>>) {
    answered.closed().await;
}
