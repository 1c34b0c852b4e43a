//! Which cluster an instance belongs to, with which data epoch, and as which node.
//!
//! The file `cluster` is the claim. It contains the ID of the cluster, and the file `epoch` beside it the epoch if
//! that is not 0. They are two files because programs that know no epochs remove an instance if they can't read
//! its `cluster`.
//!
//! Once a cluster has several nodes, the file `epoch` contains `<epoch> n<number>`. Programs that know no nodes read
//! that as damaged: they keep the data, and never serve a node that may lack commits.

use crate::files::{failed, names_in, publish_once, write_atomically};
use ootheca_model::{ClusterId, Result, instance::InstancePlan, node::NodeId};
use std::{fs, io, path::Path};

const CLUSTER: &str = "cluster";
const EPOCH: &str = "epoch";
/// The epoch of an instance whose file is damaged. No plan names it, so its data is kept but never served.
const UNKNOWN_EPOCH: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) cluster: ClusterId,
    pub(super) epoch: u64,
    /// `None` as long as the instance was always the only node of its epoch.
    pub(super) node: Option<NodeId>,
}

impl Claim {
    /// The claim of an instance that is the only node of its epoch.
    pub(super) fn alone(cluster: ClusterId, epoch: u64) -> Self {
        Self { cluster, epoch, node: None }
    }

    /// The claim of a node of the plan's cluster.
    pub(super) fn of_node(plan: &InstancePlan, node: NodeId) -> Self {
        let node = has_several_nodes(plan).then_some(node);
        Self { cluster: plan.cluster, epoch: plan.epoch, node }
    }

    /// The claim of the instance that is to serve a plan.
    pub(super) fn of(plan: &InstancePlan) -> Self {
        Self::of_node(plan, plan.primary)
    }

    /// Whether an instance with this claim can take the place of `wanted`: an instance that was always alone becomes
    /// whichever node the first plan with several nodes calls the primary.
    pub(super) fn can_be(&self, wanted: &Self) -> bool {
        (self.cluster, self.epoch) == (wanted.cluster, wanted.epoch)
            && (self.node.is_none() || self.node == wanted.node)
    }

    /// Returns the claim of the instance in this folder; `None` for a spare or an unfinished instance.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let cluster = fs::read_to_string(folder.join(CLUSTER)).ok()?.trim().parse().ok()?;
        let (epoch, node) = match fs::read_to_string(folder.join(EPOCH)) {
            Ok(text) => parse_epoch(text.trim()).unwrap_or((UNKNOWN_EPOCH, None)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, None),
            Err(_) => (UNKNOWN_EPOCH, None),
        };
        Some(Self { cluster, epoch, node })
    }

    /// Claims the instance in this folder. Returns `false` if it is already claimed.
    pub(super) fn publish(self, folder: &Path) -> Result<bool> {
        if folder.join(CLUSTER).exists() {
            return Ok(false);
        }
        // The epoch first, because the instance is claimed as soon as the other file exists.
        self.write_epoch(folder)?;
        publish_once(folder, CLUSTER, self.cluster.to_string().as_bytes())
    }

    /// Writes the epoch and the node of an instance durably.
    pub(super) fn write_epoch(self, folder: &Path) -> Result<()> {
        let text = match (self.epoch, self.node) {
            (epoch, Some(node)) => format!("{epoch} {node}"),
            (0, None) => {
                let path = folder.join(EPOCH);
                return match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(failed("remove", &path)(error))
                    }
                    _ => Ok(()),
                };
            }
            (epoch, None) => epoch.to_string(),
        };
        write_atomically(folder, EPOCH, text.as_bytes())
    }
}

fn parse_epoch(text: &str) -> Option<(u64, Option<NodeId>)> {
    match text.split_once(' ') {
        Some((epoch, node)) => Some((epoch.parse().ok()?, Some(node.parse().ok()?))),
        None => Some((text.parse().ok()?, None)),
    }
}

/// Whether the plan is that of a cluster with several nodes.
pub(super) fn has_several_nodes(plan: &InstancePlan) -> bool {
    plan.nodes.len() > 1
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
        assert_eq!(Claim::read(&folder), Some(Claim::alone(cluster, 0)));
        fs::remove_file(folder.join(CLUSTER)).unwrap();
        // What remains of a claim that was not published has no effect.
        fs::write(folder.join(EPOCH), "7").unwrap();
        assert_eq!(Claim::read(&folder), None);
        assert!(Claim::alone(cluster, 0).publish(&folder).unwrap());
        assert_eq!(names_in(&folder), [CLUSTER], "as programs without epochs write it");
        assert_eq!(fs::read_to_string(folder.join(CLUSTER)).unwrap(), cluster.to_string());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_later_epoch_is_kept_even_if_its_file_is_damaged() {
        let (folder, cluster) = (folder(), ClusterId(uuid::Uuid::new_v4()));
        let claim = Claim::alone(cluster, 12);
        assert!(claim.publish(&folder).unwrap());
        assert!(!Claim::alone(cluster, 0).publish(&folder).unwrap(), "it is already claimed");
        assert_eq!(Claim::read(&folder), Some(claim));
        fs::write(folder.join(EPOCH), "").unwrap();
        assert_eq!(Claim::read(&folder), Some(Claim::alone(cluster, UNKNOWN_EPOCH)));
        fs::remove_dir_all(&folder).unwrap();
    }
    #[test]
    fn programs_without_nodes_do_not_understand_the_claim_of_a_node() {
        let (folder, cluster) = (folder(), ClusterId(uuid::Uuid::new_v4()));
        assert!(Claim::alone(cluster, 0).publish(&folder).unwrap());
        let claim = Claim { cluster, epoch: 0, node: Some(NodeId(3)) };
        claim.write_epoch(&folder).unwrap();
        assert_eq!(Claim::read(&folder), Some(claim));
        let text = fs::read_to_string(folder.join(EPOCH)).unwrap();
        assert_eq!(text, "0 n3");
        assert!(text.trim().parse::<u64>().is_err(), "it would serve the node alone");
        for damaged in ["0 n", "0 n3x", "n3", "0n3"] {
            fs::write(folder.join(EPOCH), damaged).unwrap();
            assert_eq!(Claim::read(&folder), Some(Claim::alone(cluster, UNKNOWN_EPOCH)), "{damaged}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn data_that_was_alone_can_become_any_node() {
        let cluster = ClusterId(uuid::Uuid::new_v4());
        let node = |number| Claim { cluster, epoch: 1, node: Some(NodeId(number)) };
        let alone = Claim::alone(cluster, 1);
        assert!(alone.can_be(&alone) && alone.can_be(&node(2)) && node(2).can_be(&node(2)));
        assert!(!node(2).can_be(&node(1)) && !node(1).can_be(&alone));
        assert!(!Claim::alone(cluster, 0).can_be(&alone));
    }
}
