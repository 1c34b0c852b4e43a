//! Who can come in.

use crate::{
    api::{
        convert,
        extension::{Actor, Answer, Visit},
    },
    documents::{self},
    identity::members,
};
use ootheca_model::{Error, Person, PrincipalId, Result};
use ootheca_store::{Kind, Query};
use serde_json::json;

pub(super) async fn list(visit: &Visit) -> Result<Answer> {
    let caller = visit.caller().await?;
    let granted = visit.admin(&caller)?;
    let query = Query { organization: Some(granted.organization()), ..Query::all(Kind::Person) };
    let mut people = Vec::new();
    for row in visit.api.context.store.list(&query).await? {
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

pub(super) async fn remove(visit: &Visit, id: &str) -> Result<Answer> {
    let caller = visit.caller().await?;
    let action = "DELETE_USER_FROM_ORGANIZATION";
    let entry = visit.entry(action, "RemovePerson", Actor::Caller(&caller), &json!({ "id": id }));
    visit
        .change(&entry, || {
            Box::pin(async {
                let granted = visit.admin(&caller)?;
                let id: PrincipalId = id.parse().map_err(|_| Error::not_found("user"))?;
                let found = documents::get::<Person>(
                    &*visit.api.context.store,
                    granted.organization(),
                    &id.to_string(),
                )
                .await?;
                Ok((members::without(&visit.api.context, &found).await?, ()))
            })
        })
        .await?;
    Ok(json!({}).into())
}
