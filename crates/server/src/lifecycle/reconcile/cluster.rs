//! One step for one cluster: compares the observed state with the desired state, and acts.

use super::{
    creation,
    nodes::{self, Primary},
    restore,
    step::{Step, next},
};
use crate::{
    documents::{self, Stored},
    lifecycle::Lifecycle,
};
use ootheca_model::{
    Cluster, ClusterId, ClusterState, Error, ErrorKind, Result,
    cluster::ObservedCluster,
    instance::{Condition, Observed, Phase, Power, Removal},
};
use ootheca_store::{Batch, Lease};
use std::time::Duration;

/// The number of failed attempts after which the creation of a cluster is given up.
const CREATION_ATTEMPTS: u32 = 5;
/// When to check again a cluster that is to be suspended but is in use.
const IN_USE: Duration = Duration::from_millis(50);

/// Moves a cluster toward its desired state. The only input is the ID: all state is read again each time.
/// `attempts` is the number of failed attempts to create the cluster, or to restore a backup into it.
pub async fn step(lifecycle: &Lifecycle, id: ClusterId, lease: Lease, attempts: u32) -> Result<Step> {
    let Some(stored) = documents::find::<Cluster>(&*lifecycle.context.store, &id.to_string()).await? else {
        // Rows outlive their clusters, so no crash leaves such a cluster. It belongs to another store and
        // must not be removed.
        tracing::warn!(cluster = %id, "cluster in the engine is unknown to the store; left as it is");
        return Ok(Step::Done);
    };
    match stored.value.state {
        ClusterState::Deleted | ClusterState::CreationFailed => {
            if stored.value.restore.is_some() {
                restore::give_up(lifecycle, &stored, lease).await?;
                return Ok(Step::Again(Duration::ZERO));
            }
            if stored.value.removed && lifecycle.context.engine.observe(id).await?.phase == Phase::Absent {
                return Ok(Step::Done);
            }
            let removal = lifecycle.context.engine.remove(id).await?;
            if removal == Removal::Gone && !stored.value.removed {
                let gone = Cluster { removed: true, ..stored.value.clone() };
                write(lifecycle, &stored, gone, lease).await?;
            }
            lifecycle.metadata_locks.forget(id);
            lifecycle.tracker.forget(id);
            lifecycle.standbys.forget_all(id);
            lifecycle.backups.forget(id);
            lifecycle.metering.activity.forget(id);
            Ok(after(removal, Step::Done))
        }
        _ if stored.value.restore.is_some() && !is_recovered(&stored.value) => {
            match nodes::keep_primary(lifecycle, &stored, &lease).await? {
                Primary::Changing(step) => Ok(step),
                Primary::Kept | Primary::Lost(_) => restore::step(lifecycle, id, lease, attempts).await,
            }
        }
        _ if stored.value.power == Power::Off => switch_off(lifecycle, id, lease, attempts).await,
        ClusterState::Creating | ClusterState::Created | ClusterState::Locked => {
            run(lifecycle, stored, lease, attempts).await
        }
    }
}

/// Whether the data is lost, and an empty instance is created for the restore of its backup, see [`crate::recovery`].
fn is_recovered(cluster: &Cluster) -> bool {
    let restored = cluster.restore.as_ref().is_some_and(|restore| !restore.creates);
    cluster.state == ClusterState::Creating && restored
}

/// New uses wait until the shutdown has started and then resume the cluster, so that none of them gets a
/// server that is about to stop. A use that began before switches the power on again.
async fn switch_off(lifecycle: &Lifecycle, id: ClusterId, lease: Lease, attempts: u32) -> Result<Step> {
    let suspension = lifecycle.tracker.suspension(id);
    let Some(_alone) = suspension.begin().await else { return Ok(Step::Again(IN_USE)) };
    match documents::find::<Cluster>(&*lifecycle.context.store, &id.to_string()).await? {
        Some(stored) if stored.value.is_active() && stored.value.power == Power::Off => {
            run(lifecycle, stored, lease, attempts).await
        }
        _ => Ok(Step::Again(Duration::ZERO)),
    }
}

async fn run(lifecycle: &Lifecycle, stored: Stored<Cluster>, lease: Lease, attempts: u32) -> Result<Step> {
    let lost = match nodes::keep_primary(lifecycle, &stored, &lease).await? {
        Primary::Kept => None,
        Primary::Changing(step) => return Ok(step),
        Primary::Lost(condition) => Some(condition),
    };
    let plan = stored.value.plan_instance();
    let recovered = is_recovered(&stored.value);
    if recovered {
        // Nothing is created as long as the backup can't be read.
        lifecycle.backups.repository(&lifecycle.context).await?;
    }
    // Data is created for new clusters only. If the data of any other cluster is missing, it may come back.
    let observed = match stored.value.state {
        ClusterState::Creating => lifecycle.context.engine.create(&plan).await,
        _ => lifecycle.context.engine.ensure(&plan).await,
    };
    let mut observed = match observed {
        Ok(observed) => with_location(observed, &stored.value),
        Err(error) if stored.value.state != ClusterState::Creating || error.kind() == ErrorKind::Stale => {
            return Err(error);
        }
        // Its backup is kept, so the creation is never given up.
        Err(error) if recovered => return Err(error),
        Err(error) if hopeless(&error, attempts) => return give_up(lifecycle, stored, &error, lease).await,
        Err(error) => return Ok(Step::NotAchieved(error)),
    };
    observed.conditions.extend(lost);
    let mut cluster = stored.value.clone();
    cluster.observed.conditions.clone_from(&observed.conditions);
    let suspended = cluster.power == Power::Off && observed.phase == Phase::Suspended;
    if observed.phase == Phase::Ready || suspended {
        // A suspended cluster does not run. The engine that ran last will run again.
        let engine = if suspended { &cluster.observed.engine } else { &observed.engine };
        cluster.observed = ObservedCluster {
            generation: observed.generation,
            engine: engine.clone(),
            conditions: observed.conditions.clone(),
            location: observed.location.clone(),
        };
        if cluster.state == ClusterState::Creating && nodes::are_settled(&cluster, &observed) {
            cluster.state = if recovered { ClusterState::Locked } else { ClusterState::Created };
            cluster.updated_at = lifecycle.context.now();
        }
    }
    let settled = nodes::are_settled(&cluster, &observed);
    if cluster != stored.value {
        write(lifecycle, &stored, cluster, lease.clone()).await?;
    }
    if observed.phase == Phase::Ready && stored.value.power == Power::On && !settled {
        return settle(lifecycle, stored.value.id, lease, &observed, attempts).await;
    }
    Ok(next(stored.value.power, &observed))
}

/// Moves the nodes toward the row. A new cluster whose nodes can't be created is given up.
async fn settle(
    lifecycle: &Lifecycle,
    id: ClusterId,
    lease: Lease,
    observed: &Observed,
    attempts: u32,
) -> Result<Step> {
    match nodes::settle(lifecycle, id, lease.clone(), observed).await? {
        Step::NotAchieved(error) if hopeless(&error, attempts) => {
            let found = documents::find::<Cluster>(&*lifecycle.context.store, &id.to_string()).await?;
            match found.filter(|found| found.value.state == ClusterState::Creating) {
                Some(stored) => give_up(lifecycle, stored, &error, lease).await,
                None => Ok(Step::Again(Duration::ZERO)),
            }
        }
        step => Ok(step),
    }
}

/// Adds to the condition of missing data where the data was and what the operator can do.
fn with_location(mut observed: Observed, cluster: &Cluster) -> Observed {
    let missing = observed.conditions.iter_mut().find(|condition| condition.kind == Condition::DATA_MISSING);
    if let Some(condition) = missing {
        let message = &mut condition.message;
        *message = format!("The data of this cluster is missing: {message}.");
        if !cluster.observed.location.is_empty() {
            message.push_str(&format!(" It was last in {}.", cluster.observed.location));
        }
        message.push_str(
            " Restore it to its location to make the cluster available again, or delete the cluster. No new data is created.",
        );
    }
    observed
}

fn hopeless(error: &Error, attempts: u32) -> bool {
    match error.kind() {
        ErrorKind::Precondition | ErrorKind::Invalid | ErrorKind::Unimplemented => true,
        _ => attempts + 1 >= CREATION_ATTEMPTS,
    }
}

async fn give_up(
    lifecycle: &Lifecycle,
    stored: Stored<Cluster>,
    error: &Error,
    lease: Lease,
) -> Result<Step> {
    tracing::error!(cluster = %stored.value.id, error = error.chain(), "cluster creation failed");
    let reason = match error.kind() {
        ErrorKind::Internal => "the SQL server could not be created; see the log".to_owned(),
        _ => error.message().to_owned(),
    };
    let cluster = creation::failed(&stored.value, reason, lifecycle.context.now());
    write(lifecycle, &stored, cluster, lease).await?;
    Ok(Step::Again(Duration::ZERO))
}

fn after(removal: Removal, done: Step) -> Step {
    match removal {
        Removal::Gone => done,
        Removal::Going => Step::Again(Duration::from_millis(50)),
    }
}

async fn write(
    lifecycle: &Lifecycle,
    before: &Stored<Cluster>,
    cluster: Cluster,
    lease: Lease,
) -> Result<()> {
    let mut batch = Batch::server("reconcile").with(documents::update(&before.row, &cluster)?);
    batch.fence = Some(lease);
    lifecycle.context.store.commit(batch, lifecycle.context.now()).await.map(|_| ())
}
