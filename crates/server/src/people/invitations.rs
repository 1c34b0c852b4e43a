//! Links for new people: good once, for some days, kept only as a hash.

use super::{
    Answer, members, read, sessions,
    visit::{Actor, Visit},
};
use crate::{
    app::fresh_id,
    keys, render,
    rows::{self, Document},
};
use ootheca_model::{
    Error, ErrorKind, Grant, Invitation, Person, PrincipalId, Resource, Result, Role, Timestamp,
    identity::normal_grants,
};
use ootheca_store::{Change, Kind, Order, Query};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// `POST invitations`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    email: String,
    /// Names of roles at organization scope; others are granted once the person is there.
    #[serde(default)]
    roles: Vec<String>,
}

/// A link for `person`, in place of all earlier ones: its token, and what to write.
pub(crate) fn fresh_link(
    person: &Person,
    creator_name: &str,
    lasts: Duration,
    now: Timestamp,
) -> Result<(String, Invitation, Vec<Change>)> {
    let token = keys::random_token();
    let link = Invitation {
        organization: person.organization,
        id: sessions::id(&token),
        person: person.id,
        email: person.email.clone(),
        reset: person.password.is_some(),
        creator_name: creator_name.to_owned(),
        created_at: now,
        expires_at: now.after(lasts),
    };
    let earlier = Change::DeleteChildren { kind: Invitation::KIND, parent: person.id.to_string() };
    let insert = rows::insert(&link)?;
    Ok((token, link, vec![earlier, insert]))
}

pub(super) async fn invite(visit: &Visit, body: &[u8]) -> Result<Answer> {
    let caller = visit.caller().await?;
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let action = "INVITE_USER_TO_ORGANIZATION";
    let entry = visit.entry(action, "CreateInvitation", Actor::Caller(&caller), &request);
    let app = &visit.app;
    let reply = visit
        .change(&entry, || {
            Box::pin(async {
                let granted = visit.admin(&caller)?;
                let wish: Invite = read(body)?;
                let mut person =
                    Person::new(granted.organization(), PrincipalId(fresh_id()), &wish.email, app.now())?;
                let role = |name: &String| -> Result<Grant> {
                    let role: Role = name.parse().map_err(|error: Error| error.context("roles"))?;
                    Grant::new(role, Resource::Organization)
                };
                person.grants = normal_grants(wish.roles.iter().map(role).collect::<Result<Vec<_>>>()?);
                person.invited = true;
                let key = person.columns().unique_key.unwrap_or_default();
                let mut changes = Vec::new();
                match app
                    .store
                    .by_unique_key(Kind::Person, &key)
                    .await?
                    .map(rows::decode::<Person>)
                    .transpose()?
                {
                    None => changes.push(rows::insert(&person)?),
                    // Who has never come in is invited again; what they hold is changed by the role API.
                    Some(known) if known.value.password.is_none() && wish.roles.is_empty() => {
                        changes.push(rows::touch(&known.row));
                        person = known.value;
                    }
                    Some(_) => return Err(Error::exists("user")),
                }
                let lasts = Duration::from_secs(app.settings.sessions.link_hours * 3600);
                let (token, link, more) = fresh_link(&person, &granted.principal().name, lasts, app.now())?;
                changes.extend(more);
                let mut reply = show(&link, &person);
                reply["link_token"] = token.as_str().into();
                reply["link"] = app.settings.link(&token).into();
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

pub(super) async fn list(visit: &Visit) -> Result<Answer> {
    let caller = visit.caller().await?;
    let granted = visit.admin(&caller)?;
    let (app, organization) = (&visit.app, granted.organization());
    let query =
        Query { organization: Some(organization), order: Order::CreatedAt, ..Query::all(Kind::Invitation) };
    let mut shown = Vec::new();
    for row in app.store.list(&query).await? {
        let link = rows::decode::<Invitation>(row)?.value;
        let person = app.find::<Person>(&link.person.to_string()).await?;
        if let Some(person) = person.filter(|_| link.expires_at > app.now()) {
            shown.push(show(&link, &person.value));
        }
    }
    Ok(json!({ "invitations": shown }).into())
}

/// The link, and whom it was for: unless they were here before, or have come in by another one.
pub(super) async fn revoke(visit: &Visit, id: &str) -> Result<Answer> {
    let caller = visit.caller().await?;
    let entry =
        visit.entry("REVOKE_USER_INVITE", "DeleteInvitation", Actor::Caller(&caller), &json!({ "id": id }));
    visit
        .change(&entry, || {
            Box::pin(async {
                let granted = visit.admin(&caller)?;
                let (store, organization) = (&*visit.app.store, granted.organization());
                let found = rows::get::<Invitation>(store, organization, id).await?;
                let mut changes = vec![rows::delete(&found.row)];
                let person = rows::find::<Person>(store, &found.value.person.to_string()).await?;
                if let Some(person) = person.filter(|person| person.value.invited) {
                    changes.extend(members::without(visit, &person).await?);
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
        "roles": person.grants.iter().map(render::grant).collect::<Vec<_>>(),
        "for_new_password": link.reset,
        "creator_name": link.creator_name,
        "created_at": link.created_at,
        "expires_at": link.expires_at,
    })
}
