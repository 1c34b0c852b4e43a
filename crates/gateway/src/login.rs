//! What the server says until it is ready for the first statement. Passed on as it is, but for
//! BackendKeyData: the client gets a key of the gateway instead.

use crate::{
    cancel::{HandedOut, Keys, Target},
    startup::{Key, Malformed},
};
use std::{path::Path, sync::Arc};

const HEAD: usize = 5;
const LONGEST_KEY: usize = 4 + 256;

/// Follows the server's messages, one chunk of bytes after the other.
pub(crate) struct Login {
    keys: Arc<Keys>,
    socket: Arc<Path>,
    head: Vec<u8>,
    left: usize,
    key: Vec<u8>,
    /// The key that the client got.
    pub(crate) handed_out: Option<HandedOut>,
    /// The server refused the login.
    pub(crate) refused: bool,
    /// The server is ready; what follows is not looked at.
    pub(crate) done: bool,
}

impl Login {
    /// At the beginning of a session of the server behind `socket`.
    pub(crate) fn new(keys: Arc<Keys>, socket: Arc<Path>) -> Self {
        Self {
            keys,
            socket,
            head: Vec::with_capacity(HEAD),
            left: 0,
            key: Vec::new(),
            handed_out: None,
            refused: false,
            done: false,
        }
    }

    /// Whether all messages so far are complete.
    pub(crate) fn between_messages(&self) -> bool {
        self.head.is_empty()
    }

    /// Takes what the server sent and appends what the client gets.
    pub(crate) fn feed(&mut self, mut input: &[u8], output: &mut Vec<u8>) -> Result<(), Malformed> {
        while !input.is_empty() && !self.done {
            if self.head.len() < HEAD {
                let (now, later) = input.split_at(input.len().min(HEAD - self.head.len()));
                self.head.extend_from_slice(now);
                input = later;
                if self.head.len() < HEAD {
                    break;
                }
                self.begin()?;
                if self.head[0] != b'K' {
                    output.extend_from_slice(&self.head);
                }
            }
            let (now, later) = input.split_at(input.len().min(self.left));
            self.left -= now.len();
            input = later;
            match self.head[0] {
                b'K' => self.key.extend_from_slice(now),
                _ => output.extend_from_slice(now),
            }
            if self.left == 0 {
                self.end(output)?;
            }
        }
        output.extend_from_slice(input);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Malformed> {
        let malformed = || Malformed("invalid message from the server".into());
        let length = self.head[1..].try_into().map(u32::from_be_bytes).map_err(|_| malformed())?;
        self.left = (length as usize).checked_sub(4).ok_or_else(malformed)?;
        match self.head[0] {
            b'K' if self.left > LONGEST_KEY || self.handed_out.is_some() => Err(malformed()),
            _ => Ok(()),
        }
    }

    fn end(&mut self, output: &mut Vec<u8>) -> Result<(), Malformed> {
        match self.head[0] {
            b'K' => {
                let key = Key::parse(&self.key)?;
                let handed = self.keys.hand_out(Target { socket: self.socket.clone(), key });
                let length = 8 + u32::try_from(handed.key.secret.len()).unwrap_or_default();
                output.push(b'K');
                output.extend_from_slice(&length.to_be_bytes());
                output.extend_from_slice(&handed.key.pid.to_be_bytes());
                output.extend_from_slice(&handed.key.secret);
                self.handed_out = Some(handed);
            }
            b'Z' => self.done = true,
            b'E' => self.refused = true,
            _ => {}
        }
        self.head.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn login() -> Login {
        Login::new(Arc::default(), Path::new("/nowhere").into())
    }

    const BEFORE: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x08a\0b\0";
    const KEY: &[u8] = b"K\0\0\0\x0c\0\0\0\x07abcd";
    const AFTER: &[u8] = b"Z\0\0\0\x05IK\0\0\0\x0c\0\0\0\x07abcd\xffwhatever";

    proptest! {
        #[test]
        fn only_the_key_changes(cuts in prop::collection::vec(0usize..60, 0..8)) {
            let input = [BEFORE, KEY, AFTER].concat();
            let (mut login, mut output, mut at) = (login(), Vec::new(), 0);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.push(input.len());
            cuts.sort_unstable();
            for cut in cuts {
                if login.done { output.extend(&input[at..cut]) } else { login.feed(&input[at..cut], &mut output).expect("well formed") }
                at = cut;
            }
            prop_assert!(login.done && !login.refused);
            let key = &output[BEFORE.len()..BEFORE.len() + KEY.len()];
            prop_assert_eq!(&output[..BEFORE.len()], BEFORE);
            prop_assert_eq!(&output[BEFORE.len() + KEY.len()..], AFTER);
            let key = Key::parse(&key[5..]).expect("a key");
            let found = login.keys.find(&key).map(|target| target.key);
            prop_assert_eq!(found, Some(Key { pid: 7, secret: b"abcd".to_vec() }));
        }

        #[test]
        fn never_panics(chunks: Vec<Vec<u8>>) {
            let (mut login, mut output) = (login(), Vec::new());
            let _ = chunks.iter().try_for_each(|chunk| login.feed(chunk, &mut output));
        }
    }

    #[test]
    fn bad_messages() {
        assert!(login().feed(b"R\0\0\0\x03", &mut Vec::new()).is_err());
        assert!(login().feed(b"K\0\0\x02\x0c", &mut Vec::new()).is_err());
        assert!(login().feed(b"K\0\0\0\x04Z", &mut Vec::new()).is_err());
    }
}
