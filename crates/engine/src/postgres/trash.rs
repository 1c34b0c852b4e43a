//! Removes an instance: its processes, control group, files, and shared memory.
//!
//! The folder is renamed first. A crash therefore leaves either a complete instance or a folder in the trash,
//! which the next start empties.

use super::{
    context::{EngineContext, Shutdown},
    process, server, shared_memory,
};
use crate::files::{blocking, failed, names_in, remove_tree, sync_folder};
use ootheca_durable::failpoint;
use ootheca_model::{Error, Result};
use std::{fs, io, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Removes an instance whose server was stopped if it was known to run. Can be called again after a crash at
/// any point.
pub(super) async fn discard(context: &Arc<EngineContext>, id: &str) -> Result<()> {
    let folder = context.instances().join(id);
    let data = folder.join("data");
    if let Some((process, _)) = process::adopt(&data) {
        let (_keep, no_shutdown) = watch::channel(Shutdown::NotRequested);
        server::stop(&process, &data, no_shutdown, server::StopMode::Immediate).await;
    }
    let target = context.trash().join(id);
    match fs::rename(&folder, &target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("move to the trash", &folder)(error)),
        Ok(()) => {
            let (instances, trash) = (context.instances(), context.trash());
            blocking(move || sync_folder(&trash).and_then(|()| sync_folder(&instances))).await?;
            failpoint::reach("instance moved to the trash");
        }
    }
    empty(context, id).await
}

/// Empties the trash that a previous process left.
pub(super) async fn empty_all(context: &Arc<EngineContext>) {
    for id in names_in(&context.trash()) {
        if let Err(error) = empty(context, &id).await {
            tracing::warn!(instance = id, error = error.chain(), "could not empty trash");
        }
    }
}

async fn empty(context: &Arc<EngineContext>, id: &str) -> Result<()> {
    let (folder, sockets) = (context.trash().join(id), context.run().join(id));
    let data = folder.join("data");
    // A server that was just started may not have a lock file yet, but its working directory is the data
    // folder.
    process::clear(&data, Duration::ZERO).await;
    shared_memory::free(&data);
    remove_cgroup(context, id).await?;
    blocking(move || remove_tree(&sockets).and_then(|()| remove_tree(&folder))).await?;
    context.owners.release(id);
    failpoint::reach("instance removed");
    Ok(())
}

/// Retries, because the kernel needs a moment to release processes that have just exited.
pub(super) async fn remove_cgroup(context: &EngineContext, id: &str) -> Result<()> {
    for _ in 0..100 {
        if context.cgroups.remove(id) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Error::unavailable(format!("the control group of instance {id} is still in use")))
}
