//! One `[kinds.NAME]`.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::request::Requesting;
use super::{examples, mapping, request, rules};
use crate::config::reader::{Read, Section};
use crate::domain::ProviderName;
use crate::providers::declared::{Declaration, Declared, Mapping};
use crate::providers::{Provider, REGISTRY, find};

pub(in crate::config) fn read(name: &str, section: &mut Section<'_>) -> Read<Arc<Declared>> {
    let named = check_name(name, section);
    let requesting = request::read(section);
    let judged = requesting
        .as_ref()
        .map_or_else(|reported| Err(*reported), |requesting| rules::check(section, requesting));
    let is_recorded = section.recorded_account().is_some();
    let mapping = if is_recorded { mapping::read_currency_alone(section) } else { mapping::read(section) };
    let lag: Read<Option<Duration>> = section.optional("lags");
    let digest = digest(&section.inline());
    let examples = if is_recorded { Ok(()) } else { examples::read(section, mapping.as_ref().ok()) };
    named.and(judged).and(examples)?;
    let declaration = declaration(name, digest, requesting?, mapping?, lag?);
    Ok(Arc::new(Declared::new(declaration)))
}

pub(super) fn declaration(
    name: &str,
    digest: String,
    requesting: Requesting,
    mapping: Mapping,
    lag: Option<Duration>,
) -> Declaration {
    let Requesting { base_url, secrets, parameters, request, token, wait } = requesting;
    Declaration {
        name: name.to_owned(),
        digest,
        base_url,
        secrets,
        parameters,
        request,
        token,
        mapping,
        lag,
        wait,
    }
}

fn check_name(name: &str, section: &Section<'_>) -> Read<()> {
    ProviderName::parse(name).map_err(|error| section.wrong("", &error.to_string()))?;
    if find(name).is_some() {
        let built_in: Vec<&str> = REGISTRY.into_iter().map(Provider::kind).collect();
        let expected = format!("expected another name than the built-in kinds have: {}", built_in.join(", "));
        return Err(section.wrong("", &expected));
    }
    Ok(())
}

/// A digest of everything that was read so far, in its effective form: comments and blanks do not change it.
fn digest(effective: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(effective).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
