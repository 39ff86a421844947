//! The state of one simulated provider. One lock guards everything that changes, so the position of a call in the log
//! and its fault are decided together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::{
    book::{Book, quote},
    calls::{Call, CallId, CallLog},
    clock,
    credentials::{Credentials, Tokens},
    fault::{FaultKind, FaultQueue},
    http::Head,
    kind::Kind,
    script::Script,
};

/// One simulated provider, shared by its connections.
#[derive(Debug)]
pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) credentials: Credentials,
    /// Notified of every logged call.
    pub(super) arrivals: Notify,
    /// Notified when a balance is set.
    pub(super) changed: Notify,
    /// Notified to end the delays of all delayed calls.
    pub(super) delays_ended: watch::Sender<()>,
    // A std mutex fits: critical sections are short and never await.
    changing: Mutex<Changing>,
}

/// The part of the state that changes.
#[derive(Debug)]
pub(super) struct Changing {
    pub(super) book: Book,
    pub(super) calls: CallLog,
    pub(super) faults: FaultQueue,
    pub(super) tokens: Tokens,
    pub(super) settings: Settings,
    /// The requests and answers of a declared kind.
    pub(super) script: Script,
    /// The accepted client secrets.
    pub(super) secrets: Vec<String>,
    pub(super) random: fastrand::Rng,
}

/// The behaviour of the provider without faults.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// The announced and enforced life in seconds; `None` means the documented life.
    pub(super) token_life_seconds: Option<u64>,
    pub(super) drift: bool,
    pub(super) require_certificate: bool,
    pub(super) timestamp: Timestamp,
}

/// The provider's own timestamp in a balance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Timestamp {
    /// The time of the call.
    #[default]
    Now,
    /// Raw JSON, verbatim.
    Fixed(String),
    /// The field is missing.
    Missing,
}

impl State {
    pub(super) fn new(kind: Kind) -> Self {
        let credentials = Credentials::generate();
        Self {
            kind,
            arrivals: Notify::new(),
            changed: Notify::new(),
            delays_ended: watch::Sender::new(()),
            changing: Mutex::new(Changing {
                book: Book::of(kind),
                calls: CallLog::default(),
                faults: FaultQueue::default(),
                tokens: Tokens::default(),
                settings: Settings::default(),
                script: Script::default(),
                secrets: vec![credentials.client_secret.clone()],
                random: fastrand::Rng::new(),
            }),
            credentials,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Changing> {
        // No critical section leaves the state half changed, so a poisoned lock is harmless.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a call whose head is complete, and takes its fault from the queue.
    pub(super) fn enter_call(&self, head: &Head) -> (CallId, Option<FaultKind>) {
        let mut changing = self.lock();
        let operation = match self.kind {
            Kind::Declared => changing.script.operation(&head.path),
            kind => kind.operation(&head.path),
        };
        let fault = changing.faults.take(operation);
        let call = Call::new(head, operation, fault.as_ref().map(FaultKind::name));
        let id = changing.calls.enter(call);
        drop(changing);
        self.arrivals.notify_waiters();
        (id, fault)
    }

    /// Changes a call, if it is still in the log.
    pub(super) fn complete_call(&self, id: CallId, complete: impl FnOnce(&mut Call)) {
        if let Some(call) = self.lock().calls.find_mut(id) {
            complete(call);
        }
    }

    pub(super) fn is_timestamp(&self, field: &str) -> bool {
        self.kind.timestamp_field() == Some(field)
    }
}

impl Timestamp {
    /// The value to send, as raw JSON.
    pub(super) fn raw(&self) -> Option<String> {
        match self {
            Self::Now => Some(quote(&clock::timestamp())),
            Self::Fixed(raw) => Some(raw.clone()),
            Self::Missing => None,
        }
    }
}
