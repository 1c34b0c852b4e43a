//! Restores of backups, and to points in time. A restore is recorded in the row of its destination; the reconciler does
//! the rest.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::Decision,
        handlers::{
            backup_sources::{self, Found, Moment, Source, Wanted},
            paging,
        },
    },
    documents::{self, Stored},
    ids::fresh_id,
};
use ootheca_api::wire::*;
use ootheca_model::{
    Cluster as ClusterModel, ClusterId, Error, Result, Timestamp,
    backup::{self, NewRestore, Restore as Model, RestoreObject, RestoreOptions, RestoreStatus},
};
use ootheca_store::{Batch, Kind, Query};
use rand::RngExt;
use std::sync::Arc;

/// The age in microseconds of the oldest backup that a request without the ID of one restores: seven days.
const NEWEST_WITHIN: i64 = 7 * 24 * 3600 * 1_000_000;

/// `GET …/restores`
pub async fn list_restores(
    call: Arc<Call>,
    _path: ClusterPath,
    query: ListRestoresQuery,
) -> Result<ListRestoresResponse> {
    let destination = destination(&call).await?;
    let parent = Some(destination.row.id.clone());
    let rows = Query { parent, descending: true, ..Query::all(Kind::Restore) };
    let (start, end) = (query.start_time, query.end_time);
    let filters = format!("{start:?} {end:?}");
    let (rows, pagination) = paging::matching_rows(&call, &query.page, rows, &filters, |row| {
        let created = row.created_at;
        Ok(start.is_none_or(|start| created >= start) && end.is_none_or(|end| created < end))
    })
    .await?;
    let restores = rows.into_iter().map(|row| Ok(convert(&call, documents::decode::<Model>(row)?.value)));
    Ok(ListRestoresResponse { restores: restores.collect::<Result<_>>()?, pagination })
}

/// `GET …/restores/{restore_id}`
pub async fn get_restore(call: Arc<Call>, path: RestorePath) -> Result<Restore> {
    let destination = destination(&call).await?;
    let found = documents::find::<Model>(&*call.context.store, &path.restore_id.to_lowercase()).await?;
    let found = found.filter(|found| found.row.parent == destination.row.id);
    Ok(convert(&call, found.ok_or_else(|| Error::not_found("restore"))?.value))
}

/// `POST …/restores`
pub async fn create_restore(
    call: Arc<Call>,
    _path: RestoreDestinationPath,
    body: CreateRestoreBody,
) -> Result<Decision<Restore>> {
    let destination = call.cluster().await?;
    let request = NewRestore {
        id: fresh_id().to_string(),
        job: fresh_job(),
        kind: required("type", body.r#type)?,
        objects: body.objects.unwrap_or_default().into_iter().map(object).collect(),
        options: options(body.restore_opts.unwrap_or_default()),
    };
    request.check(&destination.value)?;
    let named =
        Named { backup: body.backup_id, source: body.source_cluster_id, point_in_time: body.point_in_time };
    let (source, moment) = chosen(&call, named, &destination).await?;
    let Moment { backup, point, base, point_in_time } = moment;
    let (restore, after) = backup::create_restore(
        &destination.value,
        &source.value,
        &point.value,
        &base.value,
        backup,
        point_in_time,
        request,
        call.context.now(),
    )?;
    // Touching the recovery point prevents that it is removed at the same time.
    let batch = Batch::by(&call.granted)
        .with(documents::touch(&point.row))
        .with(documents::insert(&restore)?)
        .with(documents::update(&destination.row, &after)?);
    Ok(Decision::now(batch, convert(&call, restore)))
}

/// A random number that clients see as the job of the database.
pub(super) fn fresh_job() -> i64 {
    rand::rng().random_range(1..=i64::MAX)
}

/// The cluster in the path, also if it is deleted.
async fn destination(call: &Call) -> Result<Arc<Stored<ClusterModel>>> {
    let found = match call.granted.cluster() {
        Some(id) => backup_sources::cluster(call, id).await?,
        None => None,
    };
    found.ok_or_else(|| Error::not_found("cluster"))
}

/// What a request names to restore.
struct Named {
    backup: Option<String>,
    source: Option<String>,
    point_in_time: Option<Timestamp>,
}

/// The source and the moment that a request names. Without a backup and a point in time, it is the newest backup of the
/// source. A cluster that the caller has no access to is the same as none.
async fn chosen(call: &Call, named: Named, destination: &Stored<ClusterModel>) -> Result<(Source, Moment)> {
    let (context, requirement) = (&call.context, call.operation.requirement);
    let store = &*context.store;
    let source = backup_sources::named_source(call, requirement, named.source).await?;
    match (backup_sources::given(named.backup), named.point_in_time) {
        (Some(_), Some(_)) => Err(Error::invalid("point_in_time", "can't be combined with backup_id")),
        (Some(backup), None) => {
            let (source, found) =
                backup_sources::named_backup(call, requirement, "backup_id", &backup, source).await?;
            Ok((source, Moment::of(store, found).await?))
        }
        (None, Some(time)) => {
            let source = source.unwrap_or_else(|| Arc::new(destination.clone()));
            let now = context.now();
            let moment = backup_sources::moment(store, source.value.id, "point_in_time", time, now).await?;
            Ok((source, moment))
        }
        (None, None) => {
            let required = || Error::invalid("backup_id", "is required without source_cluster_id");
            let source = source.ok_or_else(required)?;
            let newest = newest(call, source.value.id).await?;
            Ok((source, Moment::of(store, newest).await?))
        }
    }
}

async fn newest(call: &Call, source: ClusterId) -> Result<Found> {
    let now = call.context.now();
    let times = Timestamp(now.0 - NEWEST_WITHIN)..Timestamp(i64::MAX);
    let wanted = Wanted { times, descending: true, limit: 1 };
    let found = backup_sources::backups(&*call.context.store, source, &wanted, now).await?;
    found.into_iter().next().ok_or_else(|| {
        Error::precondition(
            "the source cluster has no backup of the last 7 days; set backup_id to restore an older one",
        )
    })
}

fn object(item: RestoreItem) -> RestoreObject {
    RestoreObject {
        database: item.database,
        schema: item.schema.unwrap_or_default(),
        table: item.table.unwrap_or_default(),
    }
}

fn options(options: RestoreOpts) -> RestoreOptions {
    RestoreOptions {
        new_db_name: options.new_db_name.unwrap_or_default(),
        into_db: options.into_db.unwrap_or_default(),
        schema_only: options.schema_only.unwrap_or_default(),
        skip_localities_check: options.skip_localities_check.unwrap_or_default(),
        skip_missing_foreign_keys: options.skip_missing_foreign_keys.unwrap_or_default(),
        skip_missing_sequences: options.skip_missing_sequences.unwrap_or_default(),
        skip_missing_views: options.skip_missing_views.unwrap_or_default(),
    }
}

fn item(object: RestoreObject) -> RestoreItem {
    RestoreItem { database: object.database, schema: set(object.schema), table: set(object.table) }
}

/// The options that are set; `None` if none is.
fn set_options(options: RestoreOptions) -> Option<RestoreOpts> {
    let flag = |flag: bool| flag.then_some(true);
    (!options.is_unset()).then(|| RestoreOpts {
        into_db: set(options.into_db),
        new_db_name: set(options.new_db_name),
        schema_only: flag(options.schema_only),
        skip_localities_check: flag(options.skip_localities_check),
        skip_missing_foreign_keys: flag(options.skip_missing_foreign_keys),
        skip_missing_sequences: flag(options.skip_missing_sequences),
        skip_missing_views: flag(options.skip_missing_views),
    })
}

fn set(name: String) -> Option<String> {
    (!name.is_empty()).then_some(name)
}

fn convert(call: &Call, restore: Model) -> Restore {
    let completion_percent = match restore.status {
        RestoreStatus::Pending => call.lifecycle.backups.progress(&restore.id).unwrap_or(0.0),
        RestoreStatus::Success => 1.0,
        RestoreStatus::Failed => 0.0,
    };
    let failure = restore.failure.map(|failure| (failure.code, failure.message));
    let (client_error_code, client_error_message) = failure.unzip();
    let objects: Vec<RestoreItem> = restore.objects.into_iter().map(item).collect();
    Restore {
        id: restore.id,
        backup_id: restore.backup.map(|backup| backup.to_string()).unwrap_or_default(),
        backup_end_time: restore.backup_end_time,
        point_in_time: restore.point_in_time.map(|moment| moment.time),
        source_cluster_name: restore.source_name,
        destination_cluster_name: restore.destination_name,
        r#type: restore.kind,
        status: restore.status,
        created_at: restore.created_at,
        completed_at: restore.completed_at,
        completion_percent,
        crdb_job_id: restore.job.to_string(),
        objects: (!objects.is_empty()).then_some(objects),
        restore_opts: set_options(restore.options),
        client_error_code,
        client_error_message,
    }
}
