//! Checks that the store is reachable and grants every right that is needed. It tries each command, because restricted
//! users cannot run `ACL WHOAMI`.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::{Cmd, RedisError, RedisResult, Script, cmd};
use tokio::time::timeout;

use super::connection::{self, CONNECT_TIMEOUT, Connected};
use super::settings::SharedSettings;
use super::tier::random_name;

/// The commands of the scripts and the link, each tried on keys and a channel of ours. The keys expire in a second.
const TRIALS: [&str; 16] = [
    "PING",
    "TIME",
    "HSET HASH field value",
    "HGET HASH field",
    "HMGET HASH field",
    "HDEL HASH field",
    "ZADD SET 1 member",
    "ZCARD SET",
    "ZRANGE SET 0 0",
    "ZREMRANGEBYSCORE SET -inf 0",
    "PEXPIRE HASH 1000",
    "PEXPIRE SET 1000",
    "DEL HASH",
    "DEL SET",
    // Replicas ignore this message.
    "PUBLISH CHANNEL check",
    "SCRIPT LOAD LUA",
];
/// Begins like our scripts: flags need Redis 7.
const LUA: &str = "#!lua flags=no-writes\nreturn 1";
/// The time-out of the whole check.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Checks the store. Returns its problems, one line each; none when it can be used.
pub async fn probe(settings: &SharedSettings) -> Vec<String> {
    let connecting = timeout(3 * CONNECT_TIMEOUT, connection::connect(settings)).await;
    let mut problems = Problems { prefix: &settings.prefix, lines: BTreeSet::new() };
    match connecting {
        Ok(Ok(connected)) => {
            if timeout(TIMEOUT, try_all(settings, connected, &mut problems)).await.is_err() {
                problems.note("no answer in time");
            }
        }
        Ok(Err(error)) => problems.record("connecting", Err(error)),
        Err(_) => problems.note("connecting takes too long"),
    }
    problems.lines.into_iter().collect()
}

async fn try_all(settings: &SharedSettings, mut connected: Connected, problems: &mut Problems<'_>) {
    let (name, channel) = (format!("{}:1:{{{}}}", settings.prefix, random_name()), settings.channel());
    for trial in TRIALS {
        let command = command(trial, &name, &channel);
        let tried = connected.commands.query(&command).await;
        let what = trial.split(' ').next().unwrap_or(trial);
        problems.record(what, tried.map(drop));
    }
    let key = format!("{name}:hash");
    problems.record("EVALSHA", connected.commands.run(&Script::new(LUA), &[&key], &[]).await.map(drop));
    problems.record("SUBSCRIBE", connected.events.subscribe(&channel).await);
}

fn command(trial: &str, name: &str, channel: &str) -> Cmd {
    let mut words = trial.split(' ');
    let mut command = cmd(words.next().unwrap_or_default());
    for word in words {
        match word {
            "HASH" | "SET" => command.arg(format!("{name}:{}", word.to_lowercase())),
            "CHANNEL" => command.arg(channel),
            "LUA" => command.arg(LUA),
            other => command.arg(other),
        };
    }
    command
}

/// The problems without repetitions.
struct Problems<'a> {
    prefix: &'a str,
    lines: BTreeSet<String>,
}

impl Problems<'_> {
    fn note(&mut self, line: &str) {
        self.lines.insert(line.to_owned());
    }

    fn record(&mut self, what: &str, tried: RedisResult<()>) {
        let Err(error) = tried else { return };
        let line = match missing_right(&error, self.prefix) {
            Some(right) => format!("the user lacks {right}"),
            None => format!("{what}: {error}"),
        };
        self.note(&line);
    }
}

/// The missing right that an error of the server names, in the form of `ACL SETUSER`. It is found in the error's text,
/// because a failed connection loses the error's kind. The text quotes the command, but no key or channel.
fn missing_right(error: &RedisError, prefix: &str) -> Option<String> {
    let error = error.to_string();
    let (_, refused) = error.split_once("this user has no permissions to ")?;
    match refused.split('\'').nth(1) {
        Some(command) => Some(format!("+{command}")),
        None if refused.contains("channel") => Some(format!("&{prefix}*")),
        None if refused.contains("key") => Some(format!("~{prefix}*")),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_scripts_is_tried() {
        let tried: BTreeSet<_> = TRIALS.iter().map(|trial| trial.split(' ').next().unwrap()).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shared/lua");
        let scripts: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();

        let used: BTreeSet<_> = scripts
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .flat_map(|script| {
                let calls = script.split("redis.call(").skip(1);
                calls.map(|call| call.split('\'').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
            })
            .collect();

        let untried: Vec<_> = used.iter().filter(|command| !tried.contains(command.as_str())).collect();
        assert!(used.len() > 8, "{used:?}");
        assert!(untried.is_empty(), "{untried:?}");
    }
}
