//! Random changes of a body of the corpus.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::Fixture;

/// The longest body that the gateway reads; see `src/upstream/client.rs`.
const LONGEST: usize = 64 * 1024;
/// Fragments to insert anywhere.
const PIECES: [&str; 16] = [
    "0",
    "00",
    "7",
    ".",
    ".5",
    "-",
    "+",
    "e9",
    "e-9",
    "E999999999999999999999",
    "\"",
    "\\u0031",
    "null",
    "NaN",
    ",",
    " ",
];

/// One change of a body.
#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    /// Flips one bit.
    Flip(Index, u32),
    /// Cuts off the rest of the body.
    Cut(Index),
    /// Removes a range of bytes.
    Drop(Index, usize),
    /// Repeats a range of bytes.
    Double(Index, usize),
    /// Continues with the rest of another body.
    Splice(Index, Index, Index),
    /// Inserts a fragment.
    Piece(Index, usize),
    /// Inserts a fragment beside a digit.
    PieceAtDigit(Index, usize),
    /// Inserts a digit many times beside a digit.
    Digits(Index, char, usize),
    /// Inserts nested arrays or objects, closed or not.
    Nest(Index, &'static str, &'static str, usize),
}

/// A random mutation; most of them change numbers.
pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = || 0..PIECES.len();
    let nesting =
        prop_oneof![Just(("[", "]")), Just(("{\"a\":", "}")), Just(("[", "")), Just(("{\"a\":", ""))];
    prop_oneof![
        1 => (any::<Index>(), 0_u32..8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        1 => any::<Index>().prop_map(Mutation::Cut),
        1 => (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Mutation::Drop(at, length)),
        1 => (any::<Index>(), 1_usize..200).prop_map(|(at, length)| Mutation::Double(at, length)),
        1 => any::<[Index; 3]>().prop_map(|[at, other, from]| Mutation::Splice(at, other, from)),
        1 => (any::<Index>(), piece()).prop_map(|(at, piece)| Mutation::Piece(at, piece)),
        6 => (any::<Index>(), piece()).prop_map(|(at, piece)| Mutation::PieceAtDigit(at, piece)),
        3 => (any::<Index>(), prop::char::range('0', '9'), prop_oneof![9 => 1_usize..30, 1 => 1_usize..LONGEST])
            .prop_map(|(at, digit, count)| Mutation::Digits(at, digit, count)),
        1 => (any::<Index>(), nesting, prop_oneof![9 => 1_usize..200, 1 => 1_usize..20_000])
            .prop_map(|(at, (open, close), depth)| Mutation::Nest(at, open, close, depth)),
    ]
}

impl Mutation {
    /// The body with this change.
    pub(crate) fn apply(&self, mut body: Vec<u8>, corpus: &[Rc<Fixture>]) -> Vec<u8> {
        let length = body.len();
        let position = |at: &Index| at.index(length + 1);
        let end = |from: usize, count: usize| (from + count).min(length);
        match self {
            Self::Flip(at, bit) if length > 0 => body[at.index(length)] ^= 1 << bit,
            Self::Flip(..) => {}
            Self::Cut(at) => body.truncate(position(at)),
            Self::Drop(at, count) => drop(body.drain(position(at)..end(position(at), *count))),
            Self::Double(at, count) => body.extend_from_within(position(at)..end(position(at), *count)),
            Self::Splice(at, other, from) => {
                let other = &corpus[other.index(corpus.len())].body;
                body.truncate(position(at));
                body.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
            Self::Piece(at, piece) => insert(&mut body, position(at), PIECES[*piece]),
            Self::PieceAtDigit(at, piece) => {
                let at = beside_a_digit(&body, *at);
                insert(&mut body, at, PIECES[*piece]);
            }
            Self::Digits(at, digit, count) => {
                let at = beside_a_digit(&body, *at);
                insert(&mut body, at, &digit.to_string().repeat(*count));
            }
            Self::Nest(at, open, close, depth) => {
                insert(&mut body, position(at), &[open.repeat(*depth), close.repeat(*depth)].concat());
            }
        }
        body.truncate(LONGEST);
        body
    }
}

fn insert(body: &mut Vec<u8>, at: usize, piece: &str) {
    body.splice(at..at, piece.bytes());
}

fn beside_a_digit(body: &[u8], at: Index) -> usize {
    let digits = body.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit());
    let positions: Vec<_> = digits.flat_map(|(position, _)| [position, position + 1]).collect();
    if positions.is_empty() { 0 } else { *at.get(&positions) }
}
