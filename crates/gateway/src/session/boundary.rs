//! Where one message ends and the next one begins in a stream that is relayed.

use ootheca_pg_protocol::message::{HEADER_LENGTH, Header};

/// The position in a stream of messages. Only their headers are read.
#[derive(Debug, Default)]
pub(crate) struct StreamPosition {
    header: [u8; HEADER_LENGTH],
    /// The number of bytes of an incomplete header.
    known: usize,
    /// The number of missing bytes of the current message.
    missing: usize,
    /// A header was malformed.
    lost: bool,
}

impl StreamPosition {
    /// Moves past these bytes.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            let skipped = self.missing.min(bytes.len());
            self.missing -= skipped;
            bytes = &bytes[skipped..];
            let taken = bytes.len().min(HEADER_LENGTH - self.known);
            let (header, rest) = bytes.split_at(taken);
            self.header[self.known..self.known + taken].copy_from_slice(header);
            (self.known, bytes) = (self.known + taken, rest);
            if self.known == HEADER_LENGTH {
                self.known = 0;
                match Header::parse(self.header, usize::MAX) {
                    Ok(header) => self.missing = header.body_length,
                    Err(_) => self.lost = true,
                }
            }
        }
    }

    /// Whether another message can follow.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.known == 0 && self.missing == 0 && !self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_pg_protocol::message;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn boundaries_do_not_depend_on_how_the_stream_is_divided(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let (mut stream, mut ends) = (Vec::new(), vec![0]);
            for body in &bodies {
                message::put(&mut stream, b'D', body);
                ends.push(stream.len());
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut position, mut at) = (StreamPosition::default(), 0);
            for cut in cuts {
                position.advance(&stream[at..cut]);
                at = cut;
                prop_assert_eq!(position.is_between_messages(), ends.contains(&at));
            }
            position.advance(&stream[at..]);
            prop_assert!(position.is_between_messages());
        }

        #[test]
        fn never_panics(chunks: Vec<Vec<u8>>) {
            let mut position = StreamPosition::default();
            chunks.iter().for_each(|chunk| position.advance(chunk));
        }
    }

    #[test]
    fn nothing_follows_a_malformed_header() {
        let mut position = StreamPosition::default();
        position.advance(b"D\0\0\0\x03");
        position.advance(&message::encode(b'Z', b"I"));
        assert!(!position.is_between_messages());
    }
}
