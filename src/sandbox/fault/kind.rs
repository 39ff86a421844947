//! Every fault, as code and as JSON.

use serde::Deserialize;

use super::fields;

/// The effect.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Another status.
    Status {
        /// From 200 to 599.
        #[serde(deserialize_with = "fields::parse_status")]
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
        #[serde(rename = "hex", deserialize_with = "fields::parse_hex")]
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
    /// Every token is refused, and stays valid.
    RefuseToken {
        /// 401, 403 or another status.
        #[serde(default = "fields::unauthorized", deserialize_with = "fields::parse_status")]
        status: u16,
    },
    /// A chunked body with broken framing.
    ChunkedInvalid,
    /// A chunked body that ends within a chunk, with the connection.
    CutChunk,
    /// A head that never ends.
    EndlessHeaders,
    /// Informational answers before the normal one.
    Informational {
        /// From 100 to 199.
        #[serde(deserialize_with = "fields::parse_informational")]
        status: u16,
        /// The number of calls.
        count: u64,
        /// Milliseconds before each; none when left out.
        #[serde(default)]
        ms: u64,
    },
    /// A small body in a content-encoding that unfolds into ten megabytes.
    CompressedBomb,
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
            Self::CutChunk => "cut_chunk",
            Self::EndlessHeaders => "endless_headers",
            Self::Informational { .. } => "informational",
            Self::CompressedBomb => "compressed_bomb",
        }
    }

    pub(super) const fn has_settings(&self) -> bool {
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
                | Self::CutChunk
                | Self::EndlessHeaders
                | Self::CompressedBomb
        )
    }
}
