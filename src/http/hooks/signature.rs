//! The header with the signatures: one, several, or a list with the time of signing among them.

use http::HeaderValue;
use http::request::Parts;

use super::settings::HmacSettings;

/// The signatures and the signing time of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signatures<'a> {
    /// The signatures as bytes, without malformed ones.
    pub(super) given: Vec<Vec<u8>>,
    /// The signing time, verbatim.
    pub(super) timestamp: Option<&'a [u8]>,
}

impl<'a> Signatures<'a> {
    /// Reads the request's signatures; `None` when the time of signing is missing or ambiguous.
    pub(super) fn of(request: &'a Parts, settings: &HmacSettings) -> Option<Self> {
        // Repeated headers form one list.
        let lines = request.headers.get_all(&settings.header).iter().map(HeaderValue::as_bytes);
        let elements: Vec<&[u8]> =
            lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).collect();
        let Some(name) = &settings.timestamp else {
            return Some(Self { given: signatures(&elements, settings), timestamp: None });
        };
        let times: Vec<&[u8]> = elements.iter().filter_map(|element| value_of(element, name)).collect();
        match times.as_slice() {
            [] => {
                let timestamp = Some(only(request, name)?);
                Some(Self { given: signatures(&elements, settings), timestamp })
            }
            [time] => Some(Self { given: listed(&elements, settings, name), timestamp: Some(time) }),
            _ => None,
        }
    }
}

/// The value of a header that is sent once.
fn only<'a>(request: &'a Parts, name: &str) -> Option<&'a [u8]> {
    let mut lines = request.headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then(|| line.as_bytes())
}

/// Decodes the elements that begin with the prefix. The signature follows the prefix.
fn signatures(elements: &[&[u8]], settings: &HmacSettings) -> Vec<Vec<u8>> {
    decoded(elements.iter().filter_map(|element| element.strip_prefix(settings.prefix.as_bytes())), settings)
}

/// Decodes the signatures of a list that also contains the time. Without a configured prefix, every other `NAME=value`
/// is a signature.
fn listed(elements: &[&[u8]], settings: &HmacSettings, time: &str) -> Vec<Vec<u8>> {
    if !settings.prefix.is_empty() {
        return signatures(elements, settings);
    }
    let values = elements.iter().filter(|element| value_of(element, time).is_none()).filter_map(|element| {
        let equals = element.iter().position(|byte| *byte == b'=')?;
        element.get(equals + 1..)
    });
    decoded(values, settings)
}

fn decoded<'a>(texts: impl Iterator<Item = &'a [u8]>, settings: &HmacSettings) -> Vec<Vec<u8>> {
    texts.filter_map(|text| settings.encoding.decode(text)).collect()
}

fn value_of<'a>(element: &'a [u8], name: &str) -> Option<&'a [u8]> {
    element.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}
