//! The operations port: probes, metrics, and the state as JSON and as a page. The api port never serves these paths.

mod gauges;
mod page;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::gateway::Status;
use crate::http::state::Api;
use crate::live::Live;
use crate::metrics::{Family, Metrics};
use crate::shutdown::Shutdown;

/// The parts of the gateway that the operations port shows.
pub struct Ops {
    /// The gateway whose state is shown.
    pub api: Live<Api>,
    /// The metrics for Prometheus.
    pub metrics: Arc<Metrics>,
    /// Whether the gateway is ready.
    pub shutdown: Shutdown,
    /// Returns the number of log lines dropped so far.
    pub dropped_log_lines: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// The routes of the operations port.
pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(Arc::new(ops))
}

/// Ready while not draining; the state of providers does not matter.
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

/// The state as a page for people.
async fn overview(State(ops): State<Arc<Ops>>) -> Response {
    let api = ops.api.current();
    let instance = page::Instance {
        is_draining: ops.shutdown.is_draining(),
        replicas: api.replicas,
        is_sharing: ops.metrics.is_sharing(),
        rejected_reloads: ops.metrics.rejected_reloads(),
    };
    page::answer(&api.gateway().status().await, &instance, api.gateway().now().wall)
}

async fn metrics(State(ops): State<Arc<Ops>>) -> Response {
    let api = ops.api.current();
    let status = api.gateway().status().await;
    // Collecting a histogram spins during a concurrent observation, so it must not run on a worker that serves callers.
    let page = tokio::task::spawn_blocking(move || {
        let mut samples = gauges::of(&status, api.shows_balances);
        #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
        samples.add(Family::LogLinesDropped, &[], (ops.dropped_log_lines)() as f64);
        ops.metrics.render(samples)
    });
    match page.await {
        Ok(page) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
