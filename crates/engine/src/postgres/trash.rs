//! Taking an instance away: its processes, control group, files and shared memory.
//!
//! The folder is renamed first, so that a crash leaves either a whole instance or something in the
//! trash, which the next start empties.

use super::{
    host::{Haste, Host},
    process, server,
};
use crate::files::{blocking, failed, names_in, remove_tree, sync_folder};
use ootheca_model::{Error, Result, effect};
use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Removes an instance whose server, if we hold one, was stopped. Can be called again after a crash
/// at any point.
pub(super) async fn discard(host: &Arc<Host>, id: &str) -> Result<()> {
    let folder = host.instances().join(id);
    let data = folder.join("data");
    if let Some((process, _)) = process::adopt(&data) {
        let (_keep, calm) = watch::channel(Haste::Open);
        server::stop(&process, &data, calm, server::End::AtOnce).await;
    }
    let target = host.trash().join(id);
    match fs::rename(&folder, &target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("move away", &folder)(error)),
        Ok(()) => {
            let (instances, trash) = (host.instances(), host.trash());
            blocking(move || sync_folder(&trash).and_then(|()| sync_folder(&instances))).await?;
            effect::done("instance moved to the trash");
        }
    }
    empty(host, id).await
}

/// Empties the trash that an earlier incarnation left.
pub(super) async fn empty_all(host: &Arc<Host>) {
    for id in names_in(&host.trash()) {
        if let Err(error) = empty(host, &id).await {
            tracing::warn!(instance = id, error = error.chain(), "trash not emptied");
        }
    }
}

async fn empty(host: &Arc<Host>, id: &str) -> Result<()> {
    let (folder, sockets) = (host.trash().join(id), host.run().join(id));
    let data = folder.join("data");
    // A server that was just started may have no lock file yet; it still works in that folder.
    process::clear(&data, Duration::ZERO).await;
    free_shared_memory(&data);
    remove_cgroup(host, id).await?;
    blocking(move || remove_tree(&sockets).and_then(|()| remove_tree(&folder))).await?;
    effect::done("instance removed");
    Ok(())
}

/// The kernel takes a moment to let go of processes that have just ended.
pub(super) async fn remove_cgroup(host: &Host, id: &str) -> Result<()> {
    for _ in 0..100 {
        if host.cgroups.remove(id) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Error::unavailable(format!("the control group of instance {id} is still in use")))
}

/// A killed postmaster leaves a page of System V shared memory behind.
pub(super) fn free_shared_memory(data: &Path) {
    let Some(lock) = process::lock(data) else { return };
    let Some(id) = lock.shared_memory else { return };
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    if segments.lines().any(|line| is_left(line, id, lock.pid)) {
        let status = Command::new("ipcrm").arg("-m").arg(id.to_string()).stderr(Stdio::null()).status();
        tracing::debug!(id, ?status, "shared memory of a killed server removed");
    }
}

/// Whether a line of the kernel's list is segment `id`, made by `pid` and used by nobody.
fn is_left(line: &str, id: u32, pid: u32) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
    field(1) == Some(id) && field(4) == Some(pid) && field(6) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::is_left;

    #[test]
    fn only_unused_segments_of_that_process() {
        let line = "  1234  17  600  56  4711  4712  0  999  995  999  995  0 0 0 4096 0";
        assert!(is_left(line, 17, 4711));
        assert!(!is_left(line, 17, 4712) && !is_left(line, 18, 4711));
        assert!(!is_left(&line.replace("4712  0 ", "4712  2 "), 17, 4711));
    }
}
