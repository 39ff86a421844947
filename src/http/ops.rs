//! The operations side: probes, metrics and the state for people. Never reachable through the API's port.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::{Api, Live};
use crate::domain::{BalanceType, Currency};
use crate::gateway::Status;
use crate::metrics::{Family, Metrics, Samples};
use crate::shutdown::Shutdown;

/// What the operations side shows.
pub struct Ops {
    /// Whose state is shown.
    pub api: Live<Api>,
    /// The metrics page.
    pub metrics: Arc<Metrics>,
    /// Whether the gateway is ready.
    pub shutdown: Shutdown,
    /// Counts log lines that were dropped.
    pub dropped_log_lines: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// The routes of the operations side.
pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(Arc::new(ops))
}

/// Ready while not draining; a provider's state has no say in it.
async fn ready(State(ops): State<Arc<Ops>>) -> (StatusCode, &'static str) {
    if ops.shutdown.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn status(State(ops): State<Arc<Ops>>) -> Json<Status> {
    Json(ops.api.current().gateway().status().await)
}

async fn metrics(State(ops): State<Arc<Ops>>) -> Response {
    let status = ops.api.current().gateway().status().await;
    // Collecting a histogram spins while an observation is half done: not on a worker that serves callers.
    let page = tokio::task::spawn_blocking(move || {
        let mut samples = samples(&status);
        #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
        samples.add(Family::LogLinesDropped, &[], (ops.dropped_log_lines)() as f64);
        ops.metrics.render(samples)
    });
    match page.await {
        Ok(page) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The gauges that mirror the state. What is not known has no sample.
#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn samples(status: &Status) -> Samples {
    let seconds = |instant: jiff::Timestamp| instant.as_millisecond() as f64 / 1000.0;
    let mut samples = Samples::default();
    for provider in &status.providers {
        let name = provider.provider.as_str();
        samples.add(Family::UpstreamInFlight, &[name], provider.in_flight as f64);
        samples.add(Family::BreakerState, &[name], f64::from(provider.breaker_level));
    }
    for account in &status.accounts {
        let name = account.account.as_str();
        samples.add(Family::BudgetLimit, &[name], f64::from(account.budget_limit));
        samples.add(Family::BudgetRemaining, &[name], f64::from(account.budget_remaining));
        samples.add(Family::CredentialRejected, &[name], f64::from(u8::from(account.credential_rejected)));
        if let Some(expiry) = account.token_expires_at {
            samples.add(Family::TokenExpiry, &[name], seconds(expiry));
        }
        for balance in &account.balances {
            let currency = balance.currency.as_ref().map_or("", Currency::as_str);
            let r#type = balance.r#type.as_ref().map_or("", BalanceType::as_str);
            if let Some(requested_at) = balance.requested_at {
                samples.add(Family::SnapshotTimestamp, &[name, currency, r#type], seconds(requested_at));
            }
        }
    }
    samples
}
