//! The usual `process_*` metrics, with one mended: prometheus counts processor time in whole seconds, which turns
//! `rate()` into a staircase.

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Counter, MetricFamily};

use super::MetricsError;

/// The unit of `/proc/self/stat`: `USER_HZ` is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A registry with nothing but `process_*`.
pub(super) fn registry() -> Result<Registry, MetricsError> {
    let registry = Registry::new();
    registry.register(Box::new(Process(ProcessCollector::for_self())))?;
    Ok(registry)
}

struct Process(ProcessCollector);

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        let cpu = families.iter_mut().find(|family| family.name() == "process_cpu_seconds_total");
        if let Some((family, seconds)) = cpu.zip(cpu_seconds()) {
            let mut counter = Counter::default();
            counter.set_value(seconds);
            let mut metric = prometheus::proto::Metric::default();
            metric.set_counter(counter);
            family.set_metric(vec![metric]);
        }
        families
    }
}

fn cpu_seconds() -> Option<f64> {
    parse_cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 14 and 15 (user and system ticks); the name in field 2 may hold spaces and brackets.
fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_keeps_its_fraction() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 3 0 100 1 1 1";

        assert_eq!(parse_cpu_seconds(stat), Some(1.68));
    }
}
