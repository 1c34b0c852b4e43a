//! The backups of a cluster, and how often they are taken.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::Decision,
        handlers::{
            backup_sources::{self, Wanted},
            paging::TimePage,
        },
    },
    documents,
};
use ootheca_api::wire::*;
use ootheca_model::{
    ClusterId, Error, Result, Timestamp,
    backup::{self, BackupConfiguration as Model, BackupPatch},
};
use ootheca_store::Batch;
use std::sync::Arc;

/// `GET …/backups-config`. A cluster has a configuration in every state until it is deleted.
pub async fn get_backup_configuration(call: Arc<Call>, _path: ClusterPath) -> Result<BackupConfiguration> {
    Ok(convert(call.cluster().await?.value.backup_configuration()))
}

/// `PATCH …/backups-config`
pub async fn update_backup_configuration(
    call: Arc<Call>,
    _path: ClusterPath,
    body: UpdateBackupConfigurationSpec,
) -> Result<Decision<BackupConfiguration>> {
    let before = call.cluster().await?;
    let wanted = BackupPatch {
        enabled: body.enabled,
        frequency_minutes: body.frequency_minutes,
        retention_days: body.retention_days,
    };
    let after = backup::patch(&before.value, &wanted, call.context.now())?;
    let batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    Ok(Decision::now(batch, convert(after.backup_configuration())))
}

fn convert(configuration: Model) -> BackupConfiguration {
    BackupConfiguration {
        enabled: configuration.enabled,
        frequency_minutes: configuration.frequency_minutes.into(),
        retention_days: configuration.retention_days.into(),
    }
}

/// `GET …/backups`
pub async fn list_backups(
    call: Arc<Call>,
    _path: ClusterPath,
    query: ListBackupsQuery,
) -> Result<ListBackupsResponse> {
    let cluster = call.cluster().await?.value.id;
    page(&call, cluster, query.start_time, query.end_time, &query.page).await
}

/// `GET /api/ootheca/v1/backups`. Backups outlive their cluster, but `ListBackups` requires one that exists.
pub async fn list_source_backups(
    call: Arc<Call>,
    query: ListSourceBackupsQuery,
) -> Result<ListBackupsResponse> {
    let id = required("source_cluster_id", query.source_cluster_id)?;
    let source = backup_sources::named(&call, call.operation.requirement, &id).await?;
    let source = source.ok_or_else(|| Error::not_found("cluster"))?;
    page(&call, source.value.id, query.start_time, query.end_time, &query.page).await
}

async fn page(
    call: &Call,
    cluster: ClusterId,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    page: &PageQuery,
) -> Result<ListBackupsResponse> {
    let page = TimePage::read(call, page, &format!("{cluster} {start:?} {end:?}"))?;
    let times = start.unwrap_or(Timestamp(i64::MIN))..end.unwrap_or(Timestamp(i64::MAX));
    let wanted = Wanted { times: page.times(times)?, descending: page.descending(), limit: page.limit() };
    let context = &call.context;
    let found = backup_sources::backups(&*context.store, cluster, &wanted, context.now()).await?;
    let (found, pagination) = page.page(call, found, |(backup, _)| backup.as_of_time);
    let backups = found
        .into_iter()
        .map(|(backup, _)| BackupSummary { id: backup.id.to_string(), as_of_time: backup.as_of_time });
    Ok(ListBackupsResponse { backups: backups.collect(), pagination })
}
