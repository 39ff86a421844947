//! Settings of faults in JSON, with their bounds.

use serde::{Deserialize, Deserializer, de::Error};

pub(super) const fn unauthorized() -> u16 {
    401
}

pub(super) fn parse_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (200..=599).contains(&status) {
        Ok(status)
    } else {
        Err(D::Error::custom("`status` must be from 200 to 599"))
    }
}

pub(super) fn parse_informational<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (100..=199).contains(&status) {
        Ok(status)
    } else {
        Err(D::Error::custom("`status` must be from 100 to 199"))
    }
}

pub(super) fn parse_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let bytes = digits.filter(|digits| digits.len() % 2 == 0).map(|digits| {
        let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte * 16 + digit);
        let bytes = digits.chunks(2).map(byte);
        bytes.filter_map(|byte| u8::try_from(byte).ok()).collect()
    });
    bytes.ok_or_else(|| D::Error::custom("`hex` is pairs of hexadecimal digits"))
}
