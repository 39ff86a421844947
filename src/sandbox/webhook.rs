//! Notifications that a balance has changed, as the providers send them: with Basic authentication for the Brazilian
//! platform, with a signature for Mexico. Pluggo and declared kinds document no notifications, and use Basic
//! authentication here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::drift::{Change, drift};
use super::kind::Kind;
use super::state::State;

/// The user of Basic authentication.
pub const WEBHOOK_USER: &str = "sandbox";
/// The time between two changes while the amounts drift.
const DRIFT_INTERVAL: Duration = Duration::from_secs(15);
/// The amounts drift only if a balance was requested within this time.
const RECENT: Duration = Duration::from_mins(1);
/// The pause before each further attempt.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];
/// The time-out of one attempt; the providers use the same.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The receiver of notifications, and their secret.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The receiver.
    pub address: SocketAddr,
    /// The path at the receiver.
    pub path: String,
    /// The password of Basic authentication, or the key of the signature.
    pub secret: String,
}

/// Sends a notification after each change. While the amounts drift, it also changes them itself.
pub(super) async fn notify(state: Arc<State>, webhook: Webhook) {
    loop {
        let changed = state.changed.notified();
        if timeout(DRIFT_INTERVAL, changed).await.is_err() && !move_amounts(&state) {
            continue;
        }
        let (kind, webhook) = (state.kind, webhook.clone());
        tokio::spawn(async move { deliver(kind, &webhook).await });
    }
}

/// Changes the first balance a little; false if drift is off, or if no balance was requested recently.
fn move_amounts(state: &State) -> bool {
    let mut changing = state.lock();
    let changing = &mut *changing;
    if !changing.settings.drift || !changing.calls.has_balance_call_within(RECENT) {
        return false;
    }
    let change = Change::random(&mut changing.random);
    if let Some(balance) = changing.book.find_mut(None, None) {
        drift(state.kind, balance, change);
    }
    true
}

/// Sends one notification until the receiver accepts it, or all attempts have failed.
async fn deliver(kind: Kind, webhook: &Webhook) {
    let id = format!("{:032x}", fastrand::u128(..));
    let request = request(kind, webhook, &id);
    repeat(|| async {
        let sent = timeout(TIMEOUT, send(webhook.address, &request)).await;
        matches!(sent, Ok(Ok(true)))
    })
    .await;
}

/// Repeats an attempt until it succeeds, or all attempts have failed.
async fn repeat<F: Future<Output = bool>>(attempt: impl Fn() -> F) {
    for pause in std::iter::once(Duration::ZERO).chain(RETRIES) {
        sleep(pause).await;
        if attempt().await {
            return;
        }
    }
}

async fn send(address: SocketAddr, request: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 2"))
}

fn request(kind: Kind, webhook: &Webhook, id: &str) -> String {
    let body = body(kind, id);
    let proof = match kind {
        Kind::NtxpayMx => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, webhook.secret.as_bytes());
            let tag = hmac::sign(&key, body.as_bytes());
            let hex: Vec<String> = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("X-NTXPay-Signature: sha256={}\r\nx-event-id: {id}", hex.concat())
        }
        Kind::NtxpayBr | Kind::Avista | Kind::Pluggo | Kind::Declared => {
            let pair = STANDARD.encode(format!("{WEBHOOK_USER}:{}", webhook.secret));
            format!("Authorization: Basic {pair}")
        }
    };
    let Webhook { address, path, .. } = webhook;
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{proof}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The documented body. The gateway ignores its content.
fn body(kind: Kind, id: &str) -> String {
    let body = match kind {
        Kind::NtxpayMx => serde_json::json!({
            "event": "transaction.cash_in.settled", "transactionId": id, "status": "settled",
            "currency": "MXN",
        }),
        Kind::NtxpayBr | Kind::Avista | Kind::Pluggo | Kind::Declared => serde_json::json!({
            "event": "cash_in", "status": "CONFIRMED", "transactionType": "PIX",
            "movementType": "CREDIT", "transactionId": id,
        }),
    };
    body.to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn each_kind_authenticates_its_notifications_as_documented() {
        let webhook = Webhook {
            address: ([127, 0, 0, 1], 1).into(),
            path: "/hooks/x".to_owned(),
            secret: "s3cret".to_owned(),
        };

        let brazil = request(Kind::NtxpayBr, &webhook, "1");
        let mexico = request(Kind::NtxpayMx, &webhook, "1");

        assert!(brazil.contains("\r\nAuthorization: Basic c2FuZGJveDpzM2NyZXQ=\r\n"), "{brazil}");
        assert!(mexico.contains("\r\nX-NTXPay-Signature: sha256="), "{mexico}");
        assert!(mexico.contains("\r\nx-event-id: 1\r\n"), "{mexico}");
        for request in [brazil, mexico] {
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_notification_that_nobody_accepts_is_sent_four_times() {
        let start = Instant::now();
        let sent = Mutex::new(Vec::new());

        repeat(|| async {
            sent.lock().unwrap().push(start.elapsed().as_secs());
            false
        })
        .await;

        assert_eq!(*sent.lock().unwrap(), [0, 1, 6, 21]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_notification_is_not_sent_again() {
        let sent = Mutex::new(0);

        repeat(|| async {
            *sent.lock().unwrap() += 1;
            *sent.lock().unwrap() == 2
        })
        .await;

        assert_eq!(*sent.lock().unwrap(), 2);
    }
}
