//! The credential of one balance call.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::declared::AccountValues;

/// The credential of one balance call.
#[derive(Clone, Debug)]
pub enum Authorisation {
    /// `Authorization: Bearer …`.
    Bearer(SecretString),
    /// `x-api-key` and `x-token`.
    Keys {
        /// The project's key.
        api_key: SecretString,
        /// The session's token.
        session_token: SecretString,
    },
    /// The values for the templates of a declared kind.
    Declared {
        /// The account's secrets and parameters.
        values: Arc<AccountValues>,
        /// The token that they were exchanged for, if the kind exchanges one.
        token: Option<SecretString>,
    },
}

impl Authorisation {
    /// Every secret, in a fixed order.
    #[must_use]
    pub fn secrets(&self) -> Vec<&SecretString> {
        match self {
            Self::Bearer(token) => vec![token],
            Self::Keys { api_key, session_token } => vec![api_key, session_token],
            Self::Declared { values, token } => values.secrets().chain(token).collect(),
        }
    }
}

impl PartialEq for Authorisation {
    /// Compares our own secrets with each other; no caller can time this.
    fn eq(&self, other: &Self) -> bool {
        let texts = |authorisation: &Self| -> Vec<String> {
            authorisation.secrets().into_iter().map(|secret| secret.expose_secret().to_owned()).collect()
        };
        let parameters = |authorisation: &Self| match authorisation {
            Self::Declared { values, .. } => values.parameters().map(str::to_owned).collect(),
            Self::Bearer(_) | Self::Keys { .. } => Vec::new(),
        };
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && texts(self) == texts(other)
            && parameters(self) == parameters(other)
    }
}
