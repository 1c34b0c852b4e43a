//! Splits a stream into messages as it arrives. Each message is passed, buffered until it is complete, or
//! dropped.

use ootheca_pg_protocol::{
    ProtocolViolation,
    message::{HEADER_LENGTH, Header},
};

/// What to do with a message, according to its type and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Append the bytes as they arrive.
    Pass,
    /// Buffer the message until it is complete.
    Buffer,
    Drop,
}

/// Handles the messages of one direction.
pub(super) trait FrameHandler {
    /// Called when a header is complete. May append another message in place of a dropped one.
    fn begin(&mut self, kind: u8, length: usize, out: &mut Vec<u8>) -> Action;
    /// Called when a buffered message is complete. Passes the message by appending it.
    fn complete(&mut self, message: WholeMessage<'_>, out: &mut Vec<u8>);
}

/// A buffered message.
#[derive(Clone, Copy)]
pub(super) struct WholeMessage<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
    /// The message with its header.
    pub(super) bytes: &'a [u8],
}

/// The capacity that the buffer keeps between messages.
const KEPT_CAPACITY: usize = 1024;

/// The position in the stream.
#[derive(Default)]
pub(super) struct Frames {
    /// The start of a header, or of a message that is buffered.
    pub(super) buffer: Vec<u8>,
    /// The number of missing bytes of a message, and what to do with them; `None` within a header.
    rest: Option<(usize, Action)>,
}

impl Frames {
    /// Takes the next bytes, and appends those that pass. An incomplete header is held back.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        handler: &mut impl FrameHandler,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolViolation> {
        while !bytes.is_empty() {
            let wanted = match self.rest {
                Some((rest, _)) => rest,
                None => HEADER_LENGTH.saturating_sub(self.buffer.len()),
            };
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            let Some((rest, action)) = self.rest else {
                self.buffer.extend_from_slice(now);
                if let Ok(header) = <[u8; HEADER_LENGTH]>::try_from(self.buffer.as_slice()) {
                    let header = Header::parse(header, usize::MAX)?;
                    self.begin(header.kind, header.body_length, handler, out);
                }
                continue;
            };
            match action {
                Action::Pass => out.extend_from_slice(now),
                Action::Buffer => self.buffer.extend_from_slice(now),
                Action::Drop => {}
            }
            self.rest = Some((rest - now.len(), action));
            self.end(handler, out);
        }
        Ok(())
    }

    fn begin(&mut self, kind: u8, length: usize, handler: &mut impl FrameHandler, out: &mut Vec<u8>) {
        let action = handler.begin(kind, length, out);
        if action == Action::Pass {
            out.extend_from_slice(&self.buffer);
        }
        if action != Action::Buffer {
            self.buffer.clear();
        }
        self.rest = Some((length, action));
        self.end(handler, out);
    }

    /// Ends the message if it is complete.
    fn end(&mut self, handler: &mut impl FrameHandler, out: &mut Vec<u8>) {
        let Some((0, action)) = self.rest else { return };
        self.rest = None;
        if let (Action::Buffer, [kind, _, _, _, _, body @ ..]) = (action, self.buffer.as_slice()) {
            handler.complete(WholeMessage { kind: *kind, body, bytes: &self.buffer }, out);
        }
        // A long message must not occupy memory for the rest of the session.
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_CAPACITY);
    }
}
