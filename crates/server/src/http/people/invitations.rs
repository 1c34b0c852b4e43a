//! Invite links: list, create, and revoke.

use crate::{
    api::{
        convert,
        extension::{Actor, Answer, ExtensionRequest, read},
    },
    documents::{self, Document},
    identity::{invitations::fresh_link, members},
    ids::fresh_id,
};
use ootheca_model::{
    Error, ErrorKind, Grant, Invitation, Person, PrincipalId, Resource, Result, Role, identity::normal_grants,
};
use ootheca_store::{Kind, Order, Query};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// `POST invitations`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    email: String,
    /// Names of roles at organization scope. Other roles can be granted after the person was created.
    #[serde(default)]
    roles: Vec<String>,
}

pub(super) async fn invite(call: &ExtensionRequest, body: &[u8]) -> Result<Answer> {
    let caller = call.caller().await?;
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let action = "INVITE_USER_TO_ORGANIZATION";
    let entry = call.entry(action, "CreateInvitation", Actor::Caller(&caller), &request);
    let api = &call.api;
    let reply = call
        .change(&entry, || {
            Box::pin(async {
                let granted = call.admin(&caller)?;
                let wish: Invite = read(body)?;
                let mut person = Person::new(
                    granted.organization(),
                    PrincipalId(fresh_id()),
                    &wish.email,
                    api.context.now(),
                )?;
                let role = |name: &String| -> Result<Grant> {
                    let role: Role = name.parse().map_err(|error: Error| error.context("roles"))?;
                    Grant::new(role, Resource::Organization)
                };
                person.grants = normal_grants(wish.roles.iter().map(role).collect::<Result<Vec<_>>>()?);
                person.invited = true;
                let key = person.columns().unique_key.unwrap_or_default();
                let mut changes = Vec::new();
                match api
                    .context
                    .store
                    .by_unique_key(Kind::Person, &key)
                    .await?
                    .map(documents::decode::<Person>)
                    .transpose()?
                {
                    None => changes.push(documents::insert(&person)?),
                    // A person who never signed in can be invited again. Their roles can be changed with the
                    // role API.
                    Some(known) if known.value.password.is_none() && wish.roles.is_empty() => {
                        changes.push(documents::touch(&known.row));
                        person = known.value;
                    }
                    Some(_) => return Err(Error::exists("user")),
                }
                let lasts = Duration::from_secs(api.context.settings.sessions.link_hours * 3600);
                let (token, link, more) =
                    fresh_link(&person, &granted.principal().name, lasts, api.context.now())?;
                changes.extend(more);
                let mut reply = show(&link, &person);
                reply["link_token"] = token.as_str().into();
                reply["link"] = api.context.settings.link(&token).into();
                Ok((changes, reply))
            })
        })
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::Exists => Error::exists("user"),
            _ => error,
        })?;
    Ok(reply.into())
}

pub(super) async fn list(call: &ExtensionRequest) -> Result<Answer> {
    let caller = call.caller().await?;
    let granted = call.admin(&caller)?;
    let (api, organization) = (&call.api, granted.organization());
    let query =
        Query { organization: Some(organization), order: Order::CreatedAt, ..Query::all(Kind::Invitation) };
    let mut shown = Vec::new();
    for row in api.context.store.list(&query).await? {
        let link = documents::decode::<Invitation>(row)?.value;
        let person = api.context.find::<Person>(&link.person.to_string()).await?;
        if let Some(person) = person.filter(|_| link.expires_at > api.context.now()) {
            shown.push(show(&link, &person.value));
        }
    }
    Ok(json!({ "invitations": shown }).into())
}

/// Removes the link. Also removes the person, unless that person has signed in before.
pub(super) async fn revoke(call: &ExtensionRequest, id: &str) -> Result<Answer> {
    let caller = call.caller().await?;
    let entry =
        call.entry("REVOKE_USER_INVITE", "DeleteInvitation", Actor::Caller(&caller), &json!({ "id": id }));
    call.change(&entry, || {
        Box::pin(async {
            let granted = call.admin(&caller)?;
            let (store, organization) = (&*call.api.context.store, granted.organization());
            let found = documents::get::<Invitation>(store, organization, id).await?;
            let mut changes = vec![documents::delete(&found.row)];
            let person = documents::find::<Person>(store, &found.value.person.to_string()).await?;
            if let Some(person) = person.filter(|person| person.value.invited) {
                changes.extend(members::removal(&call.api.context, &person).await?);
            }
            Ok((changes, ()))
        })
    })
    .await?;
    Ok(json!({}).into())
}

fn show(link: &Invitation, person: &Person) -> Value {
    json!({
        "id": link.id,
        "email": link.email,
        "user_id": link.person,
        "roles": person.grants.iter().map(convert::grant).collect::<Vec<_>>(),
        "for_new_password": link.reset,
        "creator_name": link.creator_name,
        "created_at": link.created_at,
        "expires_at": link.expires_at,
    })
}
