//! The sessions of users: sign out, passwords, and lists. See [`sign_in`](super::sign_in) for signing in.

use crate::{
    api::{call::Call, convert, convert::required, decision::Decision},
    documents::{self, Stored},
    identity::{
        groups, rate_limit,
        sessions::{self, csrf_token, end_all},
    },
};
use ootheca_api::wire::*;
use ootheca_model::{
    Error, ErrorKind, Organization, OrganizationId, Person, PrincipalId, Resource, Result, Role,
    Session as Model,
};
use ootheca_store::{Batch, Kind, Order, Query};
use std::{sync::Arc, time::Instant};

/// `GET /session`
pub async fn get_current_session(call: Arc<Call>) -> Result<CurrentSession> {
    let (session, token) = call.session()?;
    let person = person(&call).await?.value;
    current(&call, &person, token, &session.value).await
}

/// `DELETE /session`: signs out.
pub async fn delete_current_session(call: Arc<Call>) -> Result<Decision<Empty>> {
    let (session, _) = call.session()?;
    // A session that has just expired can be signed out of too.
    let found = documents::find::<Model>(&*call.context.store, &session.value.id).await?;
    let mut batch = Batch::by(&call.granted);
    batch.mutations.extend(found.iter().map(|found| documents::delete(&found.row)));
    let no_cookie = sessions::no_cookie(call.client.secure());
    Ok(Decision::now(batch, Empty {}).cookie(no_cookie))
}

/// `PUT /session/password`: ends every session of the user, and opens a new one.
pub async fn change_password(
    call: Arc<Call>,
    body: ChangePasswordRequest,
) -> Result<Decision<CurrentSession>> {
    let new = required("new_password", body.new_password)?;
    let before = person(&call).await?;
    // A person who signed in with a link and has no password yet does not need one.
    if let Some(kept) = before.value.password.as_deref() {
        let old = body.old_password.as_deref().unwrap_or_default();
        let (identity, peer) = (&call.identity, call.client.peer);
        let who = (before.value.organization, before.value.email.as_str());
        if !identity.verify_password(peer, who, old, Some(kept)).await? {
            identity.limiter.failed(peer, Instant::now()).map_err(rate_limit::too_many_failures)?;
            return Err(Error::new(ErrorKind::Denied, "old_password is wrong"));
        }
    }
    let password = Some(call.identity.passwords.hash(&new).await?);
    let after = Person { password, ..before.value.clone() };
    let (token, session) = open(&call, after.organization, after.id);
    let mut batch = Batch::by(&call.granted);
    batch.mutations =
        vec![documents::update(&before.row, &after)?, end_all(after.id), documents::insert(&session)?];
    opened(&call, &after, &token, &session, batch).await
}

/// `GET /sessions`
pub async fn list_sessions(call: Arc<Call>) -> Result<ListSessionsResponse> {
    let (current, _) = call.session()?;
    let query = Query {
        organization: Some(call.granted.organization()),
        parent: Some(call.granted.principal().id.to_string()),
        order: Order::CreatedAt,
        descending: true,
        ..Query::all(Kind::Session)
    };
    let mut sessions = Vec::new();
    for row in call.context.store.list(&query).await? {
        sessions.push(show(&call, &documents::decode::<Model>(row)?.value, Some(&current.value.id)));
    }
    Ok(ListSessionsResponse { sessions })
}

/// `DELETE /sessions/{id}`: ends a session of the caller, or, for an administrator, of any user.
pub async fn delete_session(call: Arc<Call>, path: IdPath) -> Result<Decision<Empty>> {
    let found = documents::get::<Model>(&*call.context.store, call.granted.organization(), &path.id).await?;
    let principal = call.granted.principal();
    if found.value.person != principal.id && !principal.holds(&[Role::OrgAdmin], Resource::Organization, &[])
    {
        return Err(Error::not_found("session"));
    }
    Ok(Decision::now(Batch::by(&call.granted).with(documents::delete(&found.row)), Empty {}))
}

/// Creates a session: its token, and the row to store.
pub(super) fn open(call: &Call, organization: OrganizationId, person: PrincipalId) -> (String, Model) {
    let agent = call.client.user_agent().unwrap_or_default();
    sessions::open(&call.identity, organization, person, call.client.peer, &agent)
}

/// The decision that opens `session`.
pub(super) async fn opened(
    call: &Call,
    person: &Person,
    token: &str,
    session: &Model,
    batch: Batch,
) -> Result<Decision<CurrentSession>> {
    let cookie = sessions::cookie(token, sessions::lasts(&call.identity), call.client.secure());
    let reply = current(call, person, token, session).await?;
    Ok(Decision::now(batch, reply).cookie(cookie))
}

async fn current(call: &Call, person: &Person, token: &str, session: &Model) -> Result<CurrentSession> {
    let organization =
        documents::find::<Organization>(&*call.context.store, &person.organization.to_string()).await?;
    let organization = organization.ok_or_else(|| Error::not_found("organization"))?.value;
    let grants = groups::grants_of(&call.context, person).await?;
    Ok(CurrentSession {
        user: SessionUser {
            id: person.id.to_string(),
            email: person.email.clone(),
            has_password: person.password.is_some(),
        },
        organization: SessionOrganization {
            id: organization.id.to_string(),
            name: organization.name,
            label: organization.label,
        },
        roles: grants.iter().map(convert::grant).collect(),
        session: show(call, session, Some(&session.id)),
        csrf_token: csrf_token(token),
        address: call.client.peer.to_string(),
    })
}

fn show(call: &Call, session: &Model, current: Option<&str>) -> Session {
    Session {
        id: session.id.clone(),
        created_at: session.created_at,
        expires_at: session.expires_at,
        last_used_at: sessions::last_used(&call.identity, session),
        ip_address: session.ip_address.clone(),
        user_agent: session.user_agent.clone(),
        current: current == Some(session.id.as_str()),
    }
}

/// The caller, who has a session.
async fn person(call: &Call) -> Result<Stored<Person>> {
    let principal = call.granted.principal();
    documents::get::<Person>(&*call.context.store, principal.organization, &principal.id.to_string()).await
}
