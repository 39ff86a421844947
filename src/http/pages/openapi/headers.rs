//! Response headers.

use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{Header as Described, Object, Ref, Type};

/// A header of some answers.
pub(crate) struct Header {
    pub(crate) name: &'static str,
    example: &'static str,
    description: &'static str,
}

pub(crate) const REQUEST_ID: Header = Header {
    name: "X-Request-Id",
    example: "5f0c1d6e4b7a49f2a3d8c0b19e7f6a52",
    description: "The id of the request: the caller's if it is usable, otherwise the gateway's. Log lines contain it.",
};
pub(crate) const RATE_LIMIT_POLICY: Header = Header {
    name: "RateLimit-Policy",
    example: "\"caller\";q=100;w=10",
    description: "The caller's limits (draft-ietf-httpapi-ratelimit-headers-11): `q` units at once, refilled in `w` seconds.",
};
pub(crate) const RATE_LIMIT: Header = Header {
    name: "RateLimit",
    example: "\"caller\";r=99;t=1",
    description: "What is left of the limits: `r` units; the next one is available in at most `t` seconds.",
};
pub(crate) const PREFERENCE_APPLIED: Header = Header {
    name: "Preference-Applied",
    example: "wait=2",
    description: "The `Prefer: wait` of the request, if it had one.",
};
pub(crate) const CACHE_CONTROL: Header = Header {
    name: "Cache-Control",
    example: "private, max-age=10, must-revalidate",
    description: "How long the answer may be cached: a single balance while it is fresh, everything else not at all (`no-store`).",
};
pub(crate) const AGE: Header = Header {
    name: "Age",
    example: "3",
    description: "Whole seconds, rounded up, since the read was sent. For several balances: the age of the oldest one.",
};
pub(crate) const ETAG: Header = Header {
    name: "ETag",
    example: "\"33a64df551425fcc55e4d42a148795d9\"",
    description: "A strong tag of the body, for `If-None-Match`.",
};
pub(crate) const CACHE_STATUS: Header = Header {
    name: "Cache-Status",
    example: "balance-gateway; hit; ttl=7",
    description: "How the answer was found (RFC 9211). `hit`: served from the cache; `ttl` is the seconds of freshness that are left. `detail=stale`: a refresh runs in the background. `detail=stale-if-error`: the last read failed. `fwd=uri-miss`, `fwd=stale` or `fwd=request`: a read was necessary. `collapsed`: another request's read was shared.",
};
pub(crate) const RETRY_AFTER: Header = Header {
    name: "Retry-After",
    example: "1",
    description: "Whole seconds to wait before a retry. Exact, and equal to `retry_after` in the body.",
};
pub(crate) const WWW_AUTHENTICATE: Header =
    Header { name: "WWW-Authenticate", example: "Bearer", description: "How to authenticate." };
pub(crate) const ALLOW: Header =
    Header { name: "Allow", example: "GET,HEAD", description: "The methods of this path." };
pub(crate) const VARY: Header =
    Header { name: "Vary", example: "accept", description: "The request headers that choose the answer." };
pub(crate) const CONTENT_DISPOSITION: Header = Header {
    name: "Content-Disposition",
    example: "attachment; filename=\"reconciliation_20261121.csv\"",
    description: "On CSV only: a file name with the UTC day of the report, which has no column.",
};
pub(crate) const X_ACCEL_BUFFERING: Header = Header {
    name: "X-Accel-Buffering",
    example: "no",
    description: "Tells a proxy such as nginx to pass each event on at once.",
};

/// Every header of an answer, except those of HTTP itself.
pub(crate) const ALL: [&Header; 14] = [
    &REQUEST_ID,
    &RATE_LIMIT_POLICY,
    &RATE_LIMIT,
    &PREFERENCE_APPLIED,
    &CACHE_CONTROL,
    &AGE,
    &ETAG,
    &CACHE_STATUS,
    &RETRY_AFTER,
    &WWW_AUTHENTICATE,
    &ALLOW,
    &VARY,
    &CONTENT_DISPOSITION,
    &X_ACCEL_BUFFERING,
];

impl Header {
    pub(crate) fn reference(&self) -> Ref {
        Ref::new(format!("#/components/headers/{}", self.name))
    }

    pub(crate) fn describe(&self) -> Described {
        let number = self.example.parse::<u64>().ok();
        let r#type = if number.is_some() { Type::Integer } else { Type::String };
        HeaderBuilder::new()
            .schema(Some(Object::with_type(r#type)))
            .description(Some(self.description))
            .example(Some(number.map_or_else(|| Value::from(self.example), Value::from)))
            .build()
    }
}
