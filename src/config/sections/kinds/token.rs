//! `[kinds.NAME.token]`: how secrets are exchanged for a token, and where the answer holds the token.

use std::time::Duration;

use super::body::read_body;
use super::texts::{Basic, Headers, PathTemplate};
use crate::config::reader::{Read, Section};
use crate::config::values::BaseUrl;
use crate::providers::declared::{Pointer, TokenEndpoint, TokenLife, TokenTemplate};

const EXPECTED: &str = "{ path = \"/oauth/token\", basic = [\"{client_id}\", \"{client_secret}\"], \
     form = { grant_type = \"client_credentials\" }, at = \"/access_token\", seconds = \"/expires_in\" }";
/// No token is used longer.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// Reads the exchange. Whether its token must be a bearer token depends on the headers of the balance's request.
pub(in crate::config) fn read(section: &mut Section<'_>) -> Read<Option<TokenTemplate>> {
    let Some(value) = section.value("token") else { return Ok(None) };
    let mut token = value.section(EXPECTED)?;
    let endpoint = read_endpoint(&mut token);
    let basic: Read<Option<Basic>> = token.optional("basic");
    let headers: Read<Option<Headers>> = token.optional("headers");
    let body = read_body(&mut token);
    let at: Read<Pointer> = token.required("at");
    let life = read_life(&mut token);
    let shown = token.inline();
    token.close();
    section.show_text("token", shown);
    Ok(Some(TokenTemplate {
        endpoint: endpoint?,
        basic: basic?.map(|basic| basic.0),
        headers: headers?.map(|headers| headers.0).unwrap_or_default(),
        body: body?,
        at: at?,
        life: life?,
        is_bearer: false,
    }))
}

fn read_endpoint(token: &mut Section<'_>) -> Read<TokenEndpoint> {
    let path: Read<Option<PathTemplate>> = token.optional("path");
    let url: Read<Option<BaseUrl>> = token.optional("url");
    match (path?, url?) {
        (Some(path), None) => Ok(TokenEndpoint::Path(path.0)),
        (None, Some(url)) => Ok(TokenEndpoint::Url(url.0)),
        _ => Err(token.wrong("path", "expected exactly one of path and url")),
    }
}

fn read_life(token: &mut Section<'_>) -> Read<TokenLife> {
    let seconds: Read<Option<Pointer>> = token.optional("seconds");
    let until: Read<Option<Pointer>> = token.optional("until");
    let life: Read<Option<Duration>> = token.optional("life");
    match (seconds?, until?, life?) {
        (Some(at), None, None) => Ok(TokenLife::Seconds(at)),
        (None, Some(at), None) => Ok(TokenLife::Until(at)),
        (None, None, Some(life)) if !life.is_zero() && life <= LONGEST_LIFE => Ok(TokenLife::Fixed(life)),
        (None, None, Some(_)) => Err(token.wrong("life", "expected more than 0s and at most 24h")),
        _ => Err(token.wrong("seconds", "expected exactly one of seconds, until and life")),
    }
}
