//! What callers do: the same history for the disturbed and the undisturbed run.

use super::schedule::next;

/// The maximum number of clusters of a history.
const CLUSTERS: usize = 6;
const LENGTH: usize = 20;

/// What a caller or the environment does next. Clusters are numbered in the order of their creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Creates a cluster with plan BASIC or STANDARD. Names are used again after a deletion.
    Create {
        name: String,
        standard: bool,
    },
    /// Sets the limits of a BASIC cluster.
    Limit {
        cluster: usize,
        request_units: u64,
        storage_mib: u64,
    },
    /// Sets the vCPUs of a STANDARD cluster.
    Cpus {
        cluster: usize,
        cpus: u64,
    },
    /// Changes a cluster from BASIC to STANDARD.
    Standard {
        cluster: usize,
    },
    /// Adds an entry to the allowlist.
    Allow {
        cluster: usize,
        octet: u64,
    },
    /// A SQL session that writes rows. It resumes the cluster if it is suspended.
    Use {
        cluster: usize,
        rows: u64,
        sent_kib: u64,
        grown_mib: u64,
    },
    /// Time passes, in seconds.
    Advance {
        seconds: u64,
    },
    /// The data of a cluster is moved away.
    Lose {
        cluster: usize,
    },
    /// The data is moved back.
    Restore {
        cluster: usize,
    },
    Delete {
        cluster: usize,
    },
    /// Creates a cluster with the present data of another one.
    Clone {
        cluster: usize,
        name: String,
    },
    /// Creates a cluster that expires, and lets the time pass until then.
    Expire {
        name: String,
    },
}

/// A cluster as its callers know it.
struct Known {
    name: String,
    standard: bool,
    cpus: u64,
    octet: u64,
}

/// The history of a seed. All of its operations succeed.
pub(super) fn history(seed: u64) -> Vec<Operation> {
    let mut random = seed ^ 0x5eed;
    let mut below = |limit: u64| next(&mut random) % limit;
    let mut clusters: Vec<Option<Known>> = Vec::new();
    let mut lost: Option<usize> = None;
    let mut operations = Vec::new();
    while operations.len() < LENGTH {
        if let Some(cluster) = lost
            && below(2) == 0
        {
            lost = None;
            operations.push(Operation::Restore { cluster });
            continue;
        }
        let alive: Vec<usize> = (0..clusters.len()).filter(|number| clusters[*number].is_some()).collect();
        let pick = below(1 + 2 * u64::try_from(alive.len()).unwrap_or(0));
        let chosen = usize::try_from(pick).ok().and_then(|place| alive.get(place / 2)).copied();
        let Some(cluster) = chosen else {
            if clusters.len() < CLUSTERS {
                let taken = |name: &String| clusters.iter().flatten().any(|known| known.name == *name);
                let mut names = (0..=CLUSTERS).map(|number| format!("cluster-{number}"));
                let name = names.find(|name| !taken(name)).unwrap_or_default();
                let standard = below(3) == 0;
                operations.push(Operation::Create { name: name.clone(), standard });
                clusters.push(Some(Known { name, standard, cpus: 2, octet: 1 }));
            } else {
                operations.push(Operation::Advance { seconds: 60 + below(20) * 60 });
            }
            continue;
        };
        let number = clusters.len();
        let Some(known) = clusters[cluster].as_mut() else { continue };
        let operation = match below(14) {
            0 | 1 if !known.standard => {
                Operation::Limit { cluster, request_units: 50 + below(400), storage_mib: 5 + below(40) }
            }
            0 | 1 => {
                known.cpus += 1 + below(3);
                Operation::Cpus { cluster, cpus: known.cpus }
            }
            2 if !known.standard => {
                (known.standard, known.cpus) = (true, 2);
                Operation::Standard { cluster }
            }
            3 => {
                known.octet += 1;
                Operation::Allow { cluster, octet: known.octet }
            }
            4 if lost.is_none() => {
                lost = Some(cluster);
                Operation::Lose { cluster }
            }
            5 | 6 => {
                // Long enough for a suspension, and sometimes for the next month.
                let days = if below(4) == 0 { 2 } else { 0 };
                Operation::Advance { seconds: days * 86_400 + 200 + below(300) }
            }
            7 => {
                clusters[cluster] = None;
                Operation::Delete { cluster }
            }
            12 if number < CLUSTERS && lost != Some(cluster) => {
                let name = format!("clone-{number}");
                let clone = Known { name: name.clone(), octet: 1, ..*known };
                clusters.push(Some(clone));
                Operation::Clone { cluster, name }
            }
            13 if number < CLUSTERS => {
                clusters.push(None);
                Operation::Expire { name: format!("expiring-{number}") }
            }
            _ if lost != Some(cluster) => {
                Operation::Use { cluster, rows: 1 + below(30), sent_kib: below(20), grown_mib: below(4) }
            }
            _ => continue,
        };
        operations.push(operation);
    }
    operations.extend(lost.map(|cluster| Operation::Restore { cluster }));
    operations
}
