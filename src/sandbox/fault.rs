//! Faults: what goes wrong, for which calls, and how often. How one is carried out is in
//! `answer.rs` (another answer) and `deliver.rs` (the answer arrives in another way).

use std::collections::VecDeque;

use serde::Deserialize;

use super::calls::Operation;

mod parse;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which calls meet it.
    pub on: On,
    /// How many of them.
    pub times: u32,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// Which calls a fault is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Calls for a balance.
    Balance,
    /// Calls for a token.
    Token,
    /// Every call, other paths too; control calls never.
    Any,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Another status.
    Status {
        /// From 200 to 599.
        #[serde(deserialize_with = "parse::parse_status")]
        status: u16,
        /// The value of `Retry-After`, verbatim.
        #[serde(default)]
        retry_after: Option<String>,
        /// The body; a small JSON error when left out.
        #[serde(default)]
        body: Option<String>,
    },
    /// The answer as of the moment of the call, sent later.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
    /// Silence until the caller leaves.
    StallHead,
    /// The head and half of the body, then silence until the caller leaves.
    StallBody,
    /// A body that trickles.
    SlowBody {
        /// Milliseconds before each byte of the body.
        ms_per_byte: u64,
    },
    /// Half of the announced body, then the end of the connection.
    CutBody,
    /// A TCP reset instead of an answer.
    Reset,
    /// The orderly end of the connection instead of an answer.
    Close,
    /// A redirect, 302.
    Redirect {
        /// The value of `Location`.
        location: String,
    },
    /// Bytes that are no HTTP.
    Garbage,
    /// Status 200 with this body.
    Body {
        /// The body.
        text: String,
    },
    /// Status 200 with these bytes as the body.
    BodyBytes {
        /// The body; in JSON as `hex`.
        #[serde(rename = "hex", deserialize_with = "parse::parse_hex")]
        bytes: Vec<u8>,
    },
    /// The normal answer after white space, so the body is valid JSON however large it is.
    HugeBody {
        /// How many bytes of white space.
        bytes: u64,
    },
    /// The normal answer under another `Content-Type`.
    ContentType {
        /// The value of `Content-Type`.
        value: String,
    },
    /// The normal answer with more headers.
    Headers {
        /// Names and values, verbatim.
        headers: Vec<(String, String)>,
    },
    /// The token that was sent is dropped, and answered with 401.
    ExpireToken,
    /// The token is refused, whatever it is, and stays as it was.
    RefuseToken {
        /// 401 or 403, or what else a test needs.
        #[serde(default = "parse::unauthorized", deserialize_with = "parse::parse_status")]
        status: u16,
    },
    /// A chunked body with broken framing.
    ChunkedInvalid,
    /// A head that never ends.
    EndlessHeaders,
}

/// The faults that wait, in the order in which they were queued.
#[derive(Debug, Default)]
pub(super) struct FaultQueue(VecDeque<Fault>);

impl Fault {
    /// Returns a fault for the next call for a balance.
    #[must_use]
    pub const fn on_balance(kind: FaultKind) -> Self {
        Self::once(On::Balance, kind)
    }

    /// Returns a fault for the next call for a token.
    #[must_use]
    pub const fn on_token(kind: FaultKind) -> Self {
        Self::once(On::Token, kind)
    }

    /// Returns a fault for the next call, whatever it is for.
    #[must_use]
    pub const fn on_any(kind: FaultKind) -> Self {
        Self::once(On::Any, kind)
    }

    /// Returns the fault for this many calls instead of one.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    const fn once(on: On, kind: FaultKind) -> Self {
        Self { on, times: 1, kind }
    }
}

impl On {
    const fn includes(self, operation: Operation) -> bool {
        match self {
            Self::Balance => matches!(operation, Operation::Balance),
            Self::Token => matches!(operation, Operation::Token),
            Self::Any => true,
        }
    }
}

impl FaultKind {
    /// Returns a fault that answers with this status and nothing special.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self::Status { status, retry_after: None, body: None }
    }

    /// Returns the name under which the fault is queued and logged.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Delay { .. } => "delay",
            Self::StallHead => "stall_head",
            Self::StallBody => "stall_body",
            Self::SlowBody { .. } => "slow_body",
            Self::CutBody => "cut_body",
            Self::Reset => "reset",
            Self::Close => "close",
            Self::Redirect { .. } => "redirect",
            Self::Garbage => "garbage",
            Self::Body { .. } => "body",
            Self::BodyBytes { .. } => "body_bytes",
            Self::HugeBody { .. } => "huge_body",
            Self::ContentType { .. } => "content_type",
            Self::Headers { .. } => "headers",
            Self::ExpireToken => "expire_token",
            Self::RefuseToken { .. } => "refuse_token",
            Self::ChunkedInvalid => "chunked_invalid",
            Self::EndlessHeaders => "endless_headers",
        }
    }

    const fn has_settings(&self) -> bool {
        !matches!(
            self,
            Self::StallHead
                | Self::StallBody
                | Self::CutBody
                | Self::Reset
                | Self::Close
                | Self::Garbage
                | Self::ExpireToken
                | Self::ChunkedInvalid
                | Self::EndlessHeaders
        )
    }
}

impl FaultQueue {
    pub(super) fn push(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.0.push_back(fault);
        }
    }

    /// Takes one use of the first fault that is meant for the operation.
    pub(super) fn take(&mut self, operation: Operation) -> Option<FaultKind> {
        let index = self.0.iter().position(|fault| fault.on.includes(operation))?;
        let fault = self.0.get_mut(index)?;
        fault.times -= 1;
        let kind = fault.kind.clone();
        if fault.times == 0 {
            self.0.remove(index);
        }
        Some(kind)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_meets_the_first_fault_that_is_meant_for_it() {
        let mut queue = FaultQueue::default();
        queue.push(Fault::on_token(FaultKind::Reset));
        queue.push(Fault::on_balance(FaultKind::Garbage).times(2));
        queue.push(Fault::on_any(FaultKind::Close));
        queue.push(Fault::on_any(FaultKind::Close).times(0));

        let taken: Vec<_> = std::iter::repeat_with(|| queue.take(Operation::Balance)).take(4).collect();

        let expected = [Some(FaultKind::Garbage), Some(FaultKind::Garbage), Some(FaultKind::Close), None];
        assert_eq!(taken, expected);
        assert_eq!(queue.len(), 1);
    }
}
