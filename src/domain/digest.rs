//! Hashes keys that are digests already, or parts of one: their first bytes are as good as any hash of them.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds the hasher of a map whose keys are digests. Keys that others may choose freely do not belong in one.
pub type DigestState = BuildHasherDefault<DigestHasher>;

/// Takes the first eight bytes of what is written last.
#[derive(Clone, Copy, Debug, Default)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, digest: &[u8]) {
        self.0 = digest.first_chunk().map_or(0, |first| u64::from_ne_bytes(*first));
    }

    /// A digest's length, which is always the same.
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
