//! SQL users. They are stored in the cluster. While it is suspended, cached SQL metadata is returned.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::Decision,
        handlers::{
            cluster_contents::{Effect, Inside, Needs, inside},
            paging,
        },
    },
    lifecycle::sql_metadata::{self, Part},
};
use ootheca_api::wire::*;
use ootheca_model::{Error, ErrorKind, Result, names};
use std::sync::Arc;

/// `GET …/sql-users`
pub async fn list_sql_users(
    call: Arc<Call>,
    _path: ClusterPath,
    query: PageQuery,
) -> Result<ListSQLUsersResponse> {
    let users = match inside(&call).await? {
        Inside::Awake(cluster, mut admin, _held) => {
            let logins = sql_metadata::logins(&call.lifecycle, cluster, &mut *admin).await?;
            logins.into_iter().map(|login| login.name).collect()
        }
        Inside::Asleep(notes) => notes.value.logins.iter().map(|login| login.name.clone()).collect(),
    };
    let (users, pagination) = paging::slice(&call, &query, users, String::clone)?;
    Ok(ListSQLUsersResponse { users: users.into_iter().map(|name| SQLUser { name }).collect(), pagination })
}

/// `POST …/sql-users`
pub async fn create_sql_user(
    call: Arc<Call>,
    _path: ClusterPath,
    body: CreateSQLUserRequest,
) -> Result<Decision<SQLUser>> {
    let name = required("name", body.name)?;
    let password = required("password", body.password)?;
    names::sql_user(&name)?;
    names::password(&password)?;
    let effect = Effect::new(&call, Part::Logins, &[Needs::Absent(&name)]).await?;
    let attempt = call.attempt;
    effect.run(SQLUser { name: name.clone() }, move |admin| {
        Box::pin(async move {
            attempt.ended(admin.create_user(&name, &password).await, ErrorKind::Exists)?;
            Ok(SQLUser { name })
        })
    })
}

/// `PUT …/sql-users/{name}/password`
pub async fn update_sql_user_password(
    call: Arc<Call>,
    path: SQLUserPath,
    body: UpdateSQLUserPasswordRequest,
) -> Result<Decision<SQLUser>> {
    let password = required("password", body.password)?;
    names::password(&password)?;
    known(&path.name)?;
    let effect = Effect::new(&call, Part::Logins, &[Needs::Present(&path.name)]).await?;
    effect.run(SQLUser { name: path.name.clone() }, move |admin| {
        Box::pin(async move {
            admin.set_password(&path.name, &password).await?;
            Ok(SQLUser { name: path.name })
        })
    })
}

/// `DELETE …/sql-users/{name}`
pub async fn delete_sql_user(call: Arc<Call>, path: SQLUserPath) -> Result<Decision<SQLUser>> {
    known(&path.name)?;
    let effect = Effect::new(&call, Part::Logins, &[Needs::Present(&path.name)]).await?;
    let attempt = call.attempt;
    effect.run(SQLUser { name: path.name.clone() }, move |admin| {
        Box::pin(async move {
            attempt.ended(admin.delete_user(&path.name).await, ErrorKind::NotFound)?;
            Ok(SQLUser { name: path.name })
        })
    })
}

/// Roles of the engine are hidden from tenants.
fn known(name: &str) -> Result<()> {
    if names::engine_user(name) { Err(Error::not_found("SQL user")) } else { Ok(()) }
}
