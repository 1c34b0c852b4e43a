//! Signing in with a password, a link, or the token of another issuer.

use crate::{
    api::{
        call::{Call, Claimant},
        decision::Decision,
        handlers::sessions::{open, opened},
    },
    documents::{self, Stored},
    identity::{api_key, jwt, sessions::end_all, token},
};
use ootheca_api::wire::*;
use ootheca_model::{Error, ErrorKind, Invitation, Organization, OrganizationId, Person, Result};
use ootheca_store::{Batch, Kind, Mutation, Query};
use std::sync::Arc;

/// `POST /session`
pub async fn create_session(call: Arc<Call>, body: CreateSessionRequest) -> Result<Decision<CurrentSession>> {
    match (&body.email, &body.link_token, &body.jwt) {
        (Some(email), None, None) => by_password(&call, &body, email).await,
        (None, Some(token), None) => by_link(&call, token, body.password.as_deref()).await,
        (None, None, Some(token)) => by_jwt(&call, &body, token).await,
        _ => Err(Error::invalid("body", "must contain email and password, link_token, or jwt")),
    }
}

/// The same error for an unknown address and a wrong password.
fn wrong() -> Error {
    Error::new(ErrorKind::Unauthenticated, "wrong email address or password")
}

/// The error for a link that cannot be used.
fn unusable() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the link has expired or was used or revoked; request a new one")
}

async fn by_password(
    call: &Call,
    body: &CreateSessionRequest,
    email: &str,
) -> Result<Decision<CurrentSession>> {
    let email = email.trim().to_lowercase();
    let organization = organization(call, body.organization.as_deref()).await?.ok_or_else(wrong)?;
    let row = call.context.store.by_unique_key(Kind::Person, &format!("{organization}/{email}")).await?;
    let person = row.map(documents::decode::<Person>).transpose()?;
    let known = person.as_ref().map(|person| person.value.email.clone());
    call.claim(Claimant { organization, email: known, action: "USER_LOGIN" });
    let kept = person.as_ref().and_then(|person| person.value.password.as_deref());
    let password = body.password.as_deref().unwrap_or_default();
    let (identity, peer) = (&call.identity, call.client.peer);
    let right = identity.verify_password(peer, (organization, &email), password, kept).await?;
    let person = person.filter(|person| right && person.value.profile.active).ok_or_else(wrong)?;
    let (token, session) = open(call, organization, person.value.id);
    // The touch prevents the session from being created while the password is changed.
    let batch =
        Batch::server("people").with(documents::touch(&person.row)).with(documents::insert(&session)?);
    Ok(opened(call, &person.value, &token, &session, batch).await?.session_id(&session.id))
}

/// Signs in with a link, which can be used once. If a password is set, every other session ends.
async fn by_link(call: &Call, token: &str, password: Option<&str>) -> Result<Decision<CurrentSession>> {
    // The link that `ootheca serve` printed is only stored now.
    call.identity.sign_in_link.redeem(&call.context, token).await?;
    let link = documents::find::<Invitation>(&*call.context.store, &token::id(token)).await?;
    let link = link.ok_or_else(unusable)?;
    let Invitation { organization, person, email, reset, expires_at, .. } = &link.value;
    let action = if *reset { "USER_LOGIN" } else { "ACCEPT_USER_INVITE" };
    call.claim(Claimant { organization: *organization, email: Some(email.clone()), action });
    if *expires_at <= call.context.now() {
        return Err(unusable());
    }
    let hash = match password {
        Some(password) => Some(call.identity.passwords.hash(password).await?),
        None => None,
    };
    let person = documents::find::<Person>(&*call.context.store, &person.to_string()).await?;
    let person = person.filter(|person| person.value.profile.active).ok_or_else(unusable)?;
    let (token, session) = open(call, *organization, person.value.id);
    let mut batch = Batch::server("people").with(documents::delete(&link.row));
    let sets_password = hash.is_some();
    let after =
        Person { password: hash.or(person.value.password.clone()), invited: false, ..person.value.clone() };
    batch.mutations.push(signed_in(&person, &after)?);
    if sets_password {
        batch.mutations.push(end_all(after.id));
    }
    batch.mutations.push(documents::insert(&session)?);
    Ok(opened(call, &after, &token, &session, batch).await?.session_id(&session.id).action(action))
}

/// Signs in with the token of another issuer, for people without a password.
async fn by_jwt(call: &Call, body: &CreateSessionRequest, jwt: &str) -> Result<Decision<CurrentSession>> {
    let organization = organization(call, body.organization.as_deref()).await?;
    let organization = organization.ok_or_else(api_key::unauthenticated)?;
    call.claim(Claimant { organization, email: None, action: "USER_LOGIN" });
    let found = documents::find::<Organization>(&*call.context.store, &organization.to_string()).await?;
    let label = found.ok_or_else(api_key::unauthenticated)?.value.label;
    let username = call.client.credentials().username();
    let principal = jwt::principal(&call.identity, jwt, &label, username.as_deref()).await?;
    if !principal.person {
        return Err(api_key::unauthenticated());
    }
    let email = Some(principal.name.clone());
    call.claim(Claimant { organization, email, action: "USER_LOGIN" });
    let person = documents::find::<Person>(&*call.context.store, &principal.id.to_string()).await?;
    let person = person.filter(|person| person.value.profile.active).ok_or_else(api_key::unauthenticated)?;
    let (token, session) = open(call, organization, person.value.id);
    let after = Person { invited: false, ..person.value.clone() };
    let batch = Batch::server("people").with(signed_in(&person, &after)?).with(documents::insert(&session)?);
    Ok(opened(call, &after, &token, &session, batch).await?.session_id(&session.id))
}

/// The change of a person who signs in. If nothing changes, the touch prevents the session from being created
/// while the person is deactivated.
fn signed_in(before: &Stored<Person>, after: &Person) -> Result<Mutation> {
    if before.value == *after {
        Ok(documents::touch(&before.row))
    } else {
        documents::update(&before.row, after)
    }
}

async fn organization(call: &Call, label: Option<&str>) -> Result<Option<OrganizationId>> {
    let store = &call.context.store;
    if let Some(label) = label {
        let row = store.by_unique_key(Kind::Organization, label).await?;
        return Ok(row.map(|row| row.organization));
    }
    let rows = store.list(&Query { limit: 2, ..Query::all(Kind::Organization) }).await?;
    match rows.as_slice() {
        [only] => Ok(Some(only.organization)),
        _ => Err(Error::invalid("organization", "is required: this server has several organizations")),
    }
}
