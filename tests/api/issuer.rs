//! An issuer of service-account tokens: its keys, its tokens, and a server for its keys.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SigningKey};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::record;

pub(crate) const NAME: &str = "https://kubernetes.default.svc.cluster.local";
pub(crate) const AUDIENCE: &str = "balance-gateway";

/// A key pair with a name.
pub(crate) struct Key {
    pub(crate) kid: &'static str,
    is_rsa: bool,
    pub(crate) pair: KeyPair,
}

impl Key {
    pub(crate) fn rsa(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        Self { kid, is_rsa: true, pair }
    }

    pub(crate) fn ec(kid: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self { kid, is_rsa: false, pair }
    }

    /// The public key as a member of a key set.
    pub(crate) fn jwk(&self) -> Value {
        let raw = self.pair.public_key_raw();
        if self.is_rsa {
            // 2048 bits as a sequence of two integers: 4 bytes, 4 more and a zero before the first, 2 before the
            // second.
            assert_eq!((raw.len(), raw[8]), (270, 0));
            let (n, e) = (encode(&raw[9..265]), encode(&raw[267..]));
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e})
        } else {
            let (x, y) = (encode(&raw[1..33]), encode(&raw[33..]));
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": x, "y": y})
        }
    }

    /// A token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let algorithm = if self.is_rsa { "RS256" } else { "ES256" };
        self.sign_with(&json!({"alg": algorithm, "kid": self.kid}), claims)
    }

    /// A token with any header, signed with this key.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = if self.is_rsa {
            encode(&self.pair.sign(signed.as_bytes()).unwrap())
        } else {
            let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
            jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).unwrap()
        };
        kept_secret(format!("{signed}.{signature}"))
    }
}

/// A token "signed" with a public text.
pub(crate) fn sign_hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = unsigned(header, claims);
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    kept_secret(format!("{signed}.{signature}"))
}

/// Header and claims, the signed part of a token.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()))
}

fn kept_secret(token: String) -> String {
    record("secrets", &token);
    token
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a token for an hour, as Kubernetes writes them.
pub(crate) fn claims(service_account: &str) -> Value {
    let now = seconds();
    let (namespace, name) = service_account.split_once('/').unwrap();
    json!({
        "iss": NAME,
        "aud": [AUDIENCE],
        "exp": now + 3600,
        "iat": now,
        "nbf": now,
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "1"}},
    })
}

/// This moment in Unix seconds.
pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A key set with these keys.
pub(crate) fn jwks(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// The server's reaction to a request.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers with this status and body.
    Answer(u16, String),
    /// Redirects to another address.
    Redirect(String),
    /// Sends nothing.
    Hang,
    /// Begins an answer that never ends.
    Endless,
}

/// The server that hands out keys.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: Arc<AtomicUsize>,
    /// The head of the last request.
    last: Arc<Mutex<String>>,
}

impl Server {
    /// Starts in plain text, or with this TLS.
    pub(crate) async fn start(behaviour: Behaviour, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            behaviour: Arc::new(Mutex::new(behaviour)),
            requests: Arc::default(),
            last: Arc::default(),
        };
        let (behaviour, requests, last) =
            (Arc::clone(&server.behaviour), Arc::clone(&server.requests), Arc::clone(&server.last));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (behaviour, requests, last) =
                    (Arc::clone(&behaviour), Arc::clone(&requests), Arc::clone(&last));
                let tls = tls.clone();
                tokio::spawn(async move {
                    let begun = |head| {
                        requests.fetch_add(1, Ordering::SeqCst);
                        *last.lock().unwrap() = head;
                        behaviour.lock().unwrap().clone()
                    };
                    match tls {
                        None => answer(stream, begun).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, begun).await,
                            Err(_) => Ok(()),
                        },
                    }
                });
            }
        });
        server
    }

    /// Answers in this way from now on.
    pub(crate) fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// The head of the last request.
    pub(crate) fn last_head(&self) -> String {
        self.last.lock().unwrap().clone()
    }
}

/// Answers one request and closes.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    begun: impl FnOnce(String) -> Behaviour,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let answer = match begun(String::from_utf8_lossy(&head).into_owned()) {
        Behaviour::Answer(status, body) => {
            let length = body.len();
            format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        }
        Behaviour::Redirect(url) => {
            format!("HTTP/1.1 302 X\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        Behaviour::Hang => {
            // Silent until the client gives up.
            return stream.read_to_end(&mut Vec::new()).await.map(drop);
        }
        Behaviour::Endless => {
            stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{\"keys\": [").await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?;
            }
        }
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
