//! The body of an answer, while it is sent.
//!
//! On HTTP/2, the task of a stream can cancel only what h2 still waits to send. So the last byte of an answer with a
//! deadline is a piece of its own: the task lives until the peer's window has room for the whole answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::stream_task;
use crate::server::{
    delivery::Reply,
    open_ended::OpenEnded,
    peer_timeouts::{Exchange, FrameGate, HandOver, PartGuard, Protocol},
};

/// An answer's body. The exchange ends when its last bytes are written or dropped.
pub(super) struct AnswerBody<B> {
    body: Option<B>,
    protocol: Protocol,
    /// Dropped with the last bytes.
    exchange: Option<Exchange>,
    /// The last byte of an answer whose other bytes have been yielded.
    last: Option<Bytes>,
    frames: Option<Frames>,
    _hand_over: Option<HandOver>,
}

/// The frames of an open-ended body, one at a time.
struct Frames {
    deadlines: OpenEnded,
    /// Open when the last frame has left.
    gate: FrameGate,
}

/// Bytes of an answer that hyper or h2 has not written yet.
pub(super) struct AnswerData {
    data: Bytes,
    /// Present with the answer's last bytes.
    exchange: Option<Exchange>,
    /// Present with bytes that are not the answer's last, if the answer has a deadline or is open-ended.
    part: Option<PartGuard>,
}

impl AnswerData {
    fn note_written(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.note_written();
        }
        if let Some(part) = &self.part {
            part.note_written();
        }
    }
}

impl Buf for AnswerData {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.note_written();
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        self.note_written();
        self.data.copy_to_bytes(len)
    }
}

impl<B: Body<Data = Bytes>> AnswerBody<B> {
    /// Wraps the body of an exchange's answer. `frames` is set if the answer is open-ended.
    pub(super) fn new(
        body: Option<B>,
        exchange: Exchange,
        protocol: Protocol,
        frames: Option<OpenEnded>,
    ) -> Self {
        let is_empty = body.as_ref().is_none_or(Body::is_end_stream);
        let hand_over = if protocol == Protocol::Http2 { exchange.hand_over() } else { None };
        Self {
            body,
            protocol,
            exchange: Some(exchange),
            last: None,
            frames: frames.map(|deadlines| Frames { deadlines, gate: FrameGate::default() }),
            // A head without a body does not wait for the peer's window: the connection holds it from now on.
            _hand_over: hand_over.filter(|_| !is_empty),
        }
    }

    /// The next piece of the body's data.
    fn piece(&mut self, mut data: Bytes) -> AnswerData {
        let is_last = self.body.as_ref().is_none_or(Body::is_end_stream);
        let Some(exchange) = &self.exchange else { return AnswerData { data, exchange: None, part: None } };
        if let Some(Frames { deadlines, gate }) = &self.frames {
            let (part, deadline) = exchange.frame(deadlines.take_bound(), self.protocol, gate);
            stream_task::bound_frame(deadline, gate);
            return AnswerData { data, exchange: None, part: Some(part) };
        }
        let part = if self.protocol == Protocol::Http2 { exchange.part() } else { None };
        if is_last && part.is_some() && data.len() > 1 {
            self.last = Some(data.split_off(data.len() - 1));
        } else if is_last {
            return AnswerData { data, exchange: self.exchange.take(), part: None };
        }
        AnswerData { data, exchange: None, part }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = AnswerData;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let this = self.get_mut();
        if let Some(data) = this.last.take() {
            let exchange = this.exchange.take();
            return Poll::Ready(Some(Ok(Frame::data(AnswerData { data, exchange, part: None }))));
        }
        if let Some(frames) = &this.frames {
            ready!(frames.gate.poll_open(cx));
        }
        let polled = match &mut this.body {
            Some(body) => ready!(Pin::new(body).poll_frame(cx)),
            None => None,
        };
        let Some(frame) = polled else {
            if let Some(exchange) = &this.exchange {
                exchange.end();
            }
            return Poll::Ready(None);
        };
        Poll::Ready(Some(frame.map(|frame| frame.map_data(|data| this.piece(data)))))
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The answer to a head that has too many fields.
pub(super) fn refused_head<B>() -> Reply<Option<B>> {
    let mut refusal = Response::new(None);
    *refusal.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    refusal.into()
}
