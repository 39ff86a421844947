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
    }
}

labels! {
    /// Why a connection was closed before a request was served.
    ConnectionRefusal {
        /// Over `max_connections`.
        Limit = "limit",
        /// A request head that was late, too large or unreadable.
        Head = "head",
        /// A TLS handshake that failed.
        Tls = "tls",
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
