//! The readable facts of a certificate: its validity, and whether it is self-issued. Nothing is verified here.

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::Offset;

const SEQUENCE: u8 = 0x30;
/// The version; certificates of version 1 omit it.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The readable parts of one certificate (RFC 5280, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether it names itself as its issuer.
    pub is_self_issued: bool,
}

impl CertificateFacts {
    /// Reads a certificate in DER; `None` when it cannot be read.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut certificate = Elements(der);
        let mut signed = Elements(certificate.expect(SEQUENCE)?);
        let mut fields = Elements(signed.expect(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.next()?;
        }
        let (_serial, _algorithm) = (fields.next()?, fields.next()?);
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Elements(fields.expect(SEQUENCE)?);
        let subject = fields.expect(SEQUENCE)?;
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        Some(Self { not_before, not_after, is_self_issued: issuer == subject })
    }
}

/// DER elements that follow each other.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    /// Tag and contents.
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&tag, rest) = self.0.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            // Certificates are below 16 MiB.
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }
}

impl<'a> Elements<'a> {
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }
}

/// A time of either form; both are in UTC.
fn time((tag, digits): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            // RFC 5280, section 4.1.2.5.1.
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |index: usize| rest.get(2 * index..2 * index + 2)?.parse::<i8>().ok();
    let date = civil::Date::new(year, part(0)?, part(1)?).ok()?;
    let time = civil::Time::new(part(2)?, part(3)?, part(4)?, 0).ok()?;
    Offset::UTC.to_timestamp(date.to_datetime(time)).ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_validity_of_a_certificate_is_read() {
        for (year, text) in [(2031, "2031-02-03T00:00:00Z"), (2071, "2071-02-03T00:00:00Z")] {
            let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(2001, 12, 31);
            params.not_after = date_time_ymd(year, 2, 3);
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();

            let facts = CertificateFacts::read(der.der()).unwrap();

            assert_eq!(facts.not_before.to_string(), "2001-12-31T00:00:00Z");
            assert_eq!(facts.not_after.to_string(), text);
            assert!(facts.is_self_issued);
        }
    }

    #[test]
    fn anything_else_is_no_certificate() {
        let der = CertificateParams::new([]).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
        for length in 0..der.der().len().min(120) {
            assert_eq!(CertificateFacts::read(&der.der()[..length]), None, "{length}");
        }
        assert_eq!(CertificateFacts::read(b"\x30\x84\xff\xff\xff\xff"), None);
    }
}
