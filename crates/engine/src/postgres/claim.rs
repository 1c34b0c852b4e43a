//! Which cluster an instance belongs to, and with which data epoch.
//!
//! The file `cluster` is the claim. It contains the ID of the cluster, and the file `epoch` beside it the epoch if
//! that is not 0. They are two files because programs that know no epochs remove an instance if they can't read
//! its `cluster`.

use crate::files::{failed, names_in, publish_once, write_atomically};
use ootheca_model::{ClusterId, Result, instance::InstancePlan};
use std::{fs, io, path::Path};

const CLUSTER: &str = "cluster";
const EPOCH: &str = "epoch";
/// The epoch of an instance whose file is damaged. No plan names it, so its data is kept but never served.
const UNKNOWN_EPOCH: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) cluster: ClusterId,
    pub(super) epoch: u64,
}

impl Claim {
    /// The claim of the instance that is to serve a plan.
    pub(super) fn of(plan: &InstancePlan) -> Self {
        Self { cluster: plan.cluster, epoch: plan.epoch }
    }

    /// Returns the claim of the instance in this folder; `None` for a spare or an unfinished instance.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let cluster = fs::read_to_string(folder.join(CLUSTER)).ok()?.trim().parse().ok()?;
        let epoch = match fs::read_to_string(folder.join(EPOCH)) {
            Ok(text) => text.trim().parse().unwrap_or(UNKNOWN_EPOCH),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(_) => UNKNOWN_EPOCH,
        };
        Some(Self { cluster, epoch })
    }

    /// Claims the instance in this folder. Returns `false` if it is already claimed.
    pub(super) fn publish(self, folder: &Path) -> Result<bool> {
        if folder.join(CLUSTER).exists() {
            return Ok(false);
        }
        // The epoch first, because the instance is claimed as soon as the other file exists.
        if self.epoch == 0 {
            let path = folder.join(EPOCH);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(error));
                }
                _ => {}
            }
        } else {
            write_atomically(folder, EPOCH, self.epoch.to_string().as_bytes())?;
        }
        publish_once(folder, CLUSTER, self.cluster.to_string().as_bytes())
    }
}

/// Every claimed instance on disk, complete or not.
pub(super) fn claimed(instances: &Path) -> impl Iterator<Item = (String, Claim)> {
    names_in(instances).into_iter().filter_map(move |id| {
        let claim = Claim::read(&instances.join(&id))?;
        Some((id, claim))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn the_id_alone_is_epoch_0() {
        let (folder, cluster) = (folder(), ClusterId(uuid::Uuid::new_v4()));
        assert_eq!(Claim::read(&folder), None);
        fs::write(folder.join(CLUSTER), cluster.to_string()).unwrap();
        assert_eq!(Claim::read(&folder), Some(Claim { cluster, epoch: 0 }));
        fs::remove_file(folder.join(CLUSTER)).unwrap();
        // What remains of a claim that was not published has no effect.
        fs::write(folder.join(EPOCH), "7").unwrap();
        assert_eq!(Claim::read(&folder), None);
        assert!(Claim { cluster, epoch: 0 }.publish(&folder).unwrap());
        assert_eq!(names_in(&folder), [CLUSTER], "as programs without epochs write it");
        assert_eq!(fs::read_to_string(folder.join(CLUSTER)).unwrap(), cluster.to_string());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_later_epoch_is_kept_even_if_its_file_is_damaged() {
        let (folder, cluster) = (folder(), ClusterId(uuid::Uuid::new_v4()));
        let claim = Claim { cluster, epoch: 12 };
        assert!(claim.publish(&folder).unwrap());
        assert!(!Claim { cluster, epoch: 0 }.publish(&folder).unwrap(), "it is already claimed");
        assert_eq!(Claim::read(&folder), Some(claim));
        fs::write(folder.join(EPOCH), "").unwrap();
        assert_eq!(Claim::read(&folder), Some(Claim { cluster, epoch: UNKNOWN_EPOCH }));
        fs::remove_dir_all(&folder).unwrap();
    }
}
