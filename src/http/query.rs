//! Parses a query string strictly. An unknown parameter is an error, and so is a repeated one that may be given once.

use std::borrow::Cow;

use url::form_urlencoded;

use super::problem::{Code, Problem};

/// The parameters of one request.
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Parses a query string that may contain only `known` parameters.
    pub(super) fn parse(query: Option<&'a str>, known: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<_> = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_ref())) {
            None => Ok(Self(pairs)),
            Some(_) => Err(Problem::new(
                Code::InvalidRequest,
                format!("an unknown query parameter; known here: {}", known.join(", ")),
            )),
        }
    }

    /// The value of a parameter that may be given once.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut given = self.all(name);
        let first = given.next();
        match given.next() {
            None => Ok(first),
            Some(_) => Err(Problem::new(Code::InvalidRequest, format!("{name} must not be repeated"))),
        }
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.as_ref())
    }

    /// The instant of `not_before`, if it is given.
    pub(super) fn not_before(&self) -> Result<Option<jiff::Timestamp>, Problem> {
        let malformed = || Problem::new(Code::InvalidRequest, "not_before must be an RFC 3339 instant");
        self.one("not_before")?
            .map(|text| super::directives::not_before(text).ok_or_else(malformed))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_parameters_are_accepted_and_only_once() {
        let read = |query| {
            let query = Query::parse(Some(query), &["currency", "type"])?;
            Ok::<_, Problem>((
                query.one("currency")?.map(str::to_owned),
                query.one("type")?.map(str::to_owned),
            ))
        };

        assert_eq!(read("").unwrap(), (None, None));
        assert_eq!(read("currency=USD&type=FIAT").unwrap(), (Some("USD".into()), Some("FIAT".into())));
        assert_eq!(read("currency=%55SD").unwrap(), (Some("USD".into()), None));
        for query in ["x=1", "currency=USD&currency=USD", "Currency=USD", "currency[]=USD"] {
            assert_eq!(read(query).unwrap_err().code, Code::InvalidRequest, "{query}");
        }
    }
}
