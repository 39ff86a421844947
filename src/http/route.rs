//! The routes of the API: their patterns for the router, and their labels for the metrics.

/// A route of the API. `Unmatched` stands for all other paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Accounts,
    Balance,
    Invalidate,
    Sufficiency,
    Balances,
    Reconciliation,
    Events,
    Root,
    OpenApi,
    Docs,
    DocsFile,
    Dashboard,
    DashboardFile,
    Unmatched,
}

impl Route {
    pub(super) const ALL: [Self; 14] = [
        Self::Accounts,
        Self::Balance,
        Self::Invalidate,
        Self::Sufficiency,
        Self::Balances,
        Self::Reconciliation,
        Self::Events,
        Self::Root,
        Self::OpenApi,
        Self::Docs,
        Self::DocsFile,
        Self::Dashboard,
        Self::DashboardFile,
        Self::Unmatched,
    ];

    pub(super) fn pattern(self) -> &'static str {
        match self {
            Self::Accounts => "/v1/accounts",
            Self::Balance => "/v1/accounts/{account}/balance",
            Self::Invalidate => "/v1/accounts/{account}/invalidate",
            Self::Sufficiency => "/v1/accounts/{account}/sufficiency",
            Self::Balances => "/v1/balances",
            Self::Reconciliation => "/v1/reconciliation",
            Self::Events => "/v1/events",
            Self::Root => "/",
            Self::OpenApi => "/openapi.json",
            Self::Docs => "/docs",
            Self::DocsFile => "/docs/{file}",
            Self::Dashboard => "/dashboard",
            Self::DashboardFile => "/dashboard/{file}",
            Self::Unmatched => "unmatched",
        }
    }

    /// The route of a path, whatever the method. The caller and the account are not checked yet.
    pub(super) fn of(path: &str) -> Self {
        match (path, account_path(path)) {
            ("/v1/accounts", _) => Self::Accounts,
            ("/v1/balances", _) => Self::Balances,
            ("/v1/reconciliation", _) => Self::Reconciliation,
            ("/v1/events", _) => Self::Events,
            (_, Some((_, "balance"))) => Self::Balance,
            (_, Some((_, "invalidate"))) => Self::Invalidate,
            (_, Some((_, "sufficiency"))) => Self::Sufficiency,
            ("/", _) => Self::Root,
            ("/openapi.json", _) => Self::OpenApi,
            ("/docs", _) => Self::Docs,
            ("/dashboard", _) => Self::Dashboard,
            _ if is_file(path, "/docs/") => Self::DocsFile,
            _ if is_file(path, "/dashboard/") => Self::DashboardFile,
            _ => Self::Unmatched,
        }
    }
}

fn is_file(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|file| !file.is_empty() && !file.contains('/'))
}

/// Whether a path needs a known caller.
pub(super) fn needs_caller(path: &str) -> bool {
    path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The account in a path, still percent-encoded, and the rest of the path.
pub(super) fn account_path(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/v1/accounts/").filter(|rest| !rest.is_empty())?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_route_that_the_router_would_choose() {
        for (path, route) in [
            ("/v1/accounts", Route::Accounts),
            ("/v1/accounts/", Route::Unmatched),
            ("/v1/accounts/a/balance", Route::Balance),
            ("/v1/accounts/a/balance/", Route::Unmatched),
            ("/v1/accounts/a/invalidate", Route::Invalidate),
            ("/v1/accounts/a/b/balance", Route::Unmatched),
            ("/v1/accounts//balance", Route::Balance),
            ("/v1/accounts/a/sufficiency", Route::Sufficiency),
            ("/v1/balances", Route::Balances),
            ("/v1/reconciliation", Route::Reconciliation),
            ("/v1/events", Route::Events),
            ("/", Route::Root),
            ("//", Route::Unmatched),
            ("/openapi.json", Route::OpenApi),
            ("/docs", Route::Docs),
            ("/docs/", Route::Unmatched),
            ("/docs/style.css", Route::DocsFile),
            ("/dashboard", Route::Dashboard),
            ("/dashboard/script.js", Route::DashboardFile),
            ("/dashboard/a/b", Route::Unmatched),
            ("/metrics", Route::Unmatched),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn everything_under_v1_needs_a_caller() {
        for path in ["/v1", "/v1/", "/v1/nothing"] {
            assert!(needs_caller(path));
        }
        for path in ["/", "/v10", "/dashboard"] {
            assert!(!needs_caller(path));
        }
    }
}
