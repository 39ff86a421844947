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
    /// What a caller got for one balance.
    Outcome {
        /// A young snapshot from memory.
        Hit = "hit",
        /// A snapshot over `fresh_for`.
        Stale = "stale",
        /// A read that this caller began.
        Miss = "miss",
        /// The same, because of the caller's demand.
        Refresh = "refresh",
        /// A read that another caller began.
        Collapsed = "collapsed",
        /// Nothing acceptable, and nobody may be asked.
        NotCached = "not_cached",
        /// No snapshot was served.
        Error = "error",
    }
}

labels! {
    /// The two calls that go to a provider.
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
        /// A key that nobody has.
        Unknown = "unknown",
        /// Too many failures from this peer.
        Throttled = "throttled",
        /// A token in three parts that cannot be read.
        Malformed = "malformed",
        /// A token signed in another way than those allowed, or than its key is for.
        Algorithm = "algorithm",
        /// A token whose key is not among the issuer's.
        UnknownKey = "unknown_key",
        /// A token that its key did not sign.
        Signature = "signature",
        /// A token of another issuer.
        Issuer = "issuer",
        /// A token for somebody else.
        Audience = "audience",
        /// A token whose time is over.
        Expired = "expired",
        /// A token whose time has not begun.
        NotYetValid = "not_yet_valid",
        /// A good token of a service account that is no caller.
        UnknownServiceAccount = "unknown_service_account",
    }
}

impl AuthFailure {
    /// Those that there are without tokens of service accounts.
    pub const OF_KEYS: [Self; 3] = [Self::Missing, Self::Unknown, Self::Throttled];
}

labels! {
    /// Why a connection was closed before a request was served.
    ConnectionRefusal {
        /// Over `max_connections`.
        Limit = "limit",
        /// A request head that was late, too large or unreadable; HTTP/2 that breaks its rules.
        Head = "head",
        /// A TLS handshake that failed.
        Tls = "tls",
    }
}

labels! {
    /// What is done in the shared store.
    SharedOperation {
        /// Looking what is known of a balance.
        Lookup = "lookup",
        /// Entering a read.
        Lease = "lease",
        /// Storing what a read brought.
        Publish = "publish",
        /// Invalidating.
        Invalidate = "invalidate",
        /// Taking a call of an account's budget.
        Budget = "budget",
        /// Taking units of a caller's limit.
        Limit = "limit",
        /// Noting how a read failed.
        Hold = "hold",
        /// Connecting and listening.
        Subscribe = "subscribe",
    }
}

labels! {
    /// Why the shared store was of no use.
    SharedError {
        /// No answer in time.
        Timeout = "timeout",
        /// No connection, or it broke.
        Connect = "connect",
        /// It does not do it: full, read-only, not permitted.
        Refused = "refused",
        /// An answer that is none of ours.
        Protocol = "protocol",
        /// A value that was planted, swapped, put back, or is of another type.
        Invalid = "invalid",
        /// An instant in the future of the store's clock.
        Skew = "skew",
    }
}

labels! {
    /// What came of a notification.
    HookResult {
        /// It was proven.
        Accepted = "accepted",
        /// It was proven, and known already.
        Duplicate = "duplicate",
        /// It was not proven, or too large.
        Refused = "refused",
        /// Its peer had too many refused.
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
        /// Taken.
        Ok = "ok",
        /// Refused as a whole; the old one stays.
        Rejected = "rejected",
    }
}
