//! The scripts and their answers. Each answer begins with the format and the store's time, so that a plain `1` of
//! another program is not mistaken for a grant.

use redis::{Script, Value};

use super::error::StoreError;
use crate::domain::StoreTime;
use crate::metrics::{SharedError, SharedOperation};

/// The beginning of every answer.
const FORMAT: &[u8] = b"balance-gateway/1";

/// One atomic operation in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Looks up the state of a balance.
    Look,
    /// Enters a read.
    Enter,
    /// Takes a further call.
    Take,
    /// Records the end of a call.
    Ended,
    /// Stores a snapshot and ends its lease.
    Publish,
    /// Stores a failure and ends its lease.
    Fail,
    /// Invalidates balances.
    Invalidate,
    /// Writes data back that the store may have lost.
    Restore,
    /// Deletes unreadable values.
    Forget,
    /// Reads and updates a provider's breaker.
    Breaker,
    /// Takes and returns units of a caller.
    Units,
    /// Takes the right to act on notifications of an account.
    Notified,
}

impl Action {
    /// The label of its duration and errors.
    pub(super) fn operation(self) -> SharedOperation {
        match self {
            Self::Look | Self::Forget => SharedOperation::Lookup,
            Self::Enter => SharedOperation::Lease,
            Self::Take | Self::Ended | Self::Restore => SharedOperation::Budget,
            Self::Publish => SharedOperation::Publish,
            Self::Fail | Self::Breaker => SharedOperation::Hold,
            Self::Invalidate | Self::Notified => SharedOperation::Invalidate,
            Self::Units => SharedOperation::Limit,
        }
    }
}

/// All scripts, ready to run.
pub(super) struct Scripts {
    look: Script,
    enter: Script,
    take: Script,
    ended: Script,
    publish: Script,
    fail: Script,
    invalidate: Script,
    restore: Script,
    forget: Script,
    breaker: Script,
    units: Script,
    notified: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let common = include_str!("lua/common.lua");
        let account = include_str!("lua/account.lua");
        // A look-up works on a read-only store. Scripts that free memory or end a read work on a full one.
        let make = |flags: &str, parts: &[&str]| {
            Script::new(&format!("#!lua flags={flags}\n{common}\n{}", parts.concat()))
        };
        Self {
            look: make("no-writes", &[include_str!("lua/look.lua")]),
            enter: make("", &[account, include_str!("lua/enter.lua")]),
            take: make("", &[account, include_str!("lua/take.lua")]),
            ended: make("allow-oom", &[account, include_str!("lua/ended.lua")]),
            publish: make("allow-oom", &[account, include_str!("lua/publish.lua")]),
            fail: make("allow-oom", &[account, include_str!("lua/fail.lua")]),
            invalidate: make("allow-oom", &[include_str!("lua/invalidate.lua")]),
            restore: make("", &[account, include_str!("lua/restore.lua")]),
            forget: make("allow-oom", &[include_str!("lua/forget.lua")]),
            breaker: make("allow-oom", &[include_str!("lua/breaker.lua")]),
            units: make("", &[include_str!("lua/units.lua")]),
            notified: make("", &[include_str!("lua/notified.lua")]),
        }
    }

    pub(super) fn of(&self, action: Action) -> &Script {
        match action {
            Action::Look => &self.look,
            Action::Enter => &self.enter,
            Action::Take => &self.take,
            Action::Ended => &self.ended,
            Action::Publish => &self.publish,
            Action::Fail => &self.fail,
            Action::Invalidate => &self.invalidate,
            Action::Restore => &self.restore,
            Action::Forget => &self.forget,
            Action::Breaker => &self.breaker,
            Action::Units => &self.units,
            Action::Notified => &self.notified,
        }
    }
}

/// A script's answer.
#[derive(Debug)]
pub(super) struct ScriptAnswer {
    /// The store's clock when it ran.
    pub(super) now: StoreTime,
    kind: String,
    fields: Vec<Vec<u8>>,
}

impl ScriptAnswer {
    /// Parses an answer; an answer of another format is a `protocol` error.
    pub(super) fn read(value: Value) -> Result<Self, StoreError> {
        let Value::Array(items) = value else { return Err(StoreError(SharedError::Protocol)) };
        let mut items = items.into_iter().map(|item| match item {
            Value::BulkString(bytes) => Some(bytes),
            Value::SimpleString(text) => Some(text.into_bytes()),
            _ => None,
        });
        let mut next = || items.next().flatten().ok_or(StoreError(SharedError::Protocol));
        if next()? != FORMAT {
            return Err(StoreError(SharedError::Protocol));
        }
        let now = StoreTime::from_micros(number(&next()?)?);
        let kind = String::from_utf8(next()?).map_err(|_| StoreError(SharedError::Protocol))?;
        let fields = items.collect::<Option<_>>().ok_or(StoreError(SharedError::Protocol))?;
        Ok(Self { now, kind, fields })
    }

    /// The kind of the answer, such as `granted`.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// A field as bytes.
    pub(super) fn bytes(&self, place: usize) -> Result<&[u8], StoreError> {
        self.fields.get(place).map(Vec::as_slice).ok_or(StoreError(SharedError::Protocol))
    }

    /// A field as text.
    pub(super) fn text(&self, place: usize) -> Result<&str, StoreError> {
        std::str::from_utf8(self.bytes(place)?).map_err(|_| StoreError(SharedError::Protocol))
    }

    /// A field as a number.
    pub(super) fn number(&self, place: usize) -> Result<u64, StoreError> {
        number(self.bytes(place)?)
    }
}

fn number(bytes: &[u8]) -> Result<u64, StoreError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok()).ok_or(StoreError(SharedError::Protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(items: &[&str]) -> Value {
        Value::Array(items.iter().map(|item| Value::BulkString(item.as_bytes().to_vec())).collect())
    }

    #[test]
    fn an_answer_in_our_format_is_parsed() {
        let answer =
            ScriptAnswer::read(bulk(&["balance-gateway/1", "1700000000000001", "running", "", "7", "ab"]))
                .unwrap();

        assert_eq!(answer.now, StoreTime::from_micros(1_700_000_000_000_001));
        assert_eq!((answer.kind(), answer.number(1), answer.text(2)), ("running", Ok(7), Ok("ab")));
        assert_eq!(answer.bytes(3).unwrap_err(), StoreError(SharedError::Protocol));
        assert_eq!(answer.number(2).unwrap_err(), StoreError(SharedError::Protocol));
    }

    #[test]
    fn any_other_answer_is_a_protocol_error() {
        for value in [
            Value::Int(1),
            Value::Okay,
            Value::Nil,
            bulk(&[]),
            bulk(&["1"]),
            bulk(&["balance-gateway/2", "1", "granted"]),
            bulk(&["balance-gateway/1", "x", "granted"]),
            bulk(&["balance-gateway/1", "1"]),
            Value::Array(vec![Value::Int(1), Value::Int(2), Value::Int(3)]),
        ] {
            assert_eq!(ScriptAnswer::read(value).unwrap_err(), StoreError(SharedError::Protocol));
        }
    }
}
