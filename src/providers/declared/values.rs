//! The secrets and parameters of one account of a declared kind, by their names.

use secrecy::{ExposeSecret, SecretString};

/// The secrets and parameters of one account, in the order in which its kind names them.
#[derive(Clone, Debug, Default)]
pub struct AccountValues {
    secrets: Vec<(String, SecretString)>,
    parameters: Vec<(String, String)>,
}

impl AccountValues {
    /// Adds a secret.
    pub fn set_secret(&mut self, name: &str, secret: SecretString) {
        self.secrets.push((name.to_owned(), secret));
    }

    /// Adds a parameter.
    pub fn set_parameter(&mut self, name: &str, value: String) {
        self.parameters.push((name.to_owned(), value));
    }

    /// Every secret.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.secrets.iter().map(|(_, secret)| secret)
    }

    /// Every parameter's value.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(_, value)| value.as_str())
    }

    /// The names of its secrets.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn secret(&self, name: &str) -> Option<&SecretString> {
        self.secrets.iter().find(|(secret, _)| secret == name).map(|(_, secret)| secret)
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(parameter, _)| parameter == name).map(|(_, value)| value.as_str())
    }
}

impl PartialEq for AccountValues {
    /// Compares our own secrets with each other; no caller can time this.
    fn eq(&self, other: &Self) -> bool {
        let exposed = |values: &Self| -> Vec<(String, String)> {
            let pair =
                |(name, secret): &(String, SecretString)| (name.clone(), secret.expose_secret().to_owned());
            values.secrets.iter().map(pair).collect()
        };
        self.parameters == other.parameters && exposed(self) == exposed(other)
    }
}
