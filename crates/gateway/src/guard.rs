//! Reads the statements of a throttled cluster's session. A stub until the real one is merged.

use crate::{Notice, startup::Malformed};
use std::sync::{Arc, atomic::AtomicBool};

/// Refuses statements that add data.
pub(crate) struct Guard {
    _over: Arc<AtomicBool>,
}

impl Guard {
    /// Refuses with `notice` while `over` holds.
    pub(crate) fn new(_notice: &Notice, over: Arc<AtomicBool>) -> Guard {
        Self { _over: over }
    }

    /// From client to server.
    pub(crate) fn up(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend_from_slice(bytes);
        Ok(())
    }

    /// From server to client.
    pub(crate) fn down(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.extend_from_slice(bytes);
        Ok(())
    }
}
