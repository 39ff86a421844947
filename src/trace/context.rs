//! The identity of a span and of its parent: W3C Trace Context, `traceparent` and `tracestate`.

use std::str::FromStr;

use http::HeaderMap;
use http::header::HeaderName;
use opentelemetry::trace::TraceState;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;
/// The only flag with a meaning.
const SAMPLED: u8 = 1;
/// The longest `tracestate` in characters that the W3C standard asks to propagate. Longer ones are dropped: callers
/// choose the text, and spans wait in memory.
const LONGEST_STATE: usize = 512;

/// The ids of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
}

/// The caller's span, of which a request is a child.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) context: SpanContext,
    pub(super) is_sampled: bool,
    /// The propagated `tracestate`; empty without one.
    pub(super) state: String,
}

impl SpanContext {
    /// The first span of a trace.
    pub(super) fn root() -> Self {
        Self { trace_id: fastrand::u128(1..), ..Self::within(0) }
    }

    /// Another span of a trace.
    pub(super) fn within(trace_id: u128) -> Self {
        Self { trace_id, span_id: fastrand::u64(1..) }
    }
}

impl Parent {
    /// The parent in the headers of a request; `None` if it is missing, malformed or repeated.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (given.next(), given.next()) else { return None };
        let (context, is_sampled) = parse(parent.as_bytes())?;
        Some(Self { context, is_sampled, state: state(headers).unwrap_or_default() })
    }
}

fn parse(text: &[u8]) -> Option<(SpanContext, bool)> {
    let (known, further) = text.split_at_checked(LENGTH)?;
    let fields: Vec<&[u8]> = known.split(|byte| *byte == b'-').collect();
    let [version, trace_id, span_id, flags] = *fields else { return None };
    if [version.len(), trace_id.len(), span_id.len()] != [2, 32, 16] {
        return None;
    }
    let is_legal = match number(version)? {
        0 => further.is_empty(),
        0xff => false,
        // Later versions may append fields.
        _ => further.is_empty() || further.starts_with(b"-"),
    };
    let trace_id = number(trace_id).filter(|id| is_legal && *id != 0)?;
    let span_id = u64::try_from(number(span_id)?).ok().filter(|id| *id != 0)?;
    let flags = u8::try_from(number(flags)?).ok()?;
    Some((SpanContext { trace_id, span_id }, flags & SAMPLED != 0))
}

/// Parses hexadecimal digits, lower case only.
fn number(digits: &[u8]) -> Option<u128> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.as_bytes().iter().all(is_digit))?;
    u128::from_str_radix(digits, 16).ok()
}

/// All `tracestate` headers as one; `None` if one is malformed, or together they are too long.
fn state(headers: &HeaderMap) -> Option<String> {
    let lines: Result<Vec<&str>, _> =
        headers.get_all(TRACESTATE).iter().map(http::HeaderValue::to_str).collect();
    let state = lines.ok()?.join(",");
    if state.len() > LONGEST_STATE {
        return None;
    }
    TraceState::from_str(&state).ok().map(|state| state.header())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(parents: &[&str], states: &[&str]) -> HeaderMap {
        let value = |text: &&str| HeaderValue::from_str(text).unwrap();
        let parents = parents.iter().map(|text| (TRACEPARENT, value(text)));
        parents.chain(states.iter().map(|text| (TRACESTATE, value(text)))).collect()
    }

    #[test]
    fn a_parent_is_parsed_with_its_sampling_decision() {
        for (version, flags, further, is_sampled) in [
            ("00", "01", "", true),
            ("00", "00", "", false),
            ("00", "03", "", true),
            ("00", "02", "", false),
            ("01", "01", "", true),
            ("cc", "01", "-what-the-future-will-be-like", true),
            ("cc", "00", "-", false),
        ] {
            let text = format!("{version}-{TRACE}-{SPAN}-{flags}{further}");

            let parent = Parent::of(&headers(&[&text], &[]));

            let context = SpanContext {
                trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
                span_id: 0x00f0_67aa_0ba9_02b7,
            };
            assert_eq!(parent, Some(Parent { context, is_sampled, state: String::new() }), "{text}");
        }
    }

    #[test]
    fn a_malformed_parent_is_none() {
        let (zeros, short) = ("0".repeat(32), &TRACE[1..]);
        for text in [
            "",
            "nonsense",
            &format!("00-{TRACE}-{SPAN}"),
            &format!("00-{TRACE}-{SPAN}-"),
            &format!("00-{TRACE}-{SPAN}-1"),
            &format!("00-{TRACE}-{SPAN}-01-"),
            &format!("00-{TRACE}-{SPAN}-01-more"),
            &format!("cc-{TRACE}-{SPAN}-01.more"),
            &format!("cc-{TRACE}-{SPAN}-011"),
            &format!("ff-{TRACE}-{SPAN}-01"),
            &format!("0x-{TRACE}-{SPAN}-01"),
            &format!("00-{zeros}-{SPAN}-01"),
            &format!("00-{TRACE}-{}-01", &zeros[..16]),
            &format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            &format!("00-{TRACE}-{SPAN}-0A"),
            &format!("00-{TRACE}-{SPAN}-+1"),
            &format!("00-+{short}-{SPAN}-01"),
            &format!("00-{short}-0{SPAN}-01"),
            &format!("00-{TRACE}_{SPAN}_01"),
        ] {
            assert_eq!(Parent::of(&headers(&[text], &["a=1"])), None, "{text:?}");
        }
    }

    #[test]
    fn a_repeated_parent_is_none() {
        let text = format!("00-{TRACE}-{SPAN}-01");

        assert_eq!(Parent::of(&headers(&[&text, &text], &[])), None);
        assert_eq!(Parent::of(&HeaderMap::new()), None);
    }

    #[test]
    fn tracestate_keeps_its_order_and_a_malformed_one_does_not_affect_the_parent() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let long = [format!("a={}", "1".repeat(253)), format!("b={}", "2".repeat(254))];
        let longest = long.join(",");
        for (states, kept) in [
            (&["congo=t61,rojo=00f0"][..], "congo=t61,rojo=00f0"),
            (&["congo=t61", "rojo=00f0"], "congo=t61,rojo=00f0"),
            (&["congo=t61", "Rojo"], ""),
            (&[&longest], &longest),
            (&[&longest, "c=3"], ""),
            (&[], ""),
        ] {
            assert_eq!(Parent::of(&headers(&[&text], states)).unwrap().state, kept, "{states:?}");
        }
    }
}
