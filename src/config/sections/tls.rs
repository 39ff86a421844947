//! `server.tls`: the certificate for callers, its key and, optionally, the authority of client certificates. These
//! settings are file names, not `{ file = … }`.

use secrecy::{ExposeSecret, SecretSlice};

use crate::config::reader::{Read, Reported, Section, Setting, Value};
use crate::config::values::{Authority, FilePath, Source};
use crate::server::{TlsError, TlsSettings};

/// The checked TLS settings.
#[derive(Clone, Debug)]
pub(super) struct ListenerTls {
    /// `None` when the files are not read.
    pub(in crate::config) settings: Option<TlsSettings>,
    shown: String,
}

/// The file of a private key.
struct KeyFile {
    file: FilePath,
    pem: SecretSlice<u8>,
}

impl Setting for KeyFile {
    const EXPECTED: &'static str = FilePath::EXPECTED;

    fn read(value: &Value<'_>) -> Read<Self> {
        let file = FilePath::read(value)?;
        let source = Source::File(file.0.clone());
        let pem = source.read_as(value, |contents, _| Ok(contents.to_vec().into()))?;
        source.warn_if_open(value);
        Ok(Self { file, pem })
    }

    fn show(&self) -> String {
        self.file.show()
    }
}

impl Setting for ListenerTls {
    const EXPECTED: &'static str =
        "{ certificate = \"/path/tls.crt\", private_key = \"/path/tls.key\" }, optionally with client_ca";

    fn read(value: &Value<'_>) -> Read<Self> {
        let mut section = value.section(Self::EXPECTED)?;
        let certificate: Read<Authority> = section.required("certificate");
        let private_key: Read<KeyFile> = section.required("private_key");
        let client_ca: Read<Option<Authority>> = section.optional("client_ca");
        let settings = match (&certificate, &private_key, &client_ca) {
            _ if !section.reads_sources() => Ok(None),
            (Ok(certificate), Ok(key), Ok(ca)) => {
                check_match(&section, certificate, key, ca.as_ref()).map(Some)
            }
            _ => Err(Reported),
        };
        let shown = section.inline();
        section.close();
        Ok(Self { settings: settings?, shown })
    }

    fn show(&self) -> String {
        self.shown.clone()
    }
}

/// Checks that the files match. In a reload, files that do not match are still being replaced: all keep their old
/// contents.
fn check_match(
    section: &Section<'_>,
    certificate: &Authority,
    key: &KeyFile,
    client_ca: Option<&Authority>,
) -> Read<TlsSettings> {
    let ca_pem = client_ca.map(|ca| &*ca.pem);
    let error = match TlsSettings::new(&certificate.pem, key.pem.expose_secret(), ca_pem) {
        Ok(settings) => return Ok(settings),
        Err(error) => error,
    };
    let (name, what, file) = match error {
        TlsError::Certificate(_) => ("certificate", "a certificate", &certificate.file),
        TlsError::PrivateKey(_) => ("private_key", "the certificate's private key", &key.file),
        TlsError::ClientCa(_) => {
            ("client_ca", "an authority", client_ca.map_or(&certificate.file, |ca| &ca.file))
        }
    };
    let problem = format!("expected {what} in PEM in the file {}, but: {error}", file.0.display());
    section.unread(name, &file.0, &problem)?;
    let certificate = section.keep_old("certificate", &certificate.pem);
    let key = section.keep_old("private_key", key.pem.expose_secret());
    let client_ca = ca_pem.map(|pem| section.keep_old("client_ca", pem));
    let settings = TlsSettings::new(
        certificate.expose_secret(),
        key.expose_secret(),
        client_ca.as_ref().map(ExposeSecret::expose_secret),
    );
    settings.map_err(|_| section.wrong(name, &problem))
}
