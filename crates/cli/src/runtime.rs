//! The async runtime of the commands that need one.

use crate::failure::{Failure, Result};
use tokio::runtime::{Builder, Runtime};

/// Starts a runtime on the current thread.
pub(crate) fn current_thread() -> Result<Runtime> {
    start(&mut Builder::new_current_thread())
}

/// Starts a runtime with a worker thread for each core.
pub(crate) fn multi_thread() -> Result<Runtime> {
    start(&mut Builder::new_multi_thread())
}

fn start(builder: &mut Builder) -> Result<Runtime> {
    let started = builder.enable_all().build();
    started.map_err(|error| Failure::failed(format!("could not start the async runtime: {error}")))
}
