//! Signing in and out, passwords, and the sessions of a person.

use crate::{
    api::{
        convert,
        extension::{Actor, Answer, ExtensionRequest, read},
    },
    documents::{self, Stored},
    identity::{
        api_key,
        authenticate::Caller,
        groups, jwt,
        sessions::{self, csrf_token, end_all},
        token,
    },
};
use ootheca_model::{
    Error, ErrorKind, Invitation, Organization, OrganizationId, Person, PrincipalId, Result, Session,
};
use ootheca_store::{Change, Kind, Order, Query};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// `POST session`: exactly one of the three ways.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// The short name of the organization. It can be omitted if there is only one.
    organization: Option<String>,
    email: Option<String>,
    password: Option<String>,
    link_token: Option<String>,
    jwt: Option<String>,
}

/// `PUT session/password`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    old_password: Option<String>,
    new_password: String,
}

pub(super) async fn sign_in(call: &ExtensionRequest, body: &[u8]) -> Result<Answer> {
    // Prevents login CSRF.
    call.check_origin()?;
    call.check_extensions()?;
    let wish: SignIn = read(body)?;
    let limiter = &call.api.identity.limiter;
    limiter.check(call.peer, Instant::now()).map_err(too_often)?;
    let came = match (&wish.email, &wish.link_token, &wish.jwt) {
        (Some(email), None, None) => by_password(call, &wish, email).await,
        (None, Some(token), None) => by_link(call, token, wish.password.as_deref()).await,
        (None, None, Some(token)) => by_jwt(call, &wish, token).await,
        _ => Err(Error::invalid("body", "must contain email and password, link_token, or jwt")),
    };
    if came.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unauthenticated) {
        limiter.failed(call.peer, Instant::now()).map_err(too_often)?;
    }
    came
}

/// The error for too many failed attempts.
fn too_often(wait: Duration) -> Error {
    let seconds = wait.as_secs() + 1;
    Error::exhausted(format!("too many failed attempts; try again in {seconds} s"), wait)
}

/// The error for every failed sign-in.
fn wrong() -> Error {
    Error::new(ErrorKind::Unauthenticated, "e-mail address or password is wrong")
}

async fn by_password(call: &ExtensionRequest, wish: &SignIn, email: &str) -> Result<Answer> {
    let api = &call.api;
    let email = email.trim().to_lowercase();
    let organization = organization(call, wish.organization.as_deref()).await?.ok_or_else(wrong)?;
    let row = api.context.store.by_unique_key(Kind::Person, &format!("{organization}/{email}")).await?;
    let person = row.map(documents::decode::<Person>).transpose()?;
    let kept = person.as_ref().and_then(|person| person.value.password.clone());
    let password = wish.password.as_deref().unwrap_or_default();
    let right = api.identity.passwords.verify(password, kept.as_deref()).await?;
    let known = person.as_ref().map(|person| person.value.email.as_str());
    let request = json!({ "email": email.chars().take(254).collect::<String>() });
    let entry = call.entry("USER_LOGIN", "CreateSession", Actor::Person(organization, known), &request);
    match person {
        Some(person) if right && person.value.profile.active => {
            let (token, session) = fresh(call, person.value.organization, person.value.id);
            let id = person.value.id.to_string();
            call.opening(&session, &entry, || {
                Box::pin(async {
                    let now = documents::find::<Person>(&*api.context.store, &id).await?.ok_or_else(wrong)?;
                    if now.value.password != person.value.password || !now.value.profile.active {
                        return Err(wrong());
                    }
                    // The touch prevents the session from being created while the password is changed.
                    Ok((vec![documents::touch(&now.row), documents::insert(&session)?], ()))
                })
            })
            .await?;
            opened(call, &person.value, &token, &session).await
        }
        _ => call.refuse(entry, wrong()).await,
    }
}

/// Signs in with a link, which can be used once. If a password is set, every other session ends.
async fn by_link(call: &ExtensionRequest, token: &str, password: Option<&str>) -> Result<Answer> {
    let api = &call.api;
    api.identity.sign_in_link.redeem(&api.context, token).await?;
    let used = || {
        Error::new(
            ErrorKind::Unauthenticated,
            "the link was used, revoked or has expired; ask for another one",
        )
    };
    let found =
        documents::find::<Invitation>(&*api.context.store, &token::id(token)).await?.ok_or_else(used)?;
    let link = &found.value;
    let action = if link.reset { "USER_LOGIN" } else { "ACCEPT_USER_INVITE" };
    let request = json!({ "email": link.email, "chooses_password": password.is_some() });
    let actor = Actor::Person(link.organization, Some(&link.email));
    let entry = call.entry(action, "CreateSession", actor, &request);
    if link.expires_at <= api.context.now() {
        return call.refuse(entry, used()).await;
    }
    // Checked before the link is used, so that it can be used again if the password is refused.
    let hash = match password {
        Some(password) => match api.identity.passwords.hash(password).await {
            Ok(hash) => Some(hash),
            Err(error) => return call.refuse(entry, error).await,
        },
        None => None,
    };
    let (token, session) = fresh(call, link.organization, link.person);
    let person = call
        .opening(&session, &entry, || {
            Box::pin(async {
                let now = documents::find::<Invitation>(&*api.context.store, &found.row.id)
                    .await?
                    .ok_or_else(used)?;
                let person = documents::find::<Person>(&*api.context.store, &link.person.to_string()).await?;
                let person = person.filter(|person| person.value.profile.active).ok_or_else(used)?;
                let mut changes = vec![documents::delete(&now.row)];
                let password = hash.clone().or(person.value.password.clone());
                let after = Person { password, invited: false, ..person.value.clone() };
                changes.push(signed_in(&person, &after)?);
                if hash.is_some() {
                    changes.push(end_all(after.id));
                }
                changes.push(documents::insert(&session)?);
                Ok((changes, after))
            })
        })
        .await?;
    opened(call, &person, &token, &session).await
}

/// Signs in with the token of another issuer, for people without a password.
async fn by_jwt(call: &ExtensionRequest, wish: &SignIn, jwt: &str) -> Result<Answer> {
    let api = &call.api;
    let id = organization(call, wish.organization.as_deref()).await?.ok_or_else(api_key::unauthenticated)?;
    let organization = documents::find::<Organization>(&*api.context.store, &id.to_string()).await?;
    let label = organization.ok_or_else(api_key::unauthenticated)?.value.label;
    let entry = |email: Option<&str>| {
        call.entry("USER_LOGIN", "CreateSession", Actor::Person(id, email), &json!({ "by": "JWT issuer" }))
    };
    let principal =
        match jwt::principal(&api.identity, jwt, &label, call.credentials.username.as_deref()).await {
            Ok(principal) if principal.person => principal,
            Ok(_) => return call.refuse(entry(None), api_key::unauthenticated()).await,
            Err(error) => return call.refuse(entry(None), error).await,
        };
    let entry = entry(Some(&principal.name));
    let (token, session) = fresh(call, principal.organization, principal.id);
    let person = call
        .opening(&session, &entry, || {
            Box::pin(async {
                let now = documents::find::<Person>(&*api.context.store, &principal.id.to_string()).await?;
                let now =
                    now.filter(|person| person.value.profile.active).ok_or_else(api_key::unauthenticated)?;
                let after = Person { invited: false, ..now.value.clone() };
                let changes = vec![signed_in(&now, &after)?, documents::insert(&session)?];
                Ok((changes, after))
            })
        })
        .await?;
    opened(call, &person, &token, &session).await
}

/// The change of a person who signs in. If nothing changes, the touch prevents the session from being created
/// while the person is deactivated.
fn signed_in(before: &Stored<Person>, after: &Person) -> Result<Change> {
    if before.value == *after {
        Ok(documents::touch(&before.row))
    } else {
        documents::update(&before.row, after)
    }
}

async fn organization(call: &ExtensionRequest, label: Option<&str>) -> Result<Option<OrganizationId>> {
    let store = &call.api.context.store;
    if let Some(label) = label {
        let row = store.by_unique_key(Kind::Organization, label).await?;
        return Ok(row.map(|row| row.organization));
    }
    let rows = store.list(&Query { limit: 2, ..Query::all(Kind::Organization) }).await?;
    match rows.as_slice() {
        [only] => Ok(Some(only.organization)),
        _ => Err(Error::invalid("organization", "is required: this server has several")),
    }
}

/// Creates a session: its token, and the row to store.
fn fresh(call: &ExtensionRequest, organization: OrganizationId, person: PrincipalId) -> (String, Session) {
    sessions::open(&call.api.identity, organization, person, call.peer, &call.user_agent)
}

async fn opened(call: &ExtensionRequest, person: &Person, token: &str, session: &Session) -> Result<Answer> {
    let cookie = sessions::cookie(token, sessions::lasts(&call.api.identity), call.secure);
    Ok(Answer { body: whoami(call, person, token, session).await?, cookie: Some(cookie) })
}

async fn whoami(call: &ExtensionRequest, person: &Person, token: &str, session: &Session) -> Result<Value> {
    let organization =
        documents::find::<Organization>(&*call.api.context.store, &person.organization.to_string()).await?;
    let organization = organization.ok_or_else(|| Error::not_found("organization"))?.value;
    Ok(json!({
        "user": { "id": person.id, "email": person.email, "has_password": person.password.is_some() },
        "organization": { "id": organization.id, "name": organization.name, "label": organization.label },
        "roles": groups::grants_of(&call.api.context, person).await?.iter().map(convert::grant).collect::<Vec<_>>(),
        "session": shown(call, session, Some(&session.id)),
        "csrf_token": csrf_token(token),
        "address": call.peer,
    }))
}

fn shown(call: &ExtensionRequest, session: &Session, current: Option<&str>) -> Value {
    json!({
        "id": session.id,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "last_used_at": sessions::last_used(&call.api.identity, session),
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
        "current": current == Some(session.id.as_str()),
    })
}

pub(super) async fn show(call: &ExtensionRequest) -> Result<Answer> {
    let caller = call.caller().await?;
    let token = call.session_token(&caller)?;
    let person = person(call, &caller).await?.value;
    let session = caller.session.as_ref().ok_or_else(api_key::unauthenticated)?;
    Ok(whoami(call, &person, token, &session.value).await?.into())
}

pub(super) async fn sign_out(call: &ExtensionRequest) -> Result<Answer> {
    let caller = call.caller().await?;
    call.session_token(&caller)?;
    let session = caller.session.as_ref().ok_or_else(api_key::unauthenticated)?;
    let id = &session.value.id;
    let request = json!({ "id": id });
    let entry = call.entry("UPDATE_USER", "LeaveSession", Actor::Caller(&caller), &request);
    call.change(&entry, || {
        Box::pin(async {
            // A session that has just expired can be signed out of too.
            let found = documents::find::<Session>(&*call.api.context.store, id).await?;
            Ok((found.iter().map(|found| documents::delete(&found.row)).collect(), ()))
        })
    })
    .await?;
    Ok(Answer { body: json!({}), cookie: Some(sessions::no_cookie(call.secure)) })
}

pub(super) async fn change_password(call: &ExtensionRequest, body: &[u8]) -> Result<Answer> {
    let caller = call.caller().await?;
    call.session_token(&caller)?;
    let wish: ChangePassword = read(body)?;
    let request = json!({ "password": "changed" });
    let entry = call.entry("UPDATE_USER", "ChangePassword", Actor::Caller(&caller), &request);
    let api = &call.api;
    let before = person(call, &caller).await?;
    // A person who signed in with a link and has no password yet does not need one.
    if let Some(kept) = before.value.password.as_deref() {
        let old = wish.old_password.as_deref().unwrap_or_default();
        api.identity.limiter.check(call.peer, Instant::now()).map_err(too_often)?;
        if !api.identity.passwords.verify(old, Some(kept)).await? {
            api.identity.limiter.failed(call.peer, Instant::now()).map_err(too_often)?;
            return call.refuse(entry, Error::new(ErrorKind::Denied, "old_password is wrong")).await;
        }
    }
    let hash = match api.identity.passwords.hash(&wish.new_password).await {
        Ok(hash) => hash,
        Err(error) => return call.refuse(entry, error).await,
    };
    let (after, token, session) = call
        .change(&entry, || {
            Box::pin(async {
                let now = person(call, &caller).await?;
                if now.value.password != before.value.password {
                    return Err(Error::precondition(
                        "the password was changed by a concurrent request; try again",
                    ));
                }
                let after = Person { password: Some(hash.clone()), ..now.value };
                let (token, session) = fresh(call, after.organization, after.id);
                let changes = vec![
                    documents::update(&now.row, &after)?,
                    end_all(after.id),
                    documents::insert(&session)?,
                ];
                Ok((changes, (after, token, session)))
            })
        })
        .await?;
    opened(call, &after, &token, &session).await
}

pub(super) async fn list(call: &ExtensionRequest) -> Result<Answer> {
    let caller = call.caller().await?;
    call.session_token(&caller)?;
    let query = Query {
        organization: Some(caller.principal.organization),
        parent: Some(caller.principal.id.to_string()),
        order: Order::CreatedAt,
        descending: true,
        ..Query::all(Kind::Session)
    };
    let current = caller.session.as_ref().map(|session| session.value.id.as_str());
    let mut shown_sessions = Vec::new();
    for row in call.api.context.store.list(&query).await? {
        shown_sessions.push(shown(call, &documents::decode::<Session>(row)?.value, current));
    }
    Ok(json!({ "sessions": shown_sessions }).into())
}

/// Ends a session of the caller, or, for an administrator, of any person.
pub(super) async fn end(call: &ExtensionRequest, id: &str) -> Result<Answer> {
    let caller = call.caller().await?;
    let request = json!({ "id": id });
    let entry = call.entry("UPDATE_USER", "DeleteSession", Actor::Caller(&caller), &request);
    call.change(&entry, || {
        Box::pin(async {
            let granted = call.member(&caller)?;
            let found =
                documents::get::<Session>(&*call.api.context.store, granted.organization(), id).await?;
            if found.value.person != caller.principal.id && call.admin(&caller).is_err() {
                return Err(Error::not_found("session"));
            }
            Ok((vec![documents::delete(&found.row)], ()))
        })
    })
    .await?;
    Ok(json!({}).into())
}

async fn person(call: &ExtensionRequest, caller: &Caller) -> Result<Stored<Person>> {
    let principal = &caller.principal;
    documents::get::<Person>(&*call.api.context.store, principal.organization, &principal.id.to_string())
        .await
}
