//! Every fault, as code and as JSON.

use serde::Deserialize;

use super::fields;

/// The effect of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// An answer with this status.
    Status {
        /// From 200 to 599.
        #[serde(deserialize_with = "fields::parse_status")]
        status: u16,
        /// The value of `Retry-After`, verbatim.
        #[serde(default)]
        retry_after: Option<String>,
        /// The body; a small JSON error if left out.
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
    /// A body that is sent byte by byte, with pauses.
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
    /// Bytes that are not HTTP.
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
    /// The normal answer after white space. The body is valid JSON, whatever its size.
    HugeBody {
        /// The number of bytes of white space.
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
    /// The token of the request is revoked, and the answer is 401.
    ExpireToken,
    /// The request is refused whatever its token. The token stays valid.
    RefuseToken {
        /// 401, 403 or another status.
        #[serde(default = "fields::unauthorized", deserialize_with = "fields::parse_status")]
        status: u16,
    },
    /// A chunked body with broken framing.
    ChunkedInvalid,
    /// A chunked body that ends within a chunk, because the connection closes.
    CutChunk,
    /// A head that never ends.
    EndlessHeaders,
    /// Informational answers before the normal one.
    Informational {
        /// From 100 to 199.
        #[serde(deserialize_with = "fields::parse_informational")]
        status: u16,
        /// The number of informational answers.
        count: u64,
        /// Milliseconds before each; 0 if left out.
        #[serde(default)]
        ms: u64,
    },
    /// A small body with a `Content-Encoding` that decompresses to ten megabytes.
    CompressedBomb,
}

impl FaultKind {
    /// Returns a fault that answers with this status, without `Retry-After`, and with a small JSON error.
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
