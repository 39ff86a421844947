//! Describes a provider of a declared kind by its requests and their answers.

use super::calls::Operation;

/// Placeholder for a valid token in a request, and for a new token in an answer.
pub const TOKEN: &str = "sandbox-token";
/// Placeholder for the life of a new token in seconds, in an answer. The quotes are part of it: a number replaces them.
pub const LIFE: &str = "\"sandbox-life\"";
/// Placeholder for the instant at which a new token expires, in an answer.
pub const UNTIL: &str = "sandbox-until";
/// The requests and answers of a scripted provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The name of its kind.
    pub name: String,
    /// Its requests with their answers; the first match decides.
    pub routes: Vec<ScriptedRoute>,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedRoute {
    /// Whether the answer contains a balance or a token.
    pub operation: Operation,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers that the request must have, with these values.
    pub headers: Vec<(String, String)>,
    /// The request's body.
    pub body: String,
    /// The answer's body.
    pub answer: String,
}

impl Script {
    /// The answer to the first request for a balance.
    pub(super) fn balance(&self) -> Option<&str> {
        let mut balances = self.routes.iter().filter(|route| route.operation == Operation::Balance);
        balances.next().map(|route| route.answer.as_str())
    }

    /// Sets the answer to every request for a balance.
    pub(super) fn set_balance(&mut self, body: &str) {
        for route in self.routes.iter_mut().filter(|route| route.operation == Operation::Balance) {
            body.clone_into(&mut route.answer);
        }
    }

    pub(super) fn operation(&self, path: &str) -> Operation {
        let route = self.routes.iter().find(|route| route.path() == path);
        route.map_or(Operation::Other, |route| route.operation)
    }
}

impl ScriptedRoute {
    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }
}
