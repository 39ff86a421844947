//! The stored form of names and values: keyed digests of names, and encrypted values.
//!
//! A plain digest of an account's name could be found with a dictionary. A value that is not bound to its place could
//! be moved to another.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretBox};

use crate::domain::{BalanceKey, Turn};

/// Part of every derivation, so that another version of the format shares no key with this one.
const FORMAT: &[u8] = b"balance-gateway shared 1";
/// A digest is cut to this many bytes: still long enough that two names with the same digest cannot be found.
const NAME_LENGTH: usize = 16;

/// One key of the shared store: 32 random bytes.
pub type SharedKey = SecretBox<[u8; 32]>;

/// All keys: the first encrypts, every key decrypts, the last derives names.
#[derive(Debug)]
pub(super) struct Keyring {
    seals: Vec<Prk>,
    names: hmac::Key,
}

/// Encrypts and decrypts one balance.
#[derive(Debug)]
pub(super) struct Seal {
    keys: Vec<RandomizedNonceKey>,
    place: String,
}

/// No configured key decrypts the value for this place and turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsealable;

/// The length of a derived key.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Keyring {
    /// `None` without a key, which the configuration refuses.
    pub(super) fn new(keys: &[Arc<SharedKey>]) -> Option<Self> {
        let extract = |key: &Arc<SharedKey>| Salt::new(HKDF_SHA256, FORMAT).extract(key.expose_secret());
        let seals: Vec<Prk> = keys.iter().map(extract).collect();
        let names = derived(seals.last()?, &[b"names"])?;
        Some(Self { names: hmac::Key::new(hmac::HMAC_SHA256, &names), seals })
    }

    /// A name in the store: a keyed digest of what it names and its parts, in hexadecimal digits.
    pub(super) fn name(&self, what: &str, parts: &[&[u8]]) -> String {
        let mut digest = hmac::Context::with_key(&self.names);
        for part in [what.as_bytes()].iter().chain(parts) {
            // The length in front keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        let digest = digest.sign();
        let (name, _) = digest.as_ref().split_at(NAME_LENGTH);
        let name = name.iter().fold(0_u128, |name, byte| name << 8 | u128::from(*byte));
        format!("{name:032x}")
    }

    /// The cipher for the snapshots of a balance; `place` is their key in the store.
    pub(super) fn seal(&self, balance: &BalanceKey, place: String) -> Seal {
        let key = |prk: &Prk| {
            let key = derived(prk, &[b"seal", balance.as_bytes()])?;
            RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
        };
        Seal { keys: self.seals.iter().filter_map(key).collect(), place }
    }
}

impl Seal {
    /// Encrypts a snapshot of this turn; `None` if the system has no random numbers.
    pub(super) fn close(&self, body: &[u8], turn: Turn) -> Option<Vec<u8>> {
        let mut sealed = body.to_vec();
        let nonce = self.keys.first()?.seal_in_place_append_tag(self.bound_to(turn), &mut sealed).ok()?;
        Some([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Decrypts a value that was encrypted for this place and turn.
    pub(super) fn open(&self, sealed: &[u8], turn: Turn) -> Result<Vec<u8>, Unsealable> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let open = |key: &RandomizedNonceKey| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut opened = sealed.to_vec();
            let length = key.open_in_place(nonce, self.bound_to(turn), &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        };
        self.keys.iter().find_map(open).ok_or(Unsealable)
    }

    fn bound_to(&self, turn: Turn) -> Aad<Vec<u8>> {
        let (number, instant) = (turn.number.to_be_bytes(), turn.instant.as_micros().to_be_bytes());
        Aad::from([FORMAT, self.place.as_bytes(), &number, &instant].concat())
    }
}

fn derived(key: &Prk, purpose: &[&[u8]]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let derived = key.expand(purpose, Length(bytes.len())).ok()?;
    derived.fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountName, Selector, StoreTime};

    fn key(byte: u8) -> Arc<SharedKey> {
        Arc::new(SecretBox::new(Box::new([byte; 32])))
    }

    fn balance(account: &str) -> BalanceKey {
        BalanceKey::new(&AccountName::parse(account).unwrap(), &["p"], &Selector::default())
    }

    fn seal(keys: &[Arc<SharedKey>], account: &str) -> Seal {
        let keyring = Keyring::new(keys).unwrap();
        let name = keyring.name("balance", &[balance(account).as_bytes()]);
        keyring.seal(&balance(account), name)
    }

    const TURN: Turn = Turn { number: 7, instant: StoreTime::from_micros(9) };

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_turn() {
        let own = seal(&[key(1)], "a");
        let sealed = own.close(b"48734.90", TURN).unwrap();

        assert_eq!(own.open(&sealed, TURN).unwrap(), b"48734.90");
        assert_ne!(own.close(b"48734.90", TURN).unwrap(), sealed, "each has a nonce of its own");
        assert!(!sealed.windows(5).any(|part| part == b"48734"));
        for turn in [Turn { number: 8, ..TURN }, Turn { instant: StoreTime::from_micros(10), ..TURN }] {
            assert_eq!(own.open(&sealed, turn), Err(Unsealable));
        }
        assert_eq!(seal(&[key(1)], "b").open(&sealed, TURN), Err(Unsealable));
        assert_eq!(seal(&[key(2)], "a").open(&sealed, TURN), Err(Unsealable));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(own.open(&changed, TURN), Err(Unsealable), "{place}");
        }
        for length in [0, 1, NONCE_LEN, sealed.len() - 1] {
            assert_eq!(own.open(&sealed[..length], TURN), Err(Unsealable), "{length}");
        }
    }

    #[test]
    fn during_a_key_rotation_all_replicas_decrypt_and_name_alike() {
        let before = seal(&[key(1)], "a").close(b"x", TURN).unwrap();
        let stages = [vec![key(1), key(2), key(1)], vec![key(2), key(1)]];
        for keys in stages {
            let rotating = seal(&keys, "a");
            assert_eq!(rotating.place, seal(&[key(1)], "a").place);
            assert_eq!(rotating.open(&before, TURN).unwrap(), b"x");
        }
        let after = seal(&[key(2)], "a");
        assert_ne!(after.place, seal(&[key(1)], "a").place);
        assert_eq!(after.open(&before, TURN), Err(Unsealable));
    }

    #[test]
    fn names_of_different_parts_differ() {
        let keyring = Keyring::new(&[key(1)]).unwrap();
        let names =
            [keyring.name("a", &[b"bc"]), keyring.name("ab", &[b"c"]), keyring.name("a", &[b"b", b"c"])];

        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 3);
        assert!(names.iter().all(|name| name.len() == 2 * NAME_LENGTH));
        assert!(Keyring::new(&[]).is_none());
    }
}
