//! The query of `GET /v1/events`.

use std::time::Duration;

use crate::domain::MaxAge;
use crate::http::problem::{Code, Problem};
use crate::http::query::Query;

/// The parameters of its query.
pub(crate) const PARAMETERS: &[&str] = &["account", "provider", "refresh"];
/// The default of `refresh`: the age at which a streamed balance is read again.
const REFRESH: Duration = Duration::from_secs(30);

/// Parses `refresh`, in whole seconds. A value above the ceiling becomes the ceiling.
pub(crate) fn refresh(query: &Query<'_>) -> Result<Duration, Problem> {
    let Some(text) = query.one("refresh")? else { return Ok(REFRESH) };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Problem::new(Code::InvalidRequest, "refresh must be a whole number of seconds"));
    }
    let seconds = text.parse().map_or(MaxAge::CEILING.get(), Duration::from_secs);
    Ok(seconds.min(MaxAge::CEILING.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refresh_is_whole_seconds_and_saturates() {
        let read = |query| refresh(&Query::parse(Some(query), PARAMETERS)?).map(|refresh| refresh.as_secs());

        assert_eq!(read("").unwrap(), 30);
        for (query, seconds) in [
            ("refresh=0", 0),
            ("refresh=007", 7),
            ("refresh=61", 60),
            ("refresh=99999999999999999999999", 60),
        ] {
            assert_eq!(read(query).unwrap(), seconds, "{query}");
        }
        for query in
            ["refresh=", "refresh=1.5", "refresh=-1", "refresh=%2B5", "refresh=5s", "refresh=5&refresh=5"]
        {
            assert_eq!(read(query).unwrap_err().code, Code::InvalidRequest, "{query}");
        }
    }
}
