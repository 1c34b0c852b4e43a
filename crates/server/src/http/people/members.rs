//! The people of an organization: list and remove.

use crate::{
    api::{
        convert,
        extension::{Actor, Answer, ExtensionRequest},
    },
    documents::{self},
    identity::members,
};
use ootheca_model::{Error, Person, PrincipalId, Result};
use ootheca_store::{Kind, Query};
use serde_json::json;

pub(super) async fn list(call: &ExtensionRequest) -> Result<Answer> {
    let caller = call.caller().await?;
    let granted = call.admin(&caller)?;
    let query = Query { organization: Some(granted.organization()), ..Query::all(Kind::Person) };
    let mut people = Vec::new();
    for row in call.api.context.store.list(&query).await? {
        let person = documents::decode::<Person>(row)?.value;
        people.push(json!({
            "id": person.id,
            "email": person.email,
            "active": person.profile.active,
            "has_password": person.password.is_some(),
            "created_at": person.created_at,
            "roles": person.grants.iter().map(convert::grant).collect::<Vec<_>>(),
        }));
    }
    Ok(json!({ "people": people }).into())
}

pub(super) async fn remove(call: &ExtensionRequest, id: &str) -> Result<Answer> {
    let caller = call.caller().await?;
    let action = "DELETE_USER_FROM_ORGANIZATION";
    let entry = call.entry(action, "RemovePerson", Actor::Caller(&caller), &json!({ "id": id }));
    call.change(&entry, || {
        Box::pin(async {
            let granted = call.admin(&caller)?;
            let id: PrincipalId = id.parse().map_err(|_| Error::not_found("user"))?;
            let found =
                documents::get::<Person>(&*call.api.context.store, granted.organization(), &id.to_string())
                    .await?;
            Ok((members::removal(&call.api.context, &found).await?, ()))
        })
    })
    .await?;
    Ok(json!({}).into())
}
