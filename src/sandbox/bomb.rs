//! A small body that decompresses to a huge one: zeros in zlib format (RFC 1950, RFC 1951).

/// Number of matches: back references to the zero before, each of the longest length.
const MATCHES: usize = 40_000;
const MATCH_LENGTH: usize = 258;
/// The modulus of the checksum: the largest prime below 2^16.
const ADLER_MODULUS: usize = 65_521;

/// Returns just under 64 KiB that decompress to ten megabytes of zeros.
pub(super) fn packed_zeros() -> Vec<u8> {
    packed(MATCHES)
}

/// Returns one zero and this many matches, as one final block with the fixed Huffman codes.
fn packed(matches: usize) -> Vec<u8> {
    let (header, zero, end) = ("110", "00110000", "0000000");
    // A match of 258 bytes at distance 1.
    let r#match = "1100010100000";
    let bits = [header, zero, &r#match.repeat(matches), end].concat();
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte * 2 + (bit - b'0'));
    let block = bits.as_bytes().chunks(8).map(byte);
    let length = 1 + matches * MATCH_LENGTH;
    let checksum = (length % ADLER_MODULUS) << 16 | 1;
    let checksum = u32::try_from(checksum).unwrap_or_default().to_be_bytes();
    [0x78, 0x01].into_iter().chain(block).chain(checksum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_of_other_implementations() {
        // `zlib.decompress` of Python returns 1 + 3 × 258 zeros.
        let expected = [0x78, 0x01, 0x63, 0x18, 0x05, 0xa3, 0x60, 0x14, 0x00, 0x00, 0x03, 0x07, 0x00, 0x01];

        assert_eq!(packed(3), expected);
    }

    #[test]
    fn a_small_body_decompresses_to_a_huge_one() {
        assert!(packed_zeros().len() < 64 * 1024);
        const { assert!(MATCHES * MATCH_LENGTH > 10_000_000) };
    }
}
