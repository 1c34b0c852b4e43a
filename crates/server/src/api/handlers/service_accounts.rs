//! Service accounts: the programs that call this API.

use crate::{
    api::{
        call::Call,
        convert::{self, required},
        decision::Decision,
        handlers::{paging, roles},
    },
    documents::{self, Stored},
    identity::administrators::keep_an_admin,
    ids::fresh_id,
};
use ootheca_api::wire::*;
use ootheca_model::{Error, PrincipalId, Result, ServiceAccount as Model, identity::normal_grants, names};
use ootheca_store::{Batch, Kind, Mutation, Query, Row};
use std::sync::Arc;

/// `GET /service-accounts`. Accounts are not members of groups, so only direct roles matter.
pub async fn list_service_accounts(
    call: Arc<Call>,
    query: ListServiceAccountsQuery,
) -> Result<ListServiceAccountsResponse> {
    let name = query.service_account_name.unwrap_or_default().to_lowercase();
    let roles = query.roles.unwrap_or_default();
    let filters = format!("{name:?} {roles:?}");
    let wanted = |row: &Row| {
        let Model { name: has, grants, .. } = documents::decode(row.clone())?.value;
        let holds = roles.is_empty() || grants.iter().any(|grant| roles.contains(&grant.role));
        Ok(holds && has.to_lowercase().contains(&name))
    };
    let all = Query::all(Kind::ServiceAccount);
    let (rows, pagination) = paging::matching_rows(&call, &query.page, all, &filters, wanted).await?;
    let accounts = rows.into_iter().map(|row| Ok(show(documents::decode::<Model>(row)?.value)));
    Ok(ListServiceAccountsResponse { service_accounts: accounts.collect::<Result<_>>()?, pagination })
}

/// `GET /service-accounts/{id}`
pub async fn get_service_account(call: Arc<Call>, path: IdPath) -> Result<ServiceAccount> {
    Ok(show(existing(&call, &path.id).await?.value))
}

/// `POST /service-accounts`. The caller must be allowed to grant the roles.
pub async fn create_service_account(
    call: Arc<Call>,
    body: CreateServiceAccountRequest,
) -> Result<Decision<ServiceAccount>> {
    let name = required("name", body.name)?;
    names::display("name", &name)?;
    let principal = call.granted.principal();
    let wanted = roles::grants(&call, body.roles.unwrap_or_default())?;
    roles::check_grantor(&call, &wanted).await?;
    roles::check_existing(&call, &wanted).await?;
    let account = Model {
        organization: principal.organization,
        id: PrincipalId(fresh_id()),
        name,
        description: description(body.description)?.unwrap_or_default(),
        creator_name: principal.name.clone(),
        created_at: call.context.now(),
        grants: normal_grants(wanted),
    };
    Ok(Decision::now(Batch::by(&call.granted).with(documents::insert(&account)?), show(account)))
}

/// `PATCH /service-accounts/{id}`: changes name and description.
pub async fn update_service_account(
    call: Arc<Call>,
    path: IdPath,
    body: UpdateServiceAccountRequest,
) -> Result<Decision<ServiceAccount>> {
    let before = existing(&call, &path.id).await?;
    if let Some(name) = &body.name {
        names::display("name", name)?;
    }
    let after = Model {
        name: body.name.unwrap_or_else(|| before.value.name.clone()),
        description: description(body.description)?.unwrap_or_else(|| before.value.description.clone()),
        ..before.value
    };
    Ok(Decision::now(Batch::by(&call.granted).with(documents::update(&before.row, &after)?), show(after)))
}

/// `DELETE /service-accounts/{id}`. Its keys are invalid immediately.
pub async fn delete_service_account(call: Arc<Call>, path: IdPath) -> Result<Decision<ServiceAccount>> {
    let before = existing(&call, &path.id).await?;
    let mut batch = Batch::by(&call.granted).with(documents::delete(&before.row));
    let (organization, held) = (call.granted.organization(), &before.value.grants);
    batch.mutations.extend(keep_an_admin(&call.context, organization, held, &[], before.value.id).await?);
    let keys = Mutation::DeleteChildren { kind: Kind::ApiKey, parent: before.row.id.clone() };
    Ok(Decision::now(batch.with(keys), show(before.value)))
}

async fn existing(call: &Call, id: &str) -> Result<Stored<Model>> {
    let id: PrincipalId = id.parse().map_err(|_| Error::not_found("service account"))?;
    documents::get(&*call.context.store, call.granted.organization(), &id.to_string()).await
}

fn description(text: Option<String>) -> Result<Option<String>> {
    match text {
        Some(text) if text.chars().count() > 1024 => {
            Err(Error::invalid("description", "must have at most 1024 characters"))
        }
        text => Ok(text),
    }
}

fn show(account: Model) -> ServiceAccount {
    ServiceAccount {
        id: account.id.to_string(),
        name: account.name,
        description: account.description,
        creator_name: account.creator_name,
        created_at: account.created_at,
        roles: account.grants.iter().map(convert::grant).collect(),
        group_roles: Vec::new(),
    }
}
