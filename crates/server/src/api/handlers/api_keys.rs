//! API keys. Only the response to their creation contains the secret.

use crate::{
    api::{call::Call, convert::required, decision::Decision, handlers::paging},
    documents::{self, Stored},
    identity::api_key::Secret,
};
use ootheca_api::wire::*;
use ootheca_model::{ApiKey as Model, Error, PrincipalId, Result, ServiceAccount, Timestamp, names};
use ootheca_store::{Batch, Kind, Order, Query};
use std::sync::Arc;

/// `GET /api-keys`
pub async fn list_api_keys(call: Arc<Call>, query: ListApiKeysQuery) -> Result<ListApiKeysResponse> {
    let parent = query.service_account_id.filter(|id| !id.is_empty()).map(|id| id.parse::<PrincipalId>());
    let parent = parent
        .transpose()
        .map_err(|_| Error::invalid("service_account_id", "must be the ID of a service account"))?;
    let parent = parent.map(|id| id.to_string());
    let rows = Query { parent, order: Order::CreatedAt, ..Query::all(Kind::ApiKey) };
    let (rows, pagination) = paging::rows(&call, &query.page, rows).await?;
    let keys = rows.into_iter().map(|row| Ok(show(&call, documents::decode::<Model>(row)?.value)));
    Ok(ListApiKeysResponse { api_keys: keys.collect::<Result<_>>()?, pagination })
}

/// `GET /api-keys/{id}`
pub async fn get_api_key(call: Arc<Call>, path: IdPath) -> Result<ApiKey> {
    Ok(show(&call, existing(&call, &path.id).await?.value))
}

/// `POST /api-keys`
pub async fn create_api_key(
    call: Arc<Call>,
    body: CreateApiKeyRequest,
) -> Result<Decision<CreateApiKeyResponse>> {
    let name = required("name", body.name)?;
    names::display("name", &name)?;
    let owner = required("service_account_id", body.service_account_id)?;
    let unknown = || Error::invalid("service_account_id", "is not the ID of a service account");
    let owner: PrincipalId = owner.parse().map_err(|_| unknown())?;
    let store = &*call.context.store;
    let account = documents::find::<ServiceAccount>(store, &owner.to_string()).await?;
    let account =
        account.filter(|found| found.row.organization == call.granted.organization()).ok_or_else(unknown)?;
    let secret = Secret::random();
    let expires_at = end(&call, body.expiration_time)?;
    let key = Model { expires_at, ..secret.key(&name, &account.value, call.context.now()) };
    // Touching the account prevents the key from being created while the account is deleted.
    let batch = Batch::by(&call.granted).with(documents::touch(&account.row)).with(documents::insert(&key)?);
    Ok(Decision::now(batch, CreateApiKeyResponse { api_key: show(&call, key), secret: secret.reveal() }))
}

/// `PATCH /api-keys/{id}`: changes the name and the expiration.
pub async fn update_api_key(
    call: Arc<Call>,
    path: IdPath,
    body: UpdateApiKeyRequest,
) -> Result<Decision<ApiKey>> {
    let before = existing(&call, &path.id).await?;
    let name = body.name.unwrap_or_else(|| before.value.name.clone());
    names::display("name", &name)?;
    let expires_at = end(&call, body.expiration_time)?.or(before.value.expires_at);
    let after = Model { name, expires_at, ..before.value };
    Ok(Decision::now(
        Batch::by(&call.granted).with(documents::update(&before.row, &after)?),
        show(&call, after),
    ))
}

/// `DELETE /api-keys/{id}`: the key is invalid immediately.
pub async fn delete_api_key(call: Arc<Call>, path: IdPath) -> Result<Decision<ApiKey>> {
    let before = existing(&call, &path.id).await?;
    Ok(Decision::now(
        Batch::by(&call.granted).with(documents::delete(&before.row)),
        show(&call, before.value),
    ))
}

async fn existing(call: &Call, id: &str) -> Result<Stored<Model>> {
    documents::get(&*call.context.store, call.granted.organization(), id).await
}

/// The expiration of a key. It must not be in the past.
fn end(call: &Call, wanted: Option<Timestamp>) -> Result<Option<Timestamp>> {
    match wanted {
        Some(end) if end <= call.context.now() => {
            Err(Error::invalid("expiration_time", "must be in the future"))
        }
        wanted => Ok(wanted),
    }
}

fn show(call: &Call, key: Model) -> ApiKey {
    let last_used_at = call.identity.last_use.pending(Kind::ApiKey, &key.id).max(key.last_used_at);
    ApiKey {
        id: key.id,
        name: key.name,
        service_account_id: key.service_account.to_string(),
        created_at: key.created_at,
        expiration_time: key.expires_at,
        last_used_at,
    }
}
