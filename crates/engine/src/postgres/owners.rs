//! The user of each instance: its own one if there is a range of user IDs, otherwise that of all servers.
//!
//! The ID is written to the instance before any file of it changes hands, and it is used again only after the
//! instance was removed.

use super::{instance::Instance, owner::Owner, uid_range::UidRange};
use crate::files::{blocking, failed, names_in, remove_tree, write_atomically};
use ootheca_model::Result;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file of an instance that contains the ID of its user.
const RECORD: &str = "uid";

#[derive(Debug)]
pub(super) struct Owners {
    range: Option<UidRange>,
    /// The IDs in use, by instance.
    assigned: Mutex<HashMap<String, u32>>,
}

impl Owners {
    /// `range` is the setting. Returns an error that names it if it can't be used on this machine.
    pub(super) fn find(range: &str) -> Result<Self> {
        Ok(Self { range: UidRange::find(range)?, assigned: Mutex::default() })
    }

    /// A user of the range, for checks.
    pub(super) fn sample(&self) -> Option<Owner> {
        self.range.as_ref().map(|range| Owner::with_id(range.first()))
    }

    /// Reads the IDs in use from the folders of all instances, also of those that are being removed.
    pub(super) fn load(&self, folders: &[PathBuf]) {
        let Some(range) = &self.range else { return };
        let mut assigned = self.assigned.lock();
        let mut used = HashSet::new();
        for folder in folders {
            for id in names_in(folder) {
                let instance = folder.join(&id);
                let owner = || fs::metadata(instance.join("data")).ok().map(|data| data.uid());
                let uid = recorded(&instance).or_else(owner).filter(|uid| range.contains(*uid));
                // Of two instances with the same ID, which is possible if one was copied, one gets another.
                if let Some(uid) = uid.filter(|uid| used.insert(*uid)) {
                    assigned.insert(id, uid);
                }
            }
        }
    }

    /// Returns the user of an instance if it has its own, after assigning one. Nothing is written.
    pub(super) fn assign(&self, id: &str, instance: &Path) -> Result<Option<u32>> {
        let Some(range) = &self.range else { return Ok(None) };
        let mut assigned = self.assigned.lock();
        if let Some(uid) = assigned.get(id) {
            return Ok(Some(*uid));
        }
        let used: HashSet<u32> = assigned.values().copied().collect();
        let own = recorded(instance).filter(|uid| range.contains(*uid) && !used.contains(uid));
        let uid = match own {
            Some(uid) => uid,
            None => range.free(|uid| used.contains(&uid))?,
        };
        assigned.insert(id.to_owned(), uid);
        Ok(Some(uid))
    }

    /// Returns the ID of an instance that was removed.
    pub(super) fn release(&self, id: &str) {
        self.assigned.lock().remove(id);
    }
}

impl Instance {
    /// Returns the user of the server. The data and the spool change hands if another user ran the server before.
    pub(super) async fn take_ownership(&self) -> Result<Owner> {
        let (context, id, folder) = (self.context.clone(), self.id.clone(), self.folder.clone());
        let (data, spool, sockets) = (self.data(), self.spool(), self.sockets());
        blocking(move || {
            let owner = context.owner_of(&id, &folder)?;
            if spool.exists() {
                owner.take_over(&spool)?;
            }
            if owner.take_over(&data)? {
                remove_tree(&sockets)?;
                tracing::info!(instance = id, user = owner.name(), "data of instance changed hands");
            }
            Ok(owner)
        })
        .await
    }
}

/// Writes the ID of an instance that is being created. It becomes durable together with the data.
pub(super) fn record_new(instance: &Path, uid: u32) -> Result<()> {
    let path = instance.join(RECORD);
    fs::write(&path, uid.to_string()).map_err(failed("write", &path))
}

/// Writes the ID of an existing instance durably, unless it was written before.
pub(super) fn record(instance: &Path, uid: u32) -> Result<()> {
    if recorded(instance) == Some(uid) {
        return Ok(());
    }
    write_atomically(instance, RECORD, uid.to_string().as_bytes())
}

fn recorded(instance: &Path) -> Option<u32> {
    fs::read_to_string(instance.join(RECORD)).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn recorded_ids_are_kept_and_never_shared() {
        if !rustix::process::geteuid().is_root() {
            let error = Owners::find("1900000000-1900000002").unwrap_err();
            assert!(error.message().contains("engine.uid_range: must be empty"), "{error}");
            return;
        }
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let (instances, trash) = (folder.join("instances"), folder.join("trash"));
        for (path, uid) in [("instances/b", 1_900_000_001), ("trash/t", 1_900_000_000)] {
            fs::create_dir_all(folder.join(path)).unwrap();
            record(&folder.join(path), uid).unwrap();
        }
        fs::create_dir(instances.join("copy")).unwrap();
        fs::create_dir(instances.join("other")).unwrap();
        let Ok(owners) = Owners::find("1900000000-1900000002") else {
            eprintln!("skipped: the ids do not exist in this container");
            return;
        };
        owners.load(&[instances.clone(), trash]);
        record(&instances.join("copy"), 1_900_000_001).unwrap();
        record(&instances.join("other"), 7).unwrap();
        let assign = |id: &str| owners.assign(id, &instances.join(id));
        assert_eq!(assign("b").unwrap(), Some(1_900_000_001));
        assert_eq!(assign("copy").unwrap(), Some(1_900_000_002), "that of b is in use");
        let error = assign("other").unwrap_err();
        assert!(error.message().contains("engine.uid_range: all 3 ids are in use"), "{error}");
        owners.release("t");
        assert_eq!(assign("other").unwrap(), Some(1_900_000_000), "that of the removed instance");
        assert_eq!(assign("other").unwrap(), Some(1_900_000_000));
        assert_eq!(Owners::find("").unwrap().assign("b", &instances.join("b")).unwrap(), None);
        fs::remove_dir_all(&folder).unwrap();
    }
}
