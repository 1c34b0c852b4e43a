//! Builds standbys: from the template for a new cluster, otherwise from the primary, which runs.

use super::{
    promote::check_standby,
    ready_primary,
    settings::{NodeSettings, make_standby},
    slots,
    standby::{discard_folders, node_claim},
    uninterrupted,
};
use crate::{
    Progress, Source,
    files::blocking,
    postgres::{
        context::new_id,
        control_secret,
        instance::{Instance, SPARE_READY},
        pool,
        replication_user::ensure_replication_user,
        shared::Shared,
        template,
    },
};
use ootheca_model::{Error, Result, instance::InstancePlan, node::NodeId};
use std::{fs, path::PathBuf, sync::Arc};

/// Builds a standby, unless it exists.
pub(in crate::postgres) async fn stage_node(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
    node: NodeId,
    source: &Source,
) -> Result<()> {
    check_standby(plan, node)?;
    if !plan.nodes.iter().any(|member| member.id == node) {
        return Err(Error::precondition(format!("the plan does not contain node {node}")));
    }
    let (this, plan, source) = (shared.clone(), plan.clone(), source.clone());
    uninterrupted(shared, async move {
        let _alone = this.begin_change(plan.cluster).await;
        build(&this, &plan, node, &source).await
    })
    .await
}

async fn build(shared: &Arc<Shared>, plan: &InstancePlan, node: NodeId, source: &Source) -> Result<()> {
    shared.table().check_successor(plan)?;
    if shared.node(plan.cluster, plan.epoch, node).is_some() {
        return Ok(());
    }
    let primary = ready_primary(shared, plan)?;
    // From here on, the primary has a number as well.
    primary.record(plan).await?;
    ensure_replication_user(&primary).await?;
    // Claimed, but not usable: its data was damaged later.
    discard_folders(shared, plan, node).await?;
    let id = new_id();
    let built = match source {
        Source::Empty if is_of_template(&primary) => copy_empty(shared, &primary, node, &id).await,
        Source::Empty => shared.seed_data(&primary, node, &id, &Progress(Arc::new(|_| {}))).await,
        Source::Primary(progress) => shared.seed_data(&primary, node, &id, progress).await,
        Source::Backup(_) | Source::Cluster(_) => {
            Err(Error::internal("a standby is built from the primary of its cluster"))
        }
    };
    let published = match built {
        Ok(folder) => publish(shared, plan, node, &primary, &id, folder).await,
        Err(error) => Err(error),
    };
    if published.is_err() {
        pool::discard_unfinished(&shared.context, &id).await;
    }
    published
}

/// Whether the data of the primary began as a copy of the present template, so that another copy can follow it.
fn is_of_template(primary: &Instance) -> bool {
    let mark = fs::read_to_string(primary.folder.join(SPARE_READY));
    mark.is_ok_and(|mark| mark == template::name(&primary.programs))
}

/// Copies the template. If the primary has removed the WAL that followed it, the standby is built again later.
async fn copy_empty(
    shared: &Arc<Shared>,
    primary: &Arc<Instance>,
    node: NodeId,
    id: &str,
) -> Result<PathBuf> {
    slots::ensure(primary, &[node]).await?;
    let template = shared.template(&primary.programs).await?;
    let (this, cluster) = (shared.clone(), primary.cluster());
    let stopped = move || cluster.is_none_or(|cluster| this.is_staging_interrupted(cluster));
    pool::copy_template(&shared.context, id, template, stopped).await
}

/// Makes complete data that of a standby, and claims it.
async fn publish(
    shared: &Arc<Shared>,
    plan: &InstancePlan,
    node: NodeId,
    primary: &Instance,
    id: &str,
    folder: PathBuf,
) -> Result<()> {
    let (context, cluster, sockets) = (shared.context.clone(), plan.cluster, primary.sockets());
    let folder = blocking(move || {
        let data = folder.join("data");
        make_standby(&context, &data, cluster, &NodeSettings::of_standby(node, &data, &sockets))?;
        // It has the password of the cluster once it has replayed the WAL of the primary.
        control_secret::record(&folder, cluster)?;
        Ok(folder)
    })
    .await?;
    shared.publish(node_claim(plan, node), &primary.programs, id, folder).await
}
