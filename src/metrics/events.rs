//! The families of event streams and of notifications.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::MetricsError;
use super::labels::{HookResult, Label};
use super::maker::Maker;
use crate::domain::{CallerName, HookName};

/// The families of event streams and of notifications.
#[derive(Debug)]
pub(super) struct EventFamilies {
    streams: IntGaugeVec,
    sent: IntCounterVec,
    superseded: IntCounterVec,
    notifications: IntCounterVec,
}

/// The handles of one caller's event streams.
#[derive(Clone, Debug)]
pub struct StreamMetrics {
    streams: IntGauge,
    sent: IntCounter,
    superseded: IntCounter,
}

/// The handles of one hook.
#[derive(Debug)]
pub struct HookMetrics {
    notifications: [IntCounter; HookResult::ALL.len()],
}

impl EventFamilies {
    pub(super) fn new(make: &Maker<'_>) -> Result<Self, MetricsError> {
        Ok(Self {
            streams: make.gauges("event_streams", "Event streams of callers that are open.", &["caller"])?,
            sent: make.counters("events_sent_total", "Events written to callers.", &["caller"])?,
            superseded: make.counters(
                "events_superseded_total",
                "Snapshots that a newer one replaced before a slow caller took them.",
                &["caller"],
            )?,
            notifications: make.counters(
                "hook_notifications_total",
                "Notifications from providers.",
                &["hook", "result"],
            )?,
        })
    }

    pub(super) fn streams_of(&self, caller: &CallerName) -> StreamMetrics {
        let labels = &[caller.as_str()];
        StreamMetrics {
            streams: self.streams.with_label_values(labels),
            sent: self.sent.with_label_values(labels),
            superseded: self.superseded.with_label_values(labels),
        }
    }

    pub(super) fn hook(&self, hook: &HookName) -> HookMetrics {
        let counter =
            |result: HookResult| self.notifications.with_label_values(&[hook.as_str(), result.as_str()]);
        HookMetrics { notifications: HookResult::ALL.map(counter) }
    }
}

impl StreamMetrics {
    /// Notes that a stream has opened.
    pub fn opened(&self) {
        self.streams.inc();
    }

    /// Notes that a stream has closed.
    pub fn closed(&self) {
        self.streams.dec();
    }

    /// Counts an event that was written.
    pub fn sent(&self) {
        self.sent.inc();
    }

    /// Counts snapshots that a newer one replaced before they were written.
    pub fn superseded(&self, count: u64) {
        self.superseded.inc_by(count);
    }
}

impl HookMetrics {
    /// Counts a notification.
    pub fn notified(&self, result: HookResult) {
        self.notifications[result as usize].inc();
    }
}
