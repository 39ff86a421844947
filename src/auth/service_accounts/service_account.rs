//! The name of a service account, and the subject of its tokens.

/// A service account, as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    namespace: String,
    name: String,
}

impl ServiceAccount {
    /// Parses `namespace/name`, each under the rules of Kubernetes; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let legal = |text: &str, further: &[u8]| {
            let is_legal =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || further.contains(&byte);
            !text.is_empty() && text.bytes().all(is_legal)
        };
        let is_legal = legal(namespace, b"-") && legal(name, b"-.");
        is_legal.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// `sub` of its tokens.
    pub(in crate::auth) fn subject(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

impl std::fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
