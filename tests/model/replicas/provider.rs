//! The provider in memory, and each replica's path to it: the upstream that ships, over a transport without sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{AGE, HeaderMap};

use super::chance::DEADLINE;
use super::log::{Log, What};
use super::schedule::{BALANCES, Ending, Reply, Terms};
use crate::alone::clock;
use balance_gateway::domain::{
    AccountName, Amount, Answer, BodyError, Clock, Currency, Failure, MaxAge, ObservedAt, ParseError,
    Priority, ProviderName, ReadRequest, Reading, Selector, UpstreamError,
};
use balance_gateway::gateway::BalanceSource;
use balance_gateway::metrics::{Metrics, Operation};
use balance_gateway::providers::{
    Adapter, Authorisation, Provider as AdapterOfAProvider, RequestError, Scheme,
};
use balance_gateway::shared::{Shared, SharedAccountSettings, SharedBreakerSettings};
use balance_gateway::upstream::{
    BreakerSettings, BudgetSettings, ClientSettings, Credential, ProviderSettings, Response, Sending,
    Transport, Upstream, UpstreamProvider, UpstreamSettings,
};

/// Failures in a row that open the breaker, and for how long.
pub(crate) const BREAKER: BreakerSettings = BreakerSettings { failures: 3, cooldown: Duration::from_secs(5) };

#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) log: Log,
    replies: Vec<Reply>,
    reads: AtomicUsize,
    ended: AtomicUsize,
    calls: AtomicUsize,
    /// The read of each replica and balance that runs, or ran last.
    current: Mutex<Vec<[Option<usize>; BALANCES]>>,
}

/// One replica's path to the provider.
#[derive(Debug)]
struct Wire {
    replica: usize,
    provider: Arc<Provider>,
}

/// One caller's path to one balance.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) replica: usize,
    pub(crate) balance: usize,
    pub(crate) caller: usize,
}

impl Provider {
    pub(crate) fn new(replies: Vec<Reply>, replicas: usize) -> Self {
        let zero = || AtomicUsize::new(0);
        let current = Mutex::new(vec![[None; BALANCES]; replicas]);
        Self { log: Log::default(), replies, reads: zero(), ended: zero(), calls: zero(), current }
    }

    /// Whether a read runs.
    pub(crate) fn is_reading(&self) -> bool {
        self.reads.load(Ordering::Relaxed) > self.ended.load(Ordering::Relaxed)
    }

    /// Begins the read of a call that no caller's lookup caused.
    fn begin_behind(&self, replica: usize, balance: usize) -> usize {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        self.log.write(What::Begun { read, by: None, replica, balance, priority: Priority::Background });
        read
    }

    fn current(&self) -> MutexGuard<'_, Vec<[Option<usize>; BALANCES]>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The upstream of one replica.
pub(crate) fn upstream(
    provider: &Arc<Provider>,
    (replica, clock): (usize, Clock),
    (shared, metrics): (&Arc<Shared>, &Metrics),
    terms: Terms,
    max_age: MaxAge,
) -> Arc<Upstream> {
    let (name, account) = (ProviderName::parse("p").unwrap(), AccountName::parse("a").unwrap());
    let deadline = clock::duration(DEADLINE);
    let settings = ProviderSettings {
        name: name.clone(),
        adapter: Adapter::BuiltIn(&Words),
        balance_endpoint: "http://provider/balance".to_owned(),
        token_endpoint: String::new(),
        client: ClientSettings {
            connect_timeout: Duration::from_millis(1),
            proxy: None,
            extra_ca: None,
            identity: None,
        },
        attempt_timeout: deadline,
        deadline,
        retries: 1,
        max_concurrency: 32,
        budget: BudgetSettings { requests: terms.requests, per: clock::duration(terms.per) },
        breaker: BREAKER,
    };
    let breaker = SharedBreakerSettings {
        failures: BREAKER.failures,
        cooldown: BREAKER.cooldown,
        attempt: settings.attempt_timeout,
    };
    let wire = Arc::new(Wire { replica, provider: Arc::clone(provider) });
    let handles = metrics.provider(&name);
    let provider = Arc::new(UpstreamProvider::over(
        wire,
        clock,
        settings,
        Some(shared.breaker(&name, breaker)),
        handles,
    ));
    let keys: Vec<_> = (0..BALANCES).map(super::world::key).collect();
    let in_store = SharedAccountSettings {
        balances: &keys,
        answers_all_balances: false,
        per: clock::duration(terms.per),
    };
    Arc::new(Upstream::new(UpstreamSettings {
        shared: Some(shared.account(&account, in_store)),
        is_enabled: true,
        account,
        provider,
        credential: Credential::Static(Authorisation::Bearer("the only one".into())),
        selectors: (0..BALANCES).map(super::world::selector).collect(),
        max_age,
    }))
}

impl BalanceSource for Asking {
    fn read(&self, request: ReadRequest) -> impl Future<Output = Answer> + Send + 'static + use<> {
        let asking = self.clone();
        async move {
            let Self { upstream, provider, replica, balance, caller } = asking;
            let read = provider.reads.fetch_add(1, Ordering::Relaxed);
            provider.current()[replica][balance] = Some(read);
            let priority = request.priority;
            provider.log.write(What::Begun { read, by: Some(caller), replica, balance, priority });
            let mut running =
                Running { provider: &provider, place: Some((replica, balance)), read, how: None };
            let answer = upstream.read(balance, request).await;
            running.how = Some((answer.turn.map(|turn| turn.number), answer.result.as_ref().err().copied()));
            drop(running);
            answer
        }
    }

    fn note_refused_by_hold(&self) {}
}

impl Transport for Wire {
    fn send(&self, _: Operation, request: http::Request<Vec<u8>>, timeout: Duration) -> Sending<'_> {
        let balance =
            (0..BALANCES).find(|balance| request.uri().query() == Some(super::world::CODES[*balance]));
        let balance = balance.expect("every balance has its own query");
        Box::pin(async move {
            let Self { replica, provider } = self;
            let call = provider.calls.fetch_add(1, Ordering::Relaxed);
            let known = provider.current()[*replica][balance];
            let read = known.unwrap_or_else(|| provider.begin_behind(*replica, balance));
            let mut behind =
                known.is_none().then(|| Running { provider, place: None, read, how: Some((None, None)) });
            provider.log.write(What::Called { call, read });
            let reply = &provider.replies[call % provider.replies.len()];
            let takes = clock::duration(reply.takes);
            tokio::time::sleep(takes.min(timeout)).await;
            if reply.ending == Ending::Panic && takes < timeout {
                let brought = Err(UpstreamError::Defect);
                provider.log.write(What::Replied { call, brought });
                // Does not run the panic hook, which would print a report each time.
                std::panic::resume_unwind(Box::new("a read that panics"));
            }
            let result = if takes < timeout { outcome(call, reply) } else { Err(UpstreamError::Timeout) };
            provider.log.write(What::Replied { call, brought: result.clone() });
            if let (Some(behind), Err(error)) = (&mut behind, &result) {
                let failure = Failure { error: *error, retry_at: None, is_held: false, was_called: true };
                behind.how = Some((None, Some(failure)));
            }
            drop(behind);
            let (amount, age) = result?;
            let mut headers = HeaderMap::new();
            if age > 0 {
                headers.insert(AGE, (age / clock::SECOND).into());
            }
            Ok(Response { headers, body: amount.as_bytes().into() })
        })
    }
}

/// The result of a call: a different amount each time, sometimes with digits that a float would lose.
fn outcome(call: usize, reply: &Reply) -> Result<(String, clock::Ms), UpstreamError> {
    match reply.ending {
        Ending::Success { age } => {
            let decimals = ["00", "90", "12345678"][call % 3];
            Ok((format!("{call}.{decimals}"), age))
        }
        Ending::Failure(error) => Err(error),
        Ending::Panic => Err(UpstreamError::Defect),
    }
}

/// Logs that a read has ended, for whatever reason.
struct Running<'a> {
    provider: &'a Provider,
    /// Where calls count as this read's.
    place: Option<(usize, usize)>,
    read: usize,
    how: Option<(Option<u64>, Option<Failure>)>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.provider.ended.fetch_add(1, Ordering::Relaxed);
        if let Some((replica, balance)) = self.place {
            self.provider.current()[replica][balance] = None;
        }
        let (number, error) = match self.how {
            Some((number, failure)) => (number, failure.map(|failure| failure.error)),
            None => (None, Some(UpstreamError::Defect)),
        };
        self.provider.log.write(What::Ended { read: self.read, number, error });
    }
}

/// The adapter of the model: the body is the amount.
struct Words;

impl AdapterOfAProvider for Words {
    fn kind(&self) -> &'static str {
        "model"
    }

    fn default_base_url(&self) -> Option<&'static str> {
        None
    }

    fn scheme(&self) -> Scheme {
        Scheme::Token
    }

    fn only_currency(&self) -> Option<Currency> {
        None
    }

    fn reports_total(&self) -> bool {
        false
    }

    fn request(
        &self,
        endpoint: &str,
        selector: &Selector,
        _: &Authorisation,
    ) -> Result<http::Request<Vec<u8>>, RequestError> {
        let currency = selector.currency.as_ref().map_or("", Currency::as_str);
        let request = http::Request::get(format!("{endpoint}?{currency}")).body(Vec::new());
        Ok(request.expect("a currency's code makes a URL"))
    }

    fn parse(&self, body: &[u8], selector: &Selector) -> Result<Reading, BodyError> {
        let unreadable = || BodyError::Invalid(ParseError { field: "body", problem: "no amount" });
        let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
        let currency = selector.currency.ok_or_else(unreadable)?;
        let available = Amount::parse(text, currency).map_err(|_| unreadable())?;
        Ok(Reading {
            available,
            blocked: None,
            reserved: None,
            processing: None,
            total: None,
            reported: Vec::new(),
            observed_at: ObservedAt::Undocumented,
        })
    }
}
