//! The usual `process_*` metrics with their usual help texts, read from `/proc` at each scrape. A value that cannot be
//! read is left out.

use std::collections::HashMap;
use std::fs;

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::MetricsError;
use super::sample::sample;

/// The unit of `/proc/self/stat`: `USER_HZ` is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// The unit of `/proc/self/status`, which says "kB" and means KiB.
const KIB: f64 = 1024.0;

/// One metric and the function that reads its value.
struct ProcessMetric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: fn() -> Option<f64>,
}

const METRICS: [ProcessMetric; 7] = [
    counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpu_seconds),
    gauge("process_max_fds", "Maximum number of open file descriptors.", max_fds),
    gauge("process_open_fds", "Number of open file descriptors.", open_fds),
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", || status_bytes("VmRSS")),
    gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", start_time),
    gauge("process_threads", "Number of OS threads in the process.", || status("Threads")),
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", || status_bytes("VmSize")),
];

const fn counter(name: &'static str, help: &'static str, read: fn() -> Option<f64>) -> ProcessMetric {
    ProcessMetric { name, help, kind: MetricType::COUNTER, read }
}

const fn gauge(name: &'static str, help: &'static str, read: fn() -> Option<f64>) -> ProcessMetric {
    ProcessMetric { name, help, kind: MetricType::GAUGE, read }
}

/// A registry with nothing but `process_*`.
pub(super) fn registry() -> Result<Registry, MetricsError> {
    let registry = Registry::new();
    registry.register(Box::new(Process::new()?))?;
    Ok(registry)
}

struct Process {
    descriptions: Vec<Desc>,
}

impl Process {
    fn new() -> prometheus::Result<Self> {
        let descriptions = METRICS.iter().map(ProcessMetric::describe).collect::<Result<_, _>>()?;
        Ok(Self { descriptions })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        METRICS.iter().filter_map(|source| Some(source.family((source.read)()?))).collect()
    }
}

impl ProcessMetric {
    fn describe(&self) -> prometheus::Result<Desc> {
        Desc::new(self.name.to_owned(), self.help.to_owned(), Vec::new(), HashMap::new())
    }

    fn family(&self, value: f64) -> MetricFamily {
        let metric = sample(self.kind, Vec::new(), value);
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(vec![metric]);
        family
    }
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    Some((stat_ticks(&stat, 14)? + stat_ticks(&stat, 15)?) / TICKS_PER_SECOND)
}

fn start_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    Some(number_after(&boot, "btime")? + stat_ticks(&stat, 22)? / TICKS_PER_SECOND)
}

/// A field of `/proc/self/stat`, counted from 1. The name in field 2 may hold spaces and brackets.
fn stat_ticks(stat: &str, field: usize) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_ascii_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
}

fn status_bytes(name: &str) -> Option<f64> {
    status(name).map(|kib| kib * KIB)
}

fn status(name: &str) -> Option<f64> {
    number_after(&fs::read_to_string("/proc/self/status").ok()?, &format!("{name}:"))
}

fn max_fds() -> Option<f64> {
    number_after(&fs::read_to_string("/proc/self/limits").ok()?, "Max open files")
}

/// The first word after a line's heading, as a number; `unlimited` is none.
fn number_after(text: &str, heading: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(heading))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn open_fds() -> Option<f64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    // Listing the folder opens one more.
    u32::try_from(listed).ok().map(|count| f64::from(count.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_fields_are_counted_after_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 3 0 100 1 1 1";

        assert_eq!(stat_ticks(stat, 14), Some(123.0));
        assert_eq!(stat_ticks(stat, 15), Some(45.0));
        assert_eq!(stat_ticks(stat, 22), Some(100.0));
        assert_eq!(stat_ticks(stat, 99), None);
    }

    #[test]
    fn an_unlimited_number_of_files_is_left_out() {
        let heading = "Max open files";

        assert_eq!(
            number_after("Limit\nMax open files            1024   4096  files\n", heading),
            Some(1024.0)
        );
        assert_eq!(number_after("Max open files            unlimited   unlimited  files\n", heading), None);
    }

    #[test]
    fn every_value_is_read_on_this_machine() {
        for ProcessMetric { name, read, .. } in METRICS {
            let value = read().unwrap_or_else(|| panic!("{name} cannot be read"));
            assert!(value > 0.0 || name == "process_cpu_seconds_total", "{name} {value}");
        }
    }

    #[test]
    fn the_start_lies_between_the_boot_and_now() {
        let boot = number_after(&fs::read_to_string("/proc/stat").unwrap(), "btime").unwrap();
        let uptime = number_after(&fs::read_to_string("/proc/uptime").unwrap(), "").unwrap();

        let start = start_time().unwrap();

        assert!(start > boot && start < boot + uptime + 1.0, "{boot} {start} {uptime}");
    }
}
