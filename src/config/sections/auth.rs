//! `[auth.kubernetes]`: the issuer whose service-account tokens identify callers.

use crate::auth::Jwks;
use crate::config::reader::{Read, Section, Setting, Value, quoted};
use crate::config::values::{Authority, DocumentUrl, FilePath, Placeholder, Secret, Source};
use crate::upstream::JwksSettings;

/// The accepted issuer and audience.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// The required `iss` of a token.
    pub issuer: String,
    /// The required `aud` of a token.
    pub audience: String,
    /// The source of the keys.
    pub jwks: JwksConfig,
}

/// The source of an issuer's keys.
#[derive(Clone, Debug)]
pub enum JwksConfig {
    /// The contents of a file.
    File(Jwks),
    /// A URL to fetch them from.
    Url(JwksSettings),
}

/// A name that is compared verbatim.
struct Name(String);

impl Setting for Name {
    const EXPECTED: &'static str = "a text that is not empty";

    fn read(value: &Value<'_>) -> Read<Self> {
        value.text(Self::EXPECTED, |text| (!text.is_empty()).then(|| Self(text.to_owned())))
    }

    fn show(&self) -> String {
        quoted(&self.0)
    }
}

/// The keys, and the shown text of their source.
struct Keys(JwksConfig, String);

impl Setting for Keys {
    const EXPECTED: &'static str =
        "{ file = \"…\" } or { url = \"https://…\" }, a url optionally with ca and token";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let file: Read<Option<FilePath>> = section.optional("file");
        let url: Read<Option<DocumentUrl>> = section.optional("url");
        if let Ok(Some(DocumentUrl(url))) = &url {
            section.note_destination("url", url.clone());
        }
        let ca: Read<Option<Authority>> = section.optional("ca");
        let token: Read<Option<Secret>> = section.optional("token");
        let is_asked = section.has("ca") || section.has("token");
        let shown = section.inline();
        section.close();
        let source = match (file?, url?) {
            (Some(file), None) if !is_asked => JwksConfig::File(read_keys(value, file)?),
            (None, Some(DocumentUrl(url))) => JwksConfig::Url(JwksSettings {
                url,
                ca: ca?.map(|ca| ca.pem),
                token: token?.map(|token| token.0),
            }),
            _ => return Err(value.wrong(&format!("expected either {}", Self::EXPECTED))),
        };
        Ok(Self(source, shown))
    }

    fn show(&self) -> String {
        self.1.clone()
    }
}

fn read_keys(value: &Value<'_>, FilePath(file): FilePath) -> Read<Jwks> {
    Source::File(file).read_as(value, |contents, source| {
        Jwks::parse(contents).map_err(|error| format!("{error} in {source}"))
    })
}

impl Placeholder for Jwks {
    fn placeholder(_: &Source) -> Self {
        Self::default()
    }
}

/// Reads the section; `None` without `[auth.kubernetes]`.
pub(in crate::config) fn read(mut root: Section<'_>) -> Read<Option<KubernetesConfig>> {
    let is_written = root.has("kubernetes");
    let mut section = root.section("kubernetes");
    if !is_written {
        root.close();
        return Ok(None);
    }
    let issuer = section.required("issuer");
    let audience = section.required("audience");
    let source = section.required("jwks");
    section.close_and_record();
    root.close();
    let (Name(issuer), Name(audience), Keys(jwks, _)) = (issuer?, audience?, source?);
    Ok(Some(KubernetesConfig { issuer, audience, jwks }))
}
