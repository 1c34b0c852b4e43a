//! The user of each instance: its own one if there is a range of user IDs, otherwise that of all servers. The nodes of a
//! cluster share a user that no other cluster has, because they connect to the sockets of each other.
//!
//! The ID is written to the instance before any file of it changes hands, and it is used again only after the
//! instance was removed.

use super::{claim::Claim, instance::Instance, owner::Owner, uid_range::UidRange};
use crate::files::{blocking, failed, names_in, remove_tree, write_atomically};
use ootheca_model::{ClusterId, Result};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A file of an instance that contains the ID of its user.
const RECORD: &str = "uid";
/// Follows the ID if the nodes of the cluster share it.
const SHARED: &str = "nodes";

#[derive(Debug)]
pub(super) struct Owners {
    /// The setting.
    range: Option<UidRange>,
    /// The range for clusters with several nodes, or why there is none.
    nodes: Result<UidRange, String>,
    /// Why the users of that range can't reach the data.
    out_of_reach: OnceLock<String>,
    /// By instance.
    assigned: Mutex<HashMap<String, Assigned>>,
}

/// The user of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Assigned {
    uid: u32,
    /// The cluster whose nodes share the ID.
    cluster: Option<ClusterId>,
    /// The ID that the server and its files can still have until the next start.
    former: Option<u32>,
}

impl Assigned {
    fn own(uid: u32) -> Self {
        Self { uid, cluster: None, former: None }
    }

    fn ids(self) -> impl Iterator<Item = u32> {
        [Some(self.uid), self.former].into_iter().flatten()
    }
}

impl Owners {
    /// `range` is the setting. Returns an error that names it if it can't be used on this machine.
    pub(super) fn find(range: &str) -> Result<Self> {
        let range = UidRange::find(range)?;
        let nodes = range.clone().map_or_else(UidRange::of_nodes, Ok);
        Ok(Self { range, nodes, out_of_reach: OnceLock::new(), assigned: Mutex::default() })
    }

    /// A user of the range, for checks.
    pub(super) fn sample(&self) -> Option<Owner> {
        self.range.as_ref().map(|range| Owner::with_id(range.first()))
    }

    /// Checks that the users for clusters with several nodes can reach a folder.
    pub(super) fn check_nodes(&self, folder: &Path) {
        if let Ok(range) = &self.nodes
            && let Err(error) = Owner::with_id(range.first()).check_reach(folder)
        {
            let _ = self.out_of_reach.set(error.message().to_owned());
        }
    }

    /// Why the nodes of a cluster can't have a user that no other cluster has.
    pub(super) fn nodes_unavailable(&self) -> Option<&str> {
        self.nodes.as_ref().err().or_else(|| self.out_of_reach.get()).map(String::as_str)
    }

    fn range_of_nodes(&self) -> Option<&UidRange> {
        self.nodes.as_ref().ok().filter(|_| self.out_of_reach.get().is_none())
    }

    /// Reads the IDs in use from the folders of all instances, also of those that are being removed.
    pub(super) fn load(&self, folders: &[PathBuf]) {
        let mut assigned = self.assigned.lock();
        let mut used = HashMap::new();
        for folder in folders {
            for id in names_in(folder) {
                let Some(found) = self.found(&folder.join(&id)) else { continue };
                match used.entry(found.uid) {
                    Entry::Vacant(entry) => {
                        entry.insert(found.cluster);
                    }
                    Entry::Occupied(entry) if found.cluster.is_some() && *entry.get() == found.cluster => {}
                    // Of two instances with the same ID, which is possible if one was copied, one gets another.
                    Entry::Occupied(_) => continue,
                }
                assigned.insert(id, found);
            }
        }
    }

    /// The user of an instance on disk.
    fn found(&self, instance: &Path) -> Option<Assigned> {
        let owner = fs::metadata(instance.join("data")).ok().map(|data| data.uid());
        if is_shared(instance)
            && let Some(range) = self.range_of_nodes()
            && let Some(uid) = recorded(instance).filter(|uid| range.contains(*uid))
        {
            let cluster = Claim::read(instance).map(|claim| claim.cluster);
            let former = owner.filter(|owner| *owner != uid && range.contains(*owner));
            return Some(Assigned { uid, cluster, former });
        }
        let range = self.range.as_ref()?;
        recorded(instance).or(owner).filter(|uid| range.contains(*uid)).map(Assigned::own)
    }

    /// Returns the user of an instance if it has its own, after assigning one. Nothing is written.
    pub(super) fn assign(&self, id: &str, instance: &Path) -> Result<Option<u32>> {
        let mut assigned = self.assigned.lock();
        if let Some(assigned) = assigned.get(id) {
            return Ok(Some(assigned.uid));
        }
        let Some(range) = &self.range else { return Ok(None) };
        let uid = unused(range, &assigned, recorded(instance))?;
        assigned.insert(id.to_owned(), Assigned::own(uid));
        Ok(Some(uid))
    }

    /// Returns the user that the nodes of a cluster share, after assigning it to one of them. `None` if there is none on
    /// this machine. Nothing is written.
    fn share(&self, cluster: ClusterId, id: &str, instance: &Path) -> Result<Option<u32>> {
        let Some(range) = self.range_of_nodes() else { return Ok(None) };
        let mut assigned = self.assigned.lock();
        let present = assigned.get(id).copied();
        let of_cluster = assigned.values().find(|other| other.cluster == Some(cluster));
        let uid = match of_cluster.or(present.as_ref()) {
            Some(known) => known.uid,
            None => unused(range, &assigned, recorded(instance))?,
        };
        let former = present.and_then(|present| present.ids().find(|former| *former != uid));
        assigned.insert(id.to_owned(), Assigned { uid, cluster: Some(cluster), former });
        Ok(Some(uid))
    }

    /// Returns the ID of an instance that was removed.
    pub(super) fn release(&self, id: &str) {
        self.assigned.lock().remove(id);
    }
}

/// An ID that no instance has: the preferred one, or the first.
fn unused(range: &UidRange, assigned: &HashMap<String, Assigned>, preferred: Option<u32>) -> Result<u32> {
    let used: HashSet<u32> = assigned.values().copied().flat_map(Assigned::ids).collect();
    match preferred.filter(|uid| range.contains(*uid) && !used.contains(uid)) {
        Some(uid) => Ok(uid),
        None => range.free(|uid| used.contains(&uid)),
    }
}

impl Instance {
    /// Assigns the user that the nodes of the cluster share, if the instance is one of several. Until the server is
    /// started with it, the other nodes can reach its sockets as a group.
    pub(super) async fn share_owner(&self) -> Result<()> {
        let Some(claim) = self.claim().filter(|claim| claim.node.is_some()) else { return Ok(()) };
        let (context, cluster, id) = (self.context.clone(), claim.cluster, self.id.clone());
        let (folder, sockets) = (self.folder.clone(), self.sockets());
        blocking(move || {
            let Some(uid) = context.owners.share(cluster, &id, &folder)? else { return Ok(()) };
            record_shared(&folder, uid)?;
            Owner::with_id(uid).admit(&sockets)
        })
        .await
    }

    /// Returns the user of the server. The data and the spool change hands if another user ran the server before.
    pub(super) async fn take_ownership(&self) -> Result<Owner> {
        self.share_owner().await?;
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

/// The same for the ID that the nodes of a cluster share.
fn record_shared(instance: &Path, uid: u32) -> Result<()> {
    if is_shared(instance) && recorded(instance) == Some(uid) {
        return Ok(());
    }
    write_atomically(instance, RECORD, format!("{uid} {SHARED}").as_bytes())
}

fn recorded(instance: &Path) -> Option<u32> {
    fs::read_to_string(instance.join(RECORD)).ok()?.split_whitespace().next()?.parse().ok()
}

fn is_shared(instance: &Path) -> bool {
    fs::read_to_string(instance.join(RECORD)).is_ok_and(|text| text.trim().ends_with(SHARED))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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

    #[test]
    fn nodes_of_a_cluster_share_an_id_that_no_other_cluster_has() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let [one, other] = [(); 2].map(|()| ClusterId(uuid::Uuid::new_v4()));
        let names = [("a", one), ("b", one), ("c", other), ("d", one)];
        for (name, cluster) in names {
            fs::create_dir_all(folder.join(name)).unwrap();
            assert!(Claim::alone(cluster, 0).publish(&folder.join(name)).unwrap());
        }
        let find = || {
            let owners = Owners::find("").unwrap();
            owners.load(std::slice::from_ref(&folder));
            owners
        };
        let share = |owners: &Owners, name: &str, cluster| {
            let uid = owners.share(cluster, name, &folder.join(name)).unwrap();
            uid.inspect(|uid| record_shared(&folder.join(name), *uid).unwrap())
        };
        let owners = find();
        if let Some(reason) = owners.nodes_unavailable() {
            assert!(reason.contains("root") || reason.contains("engine.uid_range"), "{reason}");
            assert_eq!(share(&owners, "a", one), None);
            fs::remove_dir_all(&folder).unwrap();
            return;
        }
        let uid = share(&owners, "a", one).unwrap();
        assert_eq!(share(&owners, "b", one), Some(uid));
        let foreign = share(&owners, "c", other).unwrap();
        assert_ne!(foreign, uid);
        assert_eq!(owners.assign("a", &folder.join("a")).unwrap(), Some(uid), "also without a range");
        assert_eq!(owners.assign("d", &folder.join("d")).unwrap(), None);

        let owners = find();
        assert_eq!(share(&owners, "d", one), Some(uid), "after a restart");
        owners.release("a");
        owners.release("b");
        assert_eq!(share(&owners, "d", one), Some(uid));
        assert_eq!(owners.assign("c", &folder.join("c")).unwrap(), Some(foreign));

        let private = folder.join("private");
        fs::create_dir(&private).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
        owners.check_nodes(&private);
        assert!(owners.nodes_unavailable().unwrap().contains("cannot access"));
        assert_eq!(share(&owners, "b", one), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_id_is_not_free_while_a_server_has_it() {
        let own = Assigned::own(5);
        let moved = Assigned { uid: 7, cluster: Some(ClusterId(uuid::Uuid::nil())), former: Some(6) };
        let assigned = HashMap::from([("a".to_owned(), own), ("b".to_owned(), moved)]);
        let range = UidRange::parse("5-8").unwrap();
        for preferred in [None, Some(5), Some(6), Some(7), Some(9)] {
            assert_eq!(unused(&range, &assigned, preferred).unwrap(), 8, "{preferred:?}");
        }
    }
}
