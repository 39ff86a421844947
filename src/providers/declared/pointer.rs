//! JSON pointers (RFC 6901) through objects only: the order of an array has no meaning, so no pointer may use an index.

use std::fmt;

/// More than any provider nests its amounts.
const MOST_TOKENS: usize = 8;

/// The place of a value in a body, or in a row of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    written: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer of at most eight members; the empty one is the body itself. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(unescaped).collect::<Option<Vec<_>>>()?,
            None if text.is_empty() => Vec::new(),
            None => return None,
        };
        (tokens.len() <= MOST_TOKENS).then(|| Self { written: text.to_owned(), tokens })
    }

    /// The pointer as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The names of the members on the path.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Whether it is the body, or the row, itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether it begins with an index of the array that `rows` names.
    #[must_use]
    pub fn indexes_into(&self, rows: &Self) -> bool {
        let rest = self.tokens.strip_prefix(rows.tokens.as_slice());
        rest.and_then(<[String]>::first).is_some_and(|token| is_index(token))
    }

    /// Whether its first member looks like an index.
    #[must_use]
    pub fn begins_with_index(&self) -> bool {
        self.tokens.first().is_some_and(|token| is_index(token))
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn is_index(token: &str) -> bool {
    token == "-" || !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit())
}

fn unescaped(token: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = token.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_names_members() {
        for (text, tokens) in [
            ("", &[][..]),
            ("/", &[""]),
            ("/balance", &["balance"]),
            ("/a/b", &["a", "b"]),
            ("/a~1b/~0c", &["a/b", "~c"]),
            ("/~01", &["~1"]),
        ] {
            assert_eq!(Pointer::parse(text).unwrap().tokens(), tokens, "{text}");
        }
    }

    #[test]
    fn an_invalid_pointer_is_refused() {
        for text in ["balance", "/a~", "/a~2", "/1/2/3/4/5/6/7/8/9", " /a"] {
            assert_eq!(Pointer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_index_into_rows_is_detected() {
        let pointer = |text| Pointer::parse(text).unwrap();

        assert!(pointer("/balances/0/amount").indexes_into(&pointer("/balances")));
        assert!(pointer("/balances/-").indexes_into(&pointer("/balances")));
        assert!(!pointer("/balances/a0").indexes_into(&pointer("/balances")));
        assert!(!pointer("/other/0").indexes_into(&pointer("/balances")));
        assert!(pointer("/0").begins_with_index() && !pointer("/a/0").begins_with_index());
    }
}
