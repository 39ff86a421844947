//! The limit of open file descriptors, and how many connections it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::telemetry::targets;

/// File descriptors that the other listeners leave free for connections to the operations port.
pub(super) const FOR_OPS: u64 = 32;
/// File descriptors not available to connections: at most 64 for listeners, runtimes, logs, secrets and the shared
/// store, and those reserved for the operations port.
const OTHER_FILES: u64 = 64 + FOR_OPS;

/// Raises the soft limit of open files to the hard one. If the system refuses, the soft limit does not change.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(
            target: targets::LIFECYCLE,
            event = "open_files_limit",
            soft_limit = current,
            error = &error as &dyn std::error::Error,
            "the limit of open files cannot be raised"
        );
    }
}

/// Reduces `max_connections` to the file descriptors that remain after the operations port, the calls to providers and
/// the other uses.
pub(super) fn fitted(mut config: Config) -> Config {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return config };
    let calls = config.providers.iter().map(|provider| u64::from(provider.settings.max_concurrency)).sum();
    let most = connections(limit, calls);
    let wanted = config.server.max_connections;
    if wanted > most {
        tracing::warn!(
            target: targets::LIFECYCLE,
            event = "max_connections_cut",
            key = "server.max_connections",
            wanted,
            max_connections = most,
            open_files = limit,
            "the limit of open files allows fewer connections"
        );
        config.server.max_connections = most;
    }
    config
}

fn connections(limit: u64, calls: u64) -> usize {
    let left = limit.saturating_sub(OTHER_FILES).saturating_sub(calls);
    usize::try_from(left.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_the_remaining_file_descriptors() {
        for (limit, calls, left) in
            [(1024, 128, 800), (256, 32, 128), (100, 32, 1), (u64::MAX, 0, usize::MAX - 96)]
        {
            assert_eq!(connections(limit, calls), left, "{limit} {calls}");
        }
    }
}
