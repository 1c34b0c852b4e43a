//! Who can come in.

use super::{
    Answer,
    session::end_all,
    visit::{Actor, Visit},
};
use crate::{
    handlers::roles::keep_an_admin,
    render,
    rows::{self, Stored},
};
use ootheca_model::{Error, Person, PrincipalId, Result};
use ootheca_store::{Change, Kind, Query};
use serde_json::json;

pub(super) async fn list(visit: &Visit) -> Result<Answer> {
    let caller = visit.caller().await?;
    let granted = visit.admin(&caller)?;
    let query = Query { organization: Some(granted.organization()), ..Query::all(Kind::Person) };
    let mut people = Vec::new();
    for row in visit.app.store.list(&query).await? {
        let person = rows::decode::<Person>(row)?.value;
        people.push(json!({
            "id": person.id,
            "email": person.email,
            "active": person.profile.active,
            "has_password": person.password.is_some(),
            "created_at": person.created_at,
            "roles": person.grants.iter().map(render::grant).collect::<Vec<_>>(),
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
                let found =
                    rows::get::<Person>(&*visit.app.store, granted.organization(), &id.to_string()).await?;
                Ok((without(visit, &found).await?, ()))
            })
        })
        .await?;
    Ok(json!({}).into())
}

/// What takes a person away, with all sessions and links; refused for the last administrator.
pub(super) async fn without(visit: &Visit, person: &Stored<Person>) -> Result<Vec<Change>> {
    let Person { organization, id, grants, .. } = &person.value;
    let links = Change::DeleteChildren { kind: Kind::Invitation, parent: id.to_string() };
    let mut changes = vec![rows::delete(&person.row), end_all(*id), links];
    changes.extend(keep_an_admin(&visit.app, *organization, grants, &[], *id).await?);
    Ok(changes)
}
