//! Faults as JSON. A misspelt setting is an error. It is never ignored.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

use super::kind::FaultKind;
use super::queue::{Fault, On};

// By hand, because serde cannot refuse unknown fields beside a flattened enum.
impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::<String, Value>::deserialize(deserializer)?;
        let on = match fields.remove("on") {
            Some(on) => On::deserialize(on).map_err(D::Error::custom)?,
            None => On::Any,
        };
        let times = match fields.remove("times") {
            Some(times) => u32::deserialize(times).map_err(D::Error::custom)?,
            None => 1,
        };
        if times == 0 {
            return Err(D::Error::custom("`times` must be at least 1"));
        }
        // Only `kind` and its settings are left.
        let setting_count = fields.len().saturating_sub(1);
        let kind = FaultKind::deserialize(Value::Object(fields)).map_err(D::Error::custom)?;
        if setting_count > 0 && !kind.has_settings() {
            let message = format!("`{}` takes no settings", kind.name());
            return Err(D::Error::custom(message));
        }
        Ok(Self { on, times, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Fault, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_is_parsed_with_its_settings() {
        let table = [
            (
                r#"{"on":"balance","times":2,"kind":"status","status":503,"retry_after":"20"}"#,
                Fault::on_balance(FaultKind::Status {
                    status: 503,
                    retry_after: Some("20".to_owned()),
                    body: None,
                })
                .times(2),
            ),
            (r#"{"kind":"reset"}"#, Fault::on_any(FaultKind::Reset)),
            (
                r#"{"kind":"body_bytes","hex":"00fF7b"}"#,
                Fault::on_any(FaultKind::BodyBytes { bytes: vec![0x00, 0xff, 0x7b] }),
            ),
            (
                r#"{"on":"token","kind":"headers","headers":[["Age","5"]]}"#,
                Fault::on_token(FaultKind::Headers { headers: vec![("Age".to_owned(), "5".to_owned())] }),
            ),
            (r#"{"on":"any","kind":"refuse_token"}"#, Fault::on_any(FaultKind::RefuseToken { status: 401 })),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_bad_fault_is_refused_with_a_reason() {
        let table = [
            (r#"{"kind":"explode"}"#, "unknown variant `explode`"),
            (r#"{"times":2}"#, "missing field `kind`"),
            (r#"{"kind":"reset","ms":5}"#, "`reset` takes no settings"),
            (r#"{"kind":"delay"}"#, "missing field `ms`"),
            (r#"{"kind":"delay","ms":5,"s":1}"#, "unknown field `s`"),
            (r#"{"kind":"reset","times":0}"#, "`times` must be at least 1"),
            (r#"{"kind":"status","status":101}"#, "from 200 to 599"),
            (r#"{"kind":"informational","status":200,"count":1}"#, "from 100 to 199"),
            (r#"{"kind":"body_bytes","hex":"abc"}"#, "hexadecimal"),
            (r#"{"kind":"reset","on":"never"}"#, "unknown variant `never`"),
        ];
        for (text, reason) in table {
            let error = parse(text).unwrap_err();

            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn every_fault_is_parsed_under_its_own_name() {
        let settings = [
            "",
            r#","ms":1"#,
            r#","status":500"#,
            r#","ms_per_byte":1"#,
            r#","location":"/""#,
            r#","text":"""#,
            r#","hex":"""#,
            r#","bytes":1"#,
            r#","value":"""#,
            r#","headers":[]"#,
            r#","status":100,"count":1"#,
        ];
        let names = "status delay stall_head stall_body slow_body cut_body reset close redirect \
            garbage body body_bytes huge_body content_type headers expire_token refuse_token \
            chunked_invalid cut_chunk endless_headers informational compressed_bomb";
        for name in names.split(' ').filter(|name| !name.is_empty()) {
            let parsed =
                settings.iter().find_map(|settings| parse(&format!(r#"{{"kind":"{name}"{settings}}}"#)).ok());

            assert_eq!(parsed.map(|fault| fault.kind.name()), Some(name));
        }
    }
}
