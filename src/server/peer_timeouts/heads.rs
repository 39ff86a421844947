//! Detects whether the received bytes end inside a head. It parses them, because hyper does not show its buffer.

/// Length of the preface, with which every HTTP/2 connection begins.
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
/// Length of a frame's head: its payload length, type, flags and stream.
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows the bytes of one connection.
#[derive(Debug)]
pub(super) enum Heads {
    /// The last three bytes. A head ends with an empty line, and nothing follows it unless its request has a body.
    Http1([u8; 3]),
    /// Frames.
    Http2(Frames),
}

#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; FRAME_HEAD],
    /// Received bytes of the frame's head.
    len: usize,
    /// Missing bytes of the frame's payload.
    missing: usize,
    /// A header block has begun and has not ended.
    has_open_fields: bool,
    /// Number of header blocks that have begun: one per request, and one per trailers.
    begun: u32,
}

impl Heads {
    pub(super) fn http1() -> Self {
        Self::Http1([0; 3])
    }

    /// Starts after this many bytes of the preface have been read.
    pub(super) fn http2(read: usize) -> Self {
        let missing = PREFACE.saturating_sub(read);
        Self::Http2(Frames { head: [0; FRAME_HEAD], len: 0, missing, has_open_fields: false, begun: 0 })
    }

    /// Follows further bytes. On HTTP/2, returns whether a complete frame or head ended in them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Http1(last) => {
                for byte in &bytes[bytes.len().saturating_sub(last.len())..] {
                    *last = [last[1], last[2], *byte];
                }
                false
            }
            Self::Http2(frames) => frames.read(bytes),
        }
    }

    /// Whether a head, or on HTTP/2 any frame, has begun and not ended. After an HTTP/1 request with a body this is
    /// unknown, and the result is false.
    pub(super) fn is_inside(&self, had_body: bool) -> bool {
        match self {
            Self::Http1(last) => !had_body && !matches!(last, [_, b'\n', b'\n'] | b"\n\r\n"),
            Self::Http2(frames) => frames.len > 0 || frames.missing > 0 || frames.has_open_fields,
        }
    }
}

impl Frames {
    /// Whether a header block has begun and has not ended.
    pub(super) fn has_open_fields(&self) -> bool {
        self.has_open_fields
    }

    /// The number of header blocks that have begun.
    pub(super) fn begun(&self) -> u32 {
        self.begun
    }

    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_ended = false;
        while let Some(byte) = bytes.first() {
            if self.missing > 0 {
                let payload = self.missing.min(bytes.len());
                self.missing -= payload;
                bytes = &bytes[payload..];
            } else {
                self.head[self.len] = *byte;
                self.len += 1;
                bytes = &bytes[1..];
                if self.len == FRAME_HEAD {
                    self.begin();
                }
            }
            has_ended |= self.len == 0 && self.missing == 0 && !self.has_open_fields;
        }
        has_ended
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.len = 0;
        self.missing = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.begun = self.begun.wrapping_add(u32::from(kind == HEADERS));
        if matches!(kind, HEADERS | CONTINUATION) {
            self.has_open_fields = flags & END_HEADERS == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_http1_a_head_ends_with_an_empty_line() {
        for (read, is_inside) in [
            (&["GET / HTTP/1.1\r\nhost: a\r\n\r\n"][..], false),
            (&["GET / HTTP/1.1\nhost: a\n\n"], false),
            (&["GET / HTTP/1.1\r\nhost: a\r\n"], true),
            (&["GET / HTTP/1.1\r\nhost: a\r\n\r\nG"], true),
            (&["GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n"], false),
            (&["GET / HTTP/1.1\r", "\n", "\r", "\n"], false),
            (&["GET / HTTP/1.1\r", "\n", "\r"], true),
        ] {
            let mut heads = Heads::http1();

            for bytes in read {
                heads.read(bytes.as_bytes());
            }

            assert_eq!(heads.is_inside(false), is_inside, "{read:?}");
            assert!(!heads.is_inside(true), "{read:?}");
        }
    }

    #[test]
    fn in_http2_frames_are_parsed_in_chunks_of_any_size() {
        let preface = vec![0; PREFACE - 3];
        let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat();
        let headers = |flags| [&[0, 0, 2, HEADERS, flags, 0, 0, 0, 1][..], &[7; 2]].concat();
        let continuation = vec![0, 0, 0, CONTINUATION, END_HEADERS, 0, 0, 0, 1];
        for (frames, is_inside) in [
            (vec![preface.clone()], false),
            (vec![preface[1..].to_vec()], true),
            (vec![preface.clone(), ping.clone()], false),
            (vec![preface.clone(), ping[..8].to_vec()], true),
            (vec![preface.clone(), ping[..16].to_vec()], true),
            (vec![preface.clone(), headers(5)], false),
            (vec![preface.clone(), headers(1)], true),
            (vec![preface.clone(), headers(1), continuation.clone()], false),
            (vec![preface, headers(1), continuation, ping[..1].to_vec()], true),
        ] {
            let bytes = frames.concat();
            for size in [1, 2, 7, bytes.len()] {
                let mut heads = Heads::http2(3);

                let has_ended = bytes.chunks(size).map(|cut| heads.read(cut)).fold(false, |a, b| a | b);

                assert_eq!(heads.is_inside(true), is_inside, "{bytes:?} by {size}");
                assert_eq!(has_ended, bytes.len() >= PREFACE - 3, "{bytes:?} by {size}");
            }
        }
    }
}
