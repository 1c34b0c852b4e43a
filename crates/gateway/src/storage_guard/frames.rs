//! A stream of messages, cut as it comes in: each is passed on, kept until it is whole, or dropped.

use ootheca_pg_protocol::{
    ProtocolViolation,
    message::{HEADER_LENGTH, Header},
};

/// What becomes of a message, decided by its type and the length of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Goes on as it comes in.
    Pass,
    /// Is kept until it is whole, and then looked at.
    Keep,
    /// Goes nowhere.
    Drop,
}

/// Who decides about the messages of one direction.
pub(super) trait Inspect {
    /// A message begins. One that is dropped may leave another in its place.
    fn begins(&mut self, kind: u8, length: usize, out: &mut Vec<u8>) -> Fate;
    /// A kept message is whole. It is passed on by writing it.
    fn whole(&mut self, message: Message<'_>, out: &mut Vec<u8>);
}

/// A message.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    /// Its type.
    pub(super) kind: u8,
    /// What follows its length.
    pub(super) body: &'a [u8],
    /// All of it.
    pub(super) bytes: &'a [u8],
}

const USUAL: usize = 1024;

/// Where in the stream we are.
#[derive(Default)]
pub(super) struct Frames {
    /// The header, as far as it is there, or a kept message.
    pub(super) kept: Vec<u8>,
    /// What is to come of a message, and what becomes of it; `None` within a header.
    rest: Option<(usize, Fate)>,
}

impl Frames {
    /// Takes the next bytes, and writes what goes on. Up to four bytes of a header wait for the fifth.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        inspect: &mut impl Inspect,
        out: &mut Vec<u8>,
    ) -> Result<(), ProtocolViolation> {
        while !bytes.is_empty() {
            let wanted = match self.rest {
                Some((rest, _)) => rest,
                None => HEADER_LENGTH.saturating_sub(self.kept.len()),
            };
            let (now, later) = bytes.split_at(wanted.min(bytes.len()));
            bytes = later;
            let Some((rest, fate)) = self.rest else {
                self.kept.extend_from_slice(now);
                if let Ok(header) = <[u8; HEADER_LENGTH]>::try_from(self.kept.as_slice()) {
                    let header = Header::parse(header, usize::MAX)?;
                    self.begin(header.kind, header.body_length, inspect, out);
                }
                continue;
            };
            match fate {
                Fate::Pass => out.extend_from_slice(now),
                Fate::Keep => self.kept.extend_from_slice(now),
                Fate::Drop => {}
            }
            self.rest = Some((rest - now.len(), fate));
            self.end(inspect, out);
        }
        Ok(())
    }

    fn begin(&mut self, kind: u8, length: usize, inspect: &mut impl Inspect, out: &mut Vec<u8>) {
        let fate = inspect.begins(kind, length, out);
        if fate == Fate::Pass {
            out.extend_from_slice(&self.kept);
        }
        if fate != Fate::Keep {
            self.kept.clear();
        }
        self.rest = Some((length, fate));
        self.end(inspect, out);
    }

    /// Ends the message if all of it is there.
    fn end(&mut self, inspect: &mut impl Inspect, out: &mut Vec<u8>) {
        let Some((0, fate)) = self.rest else { return };
        self.rest = None;
        if let (Fate::Keep, [kind, _, _, _, _, body @ ..]) = (fate, self.kept.as_slice()) {
            inspect.whole(Message { kind: *kind, body, bytes: &self.kept }, out);
        }
        // A long one is not to hold its memory for as long as the session.
        self.kept.clear();
        self.kept.shrink_to(USUAL);
    }
}
