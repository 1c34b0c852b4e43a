//! Makes a node a standby of the present primary: as it is, by a rewind, or not at all.

use super::{
    fence,
    promote::check_standby,
    ready_primary,
    received::{StandbyState, state_of},
    rewind::rewind,
    settings::{NodeSettings, make_standby},
    slots, timelines, was_promoted,
};
use crate::{
    Rejoin,
    files::{blocking, names_in, remove_tree},
    postgres::{
        instance::{Instance, REWINDING, Stage},
        missing::version_file,
        shared::Shared,
    },
};
use ootheca_model::{Error, Result, instance::InstancePlan, node::NodeId};
use std::{fs, path::Path, sync::Arc};

/// Starts a node as a standby of the primary. The caller does that for one node of a cluster at a time.
pub(in crate::postgres) async fn rejoin(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
    node: NodeId,
) -> Result<Rejoin> {
    check_standby(plan, node)?;
    let Some(_guard) = shared.begin() else {
        return Err(Error::unavailable("the engine is shutting down"));
    };
    let Some(instance) = shared.node(plan.cluster, plan.epoch, node) else { return Ok(Rejoin::NeedsReseed) };
    let primary = ready_primary(shared, plan)?;
    instance.record(plan).await?;
    // A rewind that was interrupted has left data of two nodes.
    let is_complete = !instance.folder.join(REWINDING).exists() && version_file(&instance.data()).exists();
    if !is_complete {
        fence::kill(&instance).await?;
        return Ok(Rejoin::NeedsReseed);
    }
    if !instance.is_standby() || was_promoted(&instance) {
        return rewind(&instance, &primary).await;
    }
    match instance.stage() {
        Stage::Ready => redirect(&instance, &primary).await,
        Stage::Down if has_other_timeline(&instance, &primary).await? => rewind(&instance, &primary).await,
        Stage::Down => start(&instance, &primary).await,
        Stage::Starting | Stage::Suspending | Stage::Stopping | Stage::Stopped => Ok(Rejoin::Started),
    }
}

async fn has_other_timeline(instance: &Instance, primary: &Instance) -> Result<bool> {
    let (own, current) = (instance.data(), primary.data());
    blocking(move || Ok(timelines::newest(&own) != timelines::newest(&current))).await
}

/// Lets a standby that runs follow the primary.
async fn redirect(instance: &Arc<Instance>, primary: &Arc<Instance>) -> Result<Rejoin> {
    if primary.state.borrow().streaming.contains_key(&instance.node()) {
        return Ok(Rejoin::Streaming);
    }
    // Still busy with the WAL that it has.
    let Some(state) = state_of(instance).await else { return Ok(Rejoin::Started) };
    let primary_data = primary.data();
    let (has_diverged, has_wal) = blocking(move || {
        Ok((timelines::has_diverged(&primary_data, &state)?, has_wal(&primary_data, &state)))
    })
    .await?;
    if has_diverged {
        return rewind(instance, primary).await;
    }
    if !has_wal {
        return Ok(Rejoin::NeedsReseed);
    }
    slots::ensure(primary, &[instance.node()]).await?;
    standby_settings(instance, primary).apply(instance).await?;
    Ok(Rejoin::Started)
}

/// Whether the primary still has the WAL that a standby needs next.
fn has_wal(primary_data: &Path, standby: &StandbyState) -> bool {
    let wal = primary_data.join(timelines::WAL_FOLDER);
    let names = names_in(&wal);
    let mut segments = names.iter().filter_map(|name| {
        let bytes = fs::symlink_metadata(wal.join(name)).ok()?.len();
        Some((timelines::segment_number(name, bytes)?, bytes))
    });
    // At the end of a segment, the next one may not exist yet.
    segments.any(|(number, bytes)| {
        let next = standby.replayed.0 / bytes;
        number == next || number + 1 == next
    })
}

/// Starts a standby whose server is down.
pub(super) async fn start(instance: &Arc<Instance>, primary: &Arc<Instance>) -> Result<Rejoin> {
    if !instance.is_vacant() {
        fence::kill(instance).await?;
    }
    slots::ensure(primary, &[instance.node()]).await?;
    let (settings, context) = (standby_settings(instance, primary), instance.context.clone());
    let (folder, data, cluster) = (instance.folder.clone(), instance.data(), instance.cluster());
    let primary_data = primary.data();
    blocking(move || {
        timelines::ensure_history(&primary_data)?;
        remove_primary_state(&data)?;
        let cluster = cluster.ok_or_else(|| Error::internal("a spare has no cluster"))?;
        make_standby(&context, &data, cluster, &settings)?;
        fence::forget_promotion(&folder)?;
        fence::remove_file(&folder.join(REWINDING))
    })
    .await?;
    instance.serve();
    instance.start();
    Ok(Rejoin::Started)
}

/// Removes what is only of use to a primary: reserved timelines, and slots, which would hold back WAL.
pub(super) fn remove_primary_state(data: &Path) -> Result<()> {
    timelines::release(data)?;
    let slots = data.join("pg_replslot");
    names_in(&slots).iter().try_for_each(|name| remove_tree(&slots.join(name)))
}

fn standby_settings(instance: &Instance, primary: &Instance) -> NodeSettings {
    NodeSettings::of_standby(instance.node(), &instance.data(), &primary.sockets())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::WalPosition;

    #[test]
    fn the_segment_of_a_position_or_the_one_before_is_needed() {
        let data = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        let wal = data.join(timelines::WAL_FOLDER);
        fs::create_dir_all(&wal).unwrap();
        for name in ["000000020000000000000007", "00000002.history"] {
            fs::File::create(wal.join(name)).unwrap().set_len(1 << 20).unwrap();
        }
        let has = |segment: u64| {
            let position = WalPosition(segment << 20);
            let node = NodeId(2);
            has_wal(&data, &StandbyState { node, timeline: 1, received: position, replayed: position })
        };
        assert!(has(7) && has(8));
        assert!(!has(6) && !has(9));
        fs::remove_dir_all(&data).unwrap();
    }
}
