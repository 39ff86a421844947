//! A hasher for keys that are digests: their first bytes already are a good hash.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds the hasher of a map whose keys are digests. Do not use it for keys that callers can choose.
pub type DigestState = BuildHasherDefault<DigestHasher>;

/// Uses the first eight bytes of the last write.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, digest: &[u8]) {
        self.0 = digest.first_chunk().map_or(0, |first| u64::from_ne_bytes(*first));
    }

    /// The length of a digest is constant, so it is ignored.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn the_hash_of_a_digest_is_its_beginning() {
        let digest: [u8; 32] = std::array::from_fn(|index| u8::try_from(index).unwrap());

        let hash = DigestState::default().hash_one(digest);

        assert_eq!(hash.to_ne_bytes(), digest[..8]);
    }
}
