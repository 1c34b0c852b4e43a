//! The System V shared memory segment of a server: a few bytes by which it detects processes of a previous one.
//! The kernel keeps it if all of them were killed.

use super::process::{self, LOCK_FILE, Lock};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Removes the segment of a killed server. Must be called before the lock file of a server that does not run is
/// removed: nothing else says which segment it was.
pub(super) fn free(data: &Path) {
    let text = fs::read_to_string(data.join(LOCK_FILE)).unwrap_or_default();
    // `initdb` runs a server with a negative process ID.
    let Some(lock) = process::parse_lock(text.trim_start_matches('-')) else { return };
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    for id in orphans(&segments, &lock) {
        // The system call is only available to unsafe code. The program is part of util-linux.
        let removed = Command::new("ipcrm").arg("-m").arg(id.to_string()).stderr(Stdio::null()).status();
        match removed {
            Ok(status) if status.success() => tracing::debug!(id, "removed shared memory of a killed server"),
            result => tracing::warn!(id, ?result, "could not remove shared memory of a killed server"),
        }
    }
}

/// The segments in the kernel's list that the postmaster of a lock file created and that no process uses. A
/// postmaster that was killed during startup may not have written the ID of its segment yet.
fn orphans<'a>(segments: &'a str, lock: &'a Lock) -> impl Iterator<Item = u32> + 'a {
    segments.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1).map(|field| field.parse::<u32>().ok());
        let id = fields.next()??;
        let creator = fields.nth(2)??;
        let attached = fields.nth(1)??;
        let matches = creator == lock.pid && attached == 0 && lock.shared_memory.is_none_or(|own| own == id);
        matches.then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unattached_segments_of_the_process_are_orphaned() {
        let text = "       key      shmid perms       size  cpid  lpid nattch   uid   gid  cuid  cgid      atime\n\
                    1234 17 600 56 4711 4712 0 999 995 999 995 0 0 0 4096 0\n\
                    1235 18 600 56 4711 4712 2 999 995 999 995 0 0 0 4096 0\n\
                    1236 19 600 56 4713 4712 0 999 995 999 995 0 0 0 4096 0\n";
        let found = |pid: u32, id: &str| -> Vec<u32> {
            let lock = process::parse_lock(&format!("{pid}\n/d\n1\n5432\n/s\n\n{id}\n")).expect("a lock");
            orphans(text, &lock).collect()
        };
        assert_eq!(found(4711, "1234 17"), [17]);
        assert_eq!(found(4711, ""), [17], "the id was not written yet");
        assert!(found(4711, "1235 18").is_empty(), "it is in use");
        assert!(found(4711, "1236 19").is_empty(), "another process created it");
        assert!(found(4712, "1234 17").is_empty());
    }
}
