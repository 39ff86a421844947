//! The closed label sets. Nothing that a request carries becomes a label.

/// A member of a closed label set.
pub trait Label: Copy {
    /// The label's text.
    fn as_str(self) -> &'static str;
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every member.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];
        }

        impl Label for $name {
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

labels! {
    /// The outcome of one lookup.
    Outcome {
        /// A fresh snapshot from the cache.
        Hit = "hit",
        /// A snapshot older than `fresh_for`.
        Stale = "stale",
        /// A read that this caller started.
        Miss = "miss",
        /// A read that this caller started because of its demand.
        Refresh = "refresh",
        /// A read that another caller started.
        Collapsed = "collapsed",
        /// No acceptable snapshot, and the caller forbids a call.
        NotCached = "not_cached",
        /// No snapshot was served.
        Error = "error",
    }
}

labels! {
    /// The two calls to a provider.
    Operation {
        /// The balance itself.
        Balance = "balance",
        /// The exchange of client credentials for a token.
        Token = "token",
    }
}

labels! {
    /// Why a read was refused without asking the provider.
    ReadRefusal {
        /// A failure is still held.
        Hold = "hold",
        /// The breaker is open.
        Breaker = "breaker",
        /// The outgoing budget is spent.
        Budget = "budget",
        /// The provider's concurrency is full.
        Concurrency = "concurrency",
    }
}

labels! {
    /// Why a request has no caller.
    AuthFailure {
        /// No `Authorization: Bearer`.
        Missing = "missing",
        /// A key of no caller.
        Unknown = "unknown",
        /// Too many failures from this peer.
        Throttled = "throttled",
        /// Three parts that are no readable token.
        Malformed = "malformed",
        /// A token signed with a forbidden algorithm, or not with the algorithm of its key.
        Algorithm = "algorithm",
        /// A token signed with a key that the issuer does not list.
        UnknownKey = "unknown_key",
        /// A token with a wrong signature.
        Signature = "signature",
        /// A token of another issuer.
        Issuer = "issuer",
        /// A token for another audience.
        Audience = "audience",
        /// An expired token.
        Expired = "expired",
        /// A token that is not valid yet.
        NotYetValid = "not_yet_valid",
        /// A valid token of a service account that is no caller.
        UnknownServiceAccount = "unknown_service_account",
    }
}

impl AuthFailure {
    /// The reasons that apply without service-account tokens.
    pub const OF_KEYS: [Self; 3] = [Self::Missing, Self::Unknown, Self::Throttled];
}

labels! {
    /// Why a connection was closed before a request was served.
    ConnectionRefusal {
        /// Over `max_connections`.
        Limit = "limit",
        /// A late, too large or malformed request head, or a violation of HTTP/2.
        Head = "head",
        /// A TLS handshake that failed.
        Tls = "tls",
    }
}

labels! {
    /// An operation on the shared store.
    SharedOperation {
        /// Reading the stored state of a balance.
        Lookup = "lookup",
        /// Registering a read.
        Lease = "lease",
        /// Storing the result of a read.
        Publish = "publish",
        /// Storing an invalidation.
        Invalidate = "invalidate",
        /// Taking a call from an account's budget.
        Budget = "budget",
        /// Taking units from a caller's limit.
        Limit = "limit",
        /// Storing the failure of a read.
        Hold = "hold",
        /// Connecting and subscribing.
        Subscribe = "subscribe",
    }
}

labels! {
    /// Why an operation on the shared store failed.
    SharedError {
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or it broke.
        Connect = "connect",
        /// The store refuses: full, read-only, or not permitted.
        Refused = "refused",
        /// An answer that our scripts do not give.
        Protocol = "protocol",
        /// A value that was planted, swapped or put back, or has another type.
        Invalid = "invalid",
        /// A moment in the future of the store's clock.
        Skew = "skew",
    }
}

labels! {
    /// The result of a notification.
    HookResult {
        /// Its proof is valid.
        Accepted = "accepted",
        /// Its proof is valid, and its event is known.
        Duplicate = "duplicate",
        /// Its proof is missing or wrong, or it is too large.
        Refused = "refused",
        /// Its peer had too many failures.
        Throttled = "throttled",
    }
}

labels! {
    /// Which limit of a caller refused.
    LimitPolicy {
        /// `limit`.
        Caller = "caller",
        /// `forced`.
        Forced = "forced",
    }
}

labels! {
    /// How an attempt to reload the configuration ended.
    ReloadResult {
        /// Accepted.
        Ok = "ok",
        /// Rejected as a whole; the old configuration stays.
        Rejected = "rejected",
    }
}
