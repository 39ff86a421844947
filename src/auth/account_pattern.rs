//! Patterns for the accounts of a caller.

/// A pattern for account names; each `*` matches any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPattern(String);

impl AccountPattern {
    /// Reads a pattern of `a`–`z`, `0`–`9`, `-` and `*`; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
        (!text.is_empty() && text.bytes().all(legal)).then(|| Self(text.to_owned()))
    }

    /// Whether the pattern matches this account.
    #[must_use]
    pub fn matches(&self, account: &str) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else { return self.0 == account };
        let Some(mut left) = account.strip_prefix(prefix) else { return false };
        let (inner, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in inner.split('*') {
            let Some(at) = left.find(part) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        for (pattern, account, expected) in [
            ("treasury-br", "treasury-br", true),
            ("treasury-br", "treasury-br-2", false),
            ("treasury-*", "treasury-br", true),
            ("treasury-*", "treasury-", true),
            ("treasury-*", "treasury", false),
            ("*", "anything", true),
            ("*-br", "treasury-br", true),
            ("*-br", "treasury-br-2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("*a*", "bab", true),
            ("**", "x", true),
        ] {
            assert_eq!(
                AccountPattern::parse(pattern).unwrap().matches(account),
                expected,
                "{pattern} {account}"
            );
        }
        for text in ["", "A*", "a b", "a.b"] {
            assert_eq!(AccountPattern::parse(text), None);
        }
    }
}
