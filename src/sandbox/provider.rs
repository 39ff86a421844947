//! The Rust API of a simulated provider: start, change, add faults, inspect, stop.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    calls::Call,
    clock,
    credentials::Credentials,
    fault::Fault,
    kind::Kind,
    script::Script,
    server,
    state::{State, Timestamp},
    webhook::{Webhook, notify},
};

/// A running simulated provider; dropping it stops the server and closes its connections.
#[derive(Debug)]
pub struct SimulatedProvider {
    state: Arc<State>,
    address: SocketAddr,
    tasks: TaskTracker,
    stopped: CancellationToken,
    stop: DropGuard,
}

impl SimulatedProvider {
    /// Starts a provider on a free loopback port.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound.
    pub async fn start(kind: Kind) -> io::Result<Self> {
        Self::start_at(kind, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Starts a provider at this address; port 0 means a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    #[expect(clippy::unused_async, reason = "async tells that a runtime is needed")]
    pub async fn start_at(kind: Kind, address: SocketAddr) -> io::Result<Self> {
        let listener = server::bind(address)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(kind));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accept = server::accept(listener, Arc::clone(&state), stop.clone(), tasks.clone());
        tasks.spawn(accept);
        Ok(Self { state, address, tasks, stopped: stop.clone(), stop: stop.drop_guard() })
    }

    /// Stops the provider and returns once its port is closed and every connection has ended.
    /// Dropping does the same without waiting.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Returns the base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Returns the kind of provider that is simulated.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.state.kind
    }

    /// Returns the accepted credentials.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.state.credentials.clone()
    }

    /// Sets a field of a balance to raw JSON text, which is sent verbatim. For `pluggo`, a missing
    /// currency is added; the other kinds ignore currency and type. The provider's timestamp, by its
    /// field name, is set for all balances.
    pub fn set_field(&self, currency: &str, r#type: Option<&str>, field: &str, raw_json: &str) {
        if self.state.is_timestamp(field) {
            return self.set_timestamp(Some(raw_json.to_owned()));
        }
        let mut changing = self.state.lock();
        if let Some(balance) = changing.book.find_or_add(Some(currency), r#type) {
            balance.fields.set(field, raw_json);
        }
        drop(changing);
        self.state.changed.notify_one();
    }

    /// Sends notifications from now on, until the provider stops.
    pub fn notify(&self, webhook: Webhook) {
        let (state, stopped) = (Arc::clone(&self.state), self.stopped.clone());
        self.tasks.spawn(async move {
            stopped.run_until_cancelled(notify(state, webhook)).await;
        });
    }

    /// Removes a field of a balance, if it exists.
    pub fn remove_field(&self, currency: &str, r#type: Option<&str>, field: &str) {
        let mut changing = self.state.lock();
        if self.state.is_timestamp(field) {
            changing.settings.timestamp = Timestamp::Missing;
        } else if let Some(balance) = changing.book.find_mut(Some(currency), r#type) {
            balance.fields.remove(field);
        }
    }

    /// Sets the provider's timestamp to raw JSON text; `None` means the current time again.
    pub fn set_timestamp(&self, raw_json: Option<String>) {
        self.state.lock().settings.timestamp = raw_json.map_or(Timestamp::Now, Timestamp::Fixed);
    }

    /// Sets the requests and answers of a declared kind.
    pub fn set_script(&self, script: Script) {
        self.state.lock().script = script;
    }

    /// Returns the name of the provider's kind; for a declared kind, the name in the script.
    #[must_use]
    pub fn kind_name(&self) -> String {
        match self.state.kind {
            Kind::Declared => self.state.lock().script.name.clone(),
            kind => kind.as_str().to_owned(),
        }
    }

    /// Adds a fault to the end of the queue.
    pub fn queue(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Ends the delay of all delayed calls.
    pub fn end_delays(&self) {
        self.state.delays_ended.send_replace(());
    }

    /// Drops all waiting faults.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Returns the received calls, oldest first, including those without an answer.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.to_vec()
    }

    /// Clears the call log.
    pub fn clear_calls(&self) {
        self.state.lock().calls.clear();
    }

    /// Waits until the log has at least this many calls, answered or not.
    pub async fn wait_for_calls(&self, count: usize) {
        loop {
            // Registered before reading the log, so that no call is missed.
            let mut arrival = std::pin::pin!(self.state.arrivals.notified());
            arrival.as_mut().enable();
            if self.state.lock().calls.len() >= count {
                return;
            }
            arrival.await;
        }
    }

    /// Sets the announced and enforced life of tokens, instead of the documented one.
    pub fn set_token_life(&self, seconds: u64) {
        self.state.lock().settings.token_life_seconds = Some(seconds);
    }

    /// Sets whether balances change by some minor units at each call; off at the start.
    pub fn set_drift(&self, on: bool) {
        self.state.lock().settings.drift = on;
    }

    /// Sets whether `/api/auth/token` requires a certificate header; off at the start.
    pub fn require_certificate(&self, on: bool) {
        self.state.lock().settings.require_certificate = on;
    }

    /// Accepts a second client secret, as at the start of a rotation.
    pub fn accept_secret(&self, secret: &str) {
        self.state.lock().secrets.push(secret.to_owned());
    }

    /// Refuses a client secret from now on, as at the end of a rotation.
    pub fn refuse_secret(&self, secret: &str) {
        self.state.lock().secrets.retain(|accepted| accepted != secret);
    }

    /// Accepts this token, too. It does not expire.
    pub fn accept_token(&self, token: &str) {
        self.state.lock().tokens.add_external(token, clock::now());
    }

    /// Refuses a token.
    pub fn refuse_token(&self, token: &str) {
        self.state.lock().tokens.revoke(token);
    }

    /// Refuses all issued tokens from now on; the fixed one stays valid.
    pub fn expire_tokens(&self) {
        self.state.lock().tokens.revoke_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::{
        super::{FaultKind, Operation},
        *,
    };

    /// Long enough for a loaded machine; no test waits for its end.
    const TEST_TIMEOUT: Duration = Duration::from_secs(10);

    async fn connect(provider: &SimulatedProvider) -> TcpStream {
        TcpStream::connect(provider.addr()).await.unwrap()
    }

    async fn send(stream: &mut TcpStream, start: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("{start} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.extend(["\r\n", body]);
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads one answer and leaves the connection open.
    async fn receive(stream: &mut TcpStream) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let byte = timeout(TEST_TIMEOUT, stream.read_u8()).await.unwrap().unwrap();
            head.push(char::from(byte));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        let read = timeout(TEST_TIMEOUT, stream.read_exact(&mut body)).await;
        read.unwrap().unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    async fn ask(
        provider: &SimulatedProvider,
        start: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let mut stream = connect(provider).await;
        send(&mut stream, start, headers, body).await;
        receive(&mut stream).await
    }

    #[tokio::test]
    async fn a_token_is_issued_and_used_on_one_connection() {
        let provider = SimulatedProvider::start(Kind::Avista).await.unwrap();
        let credentials = provider.credentials();
        let pair = json!({
            "clientId": credentials.client_id,
            "clientSecret": credentials.client_secret,
        })
        .to_string();
        let mut stream = connect(&provider).await;

        let json = [("Content-Type", "application/json")];
        send(&mut stream, "POST /api/auth/token", &json, &pair).await;
        let (token_status, body) = receive(&mut stream).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
        send(&mut stream, "GET /api/balance", &[("Authorization", &bearer)], "").await;
        let (balance_status, balance) = receive(&mut stream).await;

        assert_eq!((token_status, balance_status), (201, 200));
        assert!(balance.starts_with(r#"{"grossBalance":20150.35,"#));
        let calls = provider.calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[0].operation, Operation::Token);
        assert_eq!(calls[0].body, pair);
        assert_eq!(calls[0].status, Some(201));
        assert_eq!(calls[1].operation, Operation::Balance);
        assert_eq!(calls[1].header("authorization"), Some(bearer.as_str()));
        assert!(calls[0].instant <= calls[1].instant);
    }

    #[tokio::test]
    async fn the_log_has_the_time_of_each_answer() {
        let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
        provider.queue(Fault::on_balance(FaultKind::Delay { ms: 50 }));
        let bearer = format!("Bearer {}", provider.credentials().token);

        ask(&provider, "GET /api/balance", &[("Authorization", &bearer)], "").await;

        let call = provider.calls().remove(0);
        assert!(call.answered_at.unwrap() >= call.instant + Duration::from_millis(50), "{call:?}");
    }

    #[tokio::test]
    async fn a_token_with_a_life_of_zero_is_refused() {
        let provider = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
        provider.set_token_life(0);
        let credentials = provider.credentials();
        let pair = format!(
            r#"{{"clientId":"{}","clientSecret":"{}"}}"#,
            credentials.client_id, credentials.client_secret
        );

        let json = [("content-type", "application/json")];
        let (_, body) = ask(&provider, "POST /api/auth/token", &json, &pair).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let bearer = format!("bearer {}", body["access_token"].as_str().unwrap());
        let authorization = [("Authorization", bearer.as_str())];
        let (status, _) = ask(&provider, "GET /balance", &authorization, "").await;

        assert_eq!(body["expires_in"], 0);
        assert_eq!(status, 401);
    }

    #[tokio::test]
    async fn pluggo_requires_both_headers_on_every_call() {
        let provider = SimulatedProvider::start(Kind::Pluggo).await.unwrap();
        let credentials = provider.credentials();
        let key = ("X-Api-Key", credentials.api_key.as_str());
        let token = ("X-Token", credentials.session_token.as_str());

        let start = "GET /api/balance?currency=BTC&type=CRYPTO";
        let without = ask(&provider, start, &[key], "").await;
        let with = ask(&provider, start, &[key, token], "").await;
        let elsewhere = ask(&provider, "GET /api/auth/token", &[], "").await;

        assert_eq!((without.0, with.0, elsewhere.0), (401, 200, 401));
        assert!(with.1.contains(r#""balance":0.12345678,"#));
    }

    #[tokio::test]
    async fn control_calls_have_no_fault_and_are_not_logged() {
        let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
        provider.queue(Fault::on_any(FaultKind::Reset));

        let fault = r#"{"on":"balance","kind":"status","status":500}"#;
        let queued = ask(&provider, "POST /_sandbox/faults", &[], fault).await;
        let calls = ask(&provider, "GET /_sandbox/calls", &[], "").await;

        assert_eq!(queued, (200, r#"{"queued":2}"#.to_owned()));
        assert_eq!(calls, (200, "[]".to_owned()));
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();

        assert_eq!(ask(&provider, "GET /api/extract", &[], "").await.0, 404);
        assert_eq!(ask(&provider, "POST /api/balance", &[], "").await.0, 405);
        assert_eq!(ask(&provider, "GET /oauth/token", &[], "").await.0, 405);
        let unframed = [("Transfer-Encoding", "chunked")];
        assert_eq!(ask(&provider, "POST /oauth/token", &unframed, "").await.0, 411);
    }

    #[tokio::test]
    async fn a_head_has_a_size_limit() {
        let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
        let mut stream = connect(&provider).await;

        let endless = "x".repeat(64 * 1024);
        stream.write_all(format!("GET /{endless}").as_bytes()).await.unwrap();

        assert_eq!(receive(&mut stream).await.0, 431);
        assert!(provider.calls().is_empty());
    }

    #[tokio::test]
    async fn a_call_is_logged_before_it_is_answered() {
        let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
        provider.queue(Fault::on_balance(FaultKind::StallHead));
        let mut stream = connect(&provider).await;

        send(&mut stream, "GET /api/balance", &[], "").await;
        timeout(TEST_TIMEOUT, provider.wait_for_calls(1)).await.unwrap();

        let calls = provider.calls();
        assert_eq!(calls[0].fault, Some("stall_head"));
        assert_eq!(calls[0].status, None);
    }

    #[tokio::test]
    async fn a_stopped_provider_closes_its_port_and_connections() {
        let provider = SimulatedProvider::start(Kind::NtxpayBr).await.unwrap();
        let address = provider.addr();
        provider.queue(Fault::on_balance(FaultKind::StallHead));
        let mut stream = connect(&provider).await;
        send(&mut stream, "GET /api/balance", &[], "").await;
        timeout(TEST_TIMEOUT, provider.wait_for_calls(1)).await.unwrap();

        timeout(TEST_TIMEOUT, provider.stop()).await.unwrap();

        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
        let again = SimulatedProvider::start_at(Kind::NtxpayBr, address).await;
        assert_eq!(again.unwrap().addr(), address);
    }

    #[tokio::test]
    async fn many_callers_are_served_at_once() {
        let provider = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
        let bearer = format!("Bearer {}", provider.credentials().token);
        let mut streams = Vec::new();
        for _ in 0..400 {
            streams.push(connect(&provider).await);
        }

        for stream in &mut streams {
            send(stream, "GET /api/balance", &[("Authorization", &bearer)], "").await;
        }
        for stream in &mut streams {
            assert_eq!(receive(stream).await.0, 200);
        }

        assert_eq!(provider.calls().len(), 400);
    }

    #[tokio::test]
    async fn a_drifting_balance_keeps_its_format() {
        let provider = SimulatedProvider::start(Kind::NtxpayMx).await.unwrap();
        provider.set_drift(true);
        let bearer = format!("Bearer {}", provider.credentials().token);
        let mut seen = std::collections::HashSet::new();

        for _ in 0..50 {
            let headers = [("Authorization", bearer.as_str())];
            let (_, body) = ask(&provider, "GET /api/balance", &headers, "").await;
            let body: Value = serde_json::from_str(&body).unwrap();
            seen.insert(body["availableCentavos"].as_u64().unwrap());
        }

        assert!(seen.len() > 1);
    }
}
