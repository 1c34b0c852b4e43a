//! Databases. They are stored in the cluster. While it is suspended, cached SQL metadata is returned.

use crate::{
    api::{
        call::{Attempt, Call},
        convert::required,
        decision::Decision,
        handlers::{
            cluster_contents::{Effect, Inside, Needs, inside},
            paging,
        },
    },
    lifecycle::sql_metadata::{self, DatabaseMetadata, Part, Seen},
    metering::limit_status::admission_state,
};
use ootheca_api::wire::*;
use ootheca_gateway::AdmissionState;
use ootheca_model::{Error, ErrorKind, Result, names};
use std::{collections::HashMap, sync::Arc};

/// `GET …/databases`
pub async fn list_databases(
    call: Arc<Call>,
    _path: ClusterPath,
    query: PageQuery,
) -> Result<ListDatabasesResponse> {
    let (page, pagination) = match inside(&call).await? {
        Inside::Asleep(notes) => {
            paging::slice(&call, &query, notes.value.databases.clone(), |database| database.name.clone())?
        }
        Inside::Awake(cluster, mut admin, _held) => {
            let mut all = admin.databases().await?;
            let names = all.iter().map(|database| database.name.clone()).collect();
            let (names, pagination) = paging::slice(&call, &query, names, String::clone)?;
            let counts: HashMap<String, Option<i64>> =
                names.iter().cloned().zip(admin.count_tables(&names).await?).collect();
            let mut page = Vec::with_capacity(names.len());
            for database in &mut all {
                let Some(tables) = counts.get(&database.name) else { continue };
                database.tables = *tables;
                page.push(DatabaseMetadata { name: database.name.clone(), tables: database.tables });
            }
            sql_metadata::write(&call.lifecycle, cluster, &Seen::Databases(all)).await?;
            (page, pagination)
        }
    };
    let databases =
        page.into_iter().map(|noted| Database { name: noted.name, table_count: noted.tables.map(Int64) });
    Ok(ListDatabasesResponse { databases: databases.collect(), pagination })
}

/// `POST …/databases`
pub async fn create_database(
    call: Arc<Call>,
    _path: ClusterPath,
    body: CreateDatabaseRequest,
) -> Result<Decision<Database>> {
    let name = required("name", body.name)?;
    names::database("name", &name)?;
    if call.attempt != Attempt::Replay {
        check_storage(&call).await?;
    }
    let made = Database { name: name.clone(), table_count: Some(Int64(0)) };
    let effect = Effect::new(&call, Part::Databases, &[Needs::Absent(&name)]).await?;
    let attempt = call.attempt;
    effect.run(made.clone(), move |admin| {
        Box::pin(async move {
            attempt.ended(admin.create_database(&name).await, ErrorKind::Exists)?;
            Ok(made)
        })
    })
}

/// Returns `Precondition` if the cluster may only delete data.
async fn check_storage(call: &Call) -> Result<()> {
    let found = call.cluster().await?;
    match admission_state(&call.metering, &found.value).await? {
        AdmissionState::Throttled(notice) => {
            Err(Error::precondition(format!("{}. {}", notice.message, notice.hint)))
        }
        AdmissionState::Open | AdmissionState::Disabled(_) => Ok(()),
    }
}

/// `PATCH …/databases/{name}`; a name in the body is ignored.
pub async fn edit_database(
    call: Arc<Call>,
    path: DatabasePath,
    body: UpdateDatabaseRequest,
) -> Result<Decision<Database>> {
    rename(&call, path.name, body.new_name).await
}

/// `PATCH …/databases`, the older form, with the name in the body.
pub async fn edit_database2(
    call: Arc<Call>,
    _path: ClusterPath,
    body: UpdateDatabaseRequest,
) -> Result<Decision<Database>> {
    let name = required("name", body.name)?;
    rename(&call, name, body.new_name).await
}

/// `DELETE …/databases/{name}`
pub async fn delete_database(call: Arc<Call>, path: DatabasePath) -> Result<Decision<Database>> {
    known(&path.name)?;
    let effect = Effect::new(&call, Part::Databases, &[Needs::Present(&path.name)]).await?;
    let (attempt, gone) = (call.attempt, Database { name: path.name.clone(), table_count: None });
    effect.run(gone.clone(), move |admin| {
        Box::pin(async move {
            attempt.ended(admin.drop_database(&path.name).await, ErrorKind::NotFound)?;
            Ok(gone)
        })
    })
}

async fn rename(call: &Call, name: String, new_name: Option<String>) -> Result<Decision<Database>> {
    let new_name = required("new_name", new_name)?;
    names::database("new_name", &new_name)?;
    known(&name)?;
    let needs = [Needs::Present(&name), Needs::Absent(&new_name)];
    let effect = Effect::new(call, Part::Databases, &needs).await?;
    let (attempt, expected) = (call.attempt, Database { name: new_name.clone(), table_count: None });
    effect.run(expected, move |admin| {
        Box::pin(async move {
            // If an earlier attempt has renamed it, the tables can be counted under the new name.
            attempt.ended(admin.rename_database(&name, &new_name).await, ErrorKind::NotFound)?;
            let tables = admin.count_tables(std::slice::from_ref(&new_name)).await?;
            let table_count = tables.into_iter().next().flatten().map(Int64);
            Ok(Database { name: new_name, table_count })
        })
    })
}

/// Databases of the engine are hidden from tenants.
fn known(name: &str) -> Result<()> {
    if names::engine_database(name) { Err(Error::not_found("database")) } else { Ok(()) }
}
