//! Coming in, staying in, and leaving.

use crate::{
    api::{
        convert,
        extension::{Actor, Answer, Visit, read},
    },
    documents::{self, Stored},
    identity::{
        api_key,
        authenticate::Caller,
        groups, jwt,
        sessions::{self, csrf_token, end_all},
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
struct ComeIn {
    /// The short name of the organization; may be left out where there is one.
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

pub(super) async fn come_in(visit: &Visit, body: &[u8]) -> Result<Answer> {
    // Nobody should find himself signed in as somebody else.
    visit.check_origin()?;
    visit.check_extensions()?;
    let wish: ComeIn = read(body)?;
    let limiter = &visit.api.identity.limiter;
    limiter.check(visit.peer, Instant::now()).map_err(too_often)?;
    let came = match (&wish.email, &wish.link_token, &wish.jwt) {
        (Some(email), None, None) => by_password(visit, &wish, email).await,
        (None, Some(token), None) => by_link(visit, token, wish.password.as_deref()).await,
        (None, None, Some(token)) => by_jwt(visit, &wish, token).await,
        _ => Err(Error::invalid("body", "must hold email and password, or link_token, or jwt")),
    };
    if came.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unauthenticated) {
        limiter.failed(visit.peer, Instant::now()).map_err(too_often)?;
    }
    came
}

/// Guessing is slowed down.
fn too_often(wait: Duration) -> Error {
    let seconds = wait.as_secs() + 1;
    Error::exhausted(format!("too many failed attempts; try again in {seconds} s"), wait)
}

/// The one answer to everybody who can not come in.
fn wrong() -> Error {
    Error::new(ErrorKind::Unauthenticated, "e-mail address or password is wrong")
}

async fn by_password(visit: &Visit, wish: &ComeIn, email: &str) -> Result<Answer> {
    let api = &visit.api;
    let email = email.trim().to_lowercase();
    let organization = organization(visit, wish.organization.as_deref()).await?.ok_or_else(wrong)?;
    let row = api.context.store.by_unique_key(Kind::Person, &format!("{organization}/{email}")).await?;
    let person = row.map(documents::decode::<Person>).transpose()?;
    let kept = person.as_ref().and_then(|person| person.value.password.clone());
    let password = wish.password.as_deref().unwrap_or_default();
    let right = api.identity.passwords.verify(password, kept.as_deref()).await?;
    let known = person.as_ref().map(|person| person.value.email.as_str());
    let request = json!({ "email": email.chars().take(254).collect::<String>() });
    let entry = visit.entry("USER_LOGIN", "CreateSession", Actor::Person(organization, known), &request);
    match person {
        Some(person) if right && person.value.profile.active => {
            let (token, session) = fresh(visit, person.value.organization, person.value.id);
            let id = person.value.id.to_string();
            visit
                .opening(&session, &entry, || {
                    Box::pin(async {
                        let now =
                            documents::find::<Person>(&*api.context.store, &id).await?.ok_or_else(wrong)?;
                        if now.value.password != person.value.password || !now.value.profile.active {
                            return Err(wrong());
                        }
                        // The touch keeps a session from outliving a password that is changed meanwhile.
                        Ok((vec![documents::touch(&now.row), documents::insert(&session)?], ()))
                    })
                })
                .await?;
            opened(visit, &person.value, &token, &session).await
        }
        _ => visit.refuse(entry, wrong()).await,
    }
}

/// By a link, once. A password may be chosen on the way; then every other session ends.
async fn by_link(visit: &Visit, token: &str, password: Option<&str>) -> Result<Answer> {
    let api = &visit.api;
    api.identity.sign_in_link.redeem(&api.context, token).await?;
    let used = || {
        Error::new(
            ErrorKind::Unauthenticated,
            "the link was used, revoked or has expired; ask for another one",
        )
    };
    let found =
        documents::find::<Invitation>(&*api.context.store, &sessions::id(token)).await?.ok_or_else(used)?;
    let link = &found.value;
    let action = if link.reset { "USER_LOGIN" } else { "ACCEPT_USER_INVITE" };
    let request = json!({ "email": link.email, "chooses_password": password.is_some() });
    let actor = Actor::Person(link.organization, Some(&link.email));
    let entry = visit.entry(action, "CreateSession", actor, &request);
    if link.expires_at <= api.context.now() {
        return visit.refuse(entry, used()).await;
    }
    // Before the link is used: one whose password is refused can be tried again.
    let hash = match password {
        Some(password) => match api.identity.passwords.hash(password).await {
            Ok(hash) => Some(hash),
            Err(error) => return visit.refuse(entry, error).await,
        },
        None => None,
    };
    let (token, session) = fresh(visit, link.organization, link.person);
    let person = visit
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
                changes.push(came_in(&person, &after)?);
                if hash.is_some() {
                    changes.push(end_all(after.id));
                }
                changes.push(documents::insert(&session)?);
                Ok((changes, after))
            })
        })
        .await?;
    opened(visit, &person, &token, &session).await
}

/// By the token of another issuer, for who has no password here.
async fn by_jwt(visit: &Visit, wish: &ComeIn, jwt: &str) -> Result<Answer> {
    let api = &visit.api;
    let id = organization(visit, wish.organization.as_deref()).await?.ok_or_else(api_key::unauthenticated)?;
    let organization = documents::find::<Organization>(&*api.context.store, &id.to_string()).await?;
    let label = organization.ok_or_else(api_key::unauthenticated)?.value.label;
    let entry = |email: Option<&str>| {
        visit.entry("USER_LOGIN", "CreateSession", Actor::Person(id, email), &json!({ "by": "JWT issuer" }))
    };
    let principal =
        match jwt::principal(&api.identity, jwt, &label, visit.credentials.username.as_deref()).await {
            Ok(principal) if principal.person => principal,
            Ok(_) => return visit.refuse(entry(None), api_key::unauthenticated()).await,
            Err(error) => return visit.refuse(entry(None), error).await,
        };
    let entry = entry(Some(&principal.name));
    let (token, session) = fresh(visit, principal.organization, principal.id);
    let person = visit
        .opening(&session, &entry, || {
            Box::pin(async {
                let now = documents::find::<Person>(&*api.context.store, &principal.id.to_string()).await?;
                let now =
                    now.filter(|person| person.value.profile.active).ok_or_else(api_key::unauthenticated)?;
                let after = Person { invited: false, ..now.value.clone() };
                let changes = vec![came_in(&now, &after)?, documents::insert(&session)?];
                Ok((changes, after))
            })
        })
        .await?;
    opened(visit, &person, &token, &session).await
}

/// What becomes of a person who comes in. Where nothing does, the touch keeps the session from outliving
/// somebody who is shut out meanwhile.
fn came_in(before: &Stored<Person>, after: &Person) -> Result<Change> {
    if before.value == *after {
        Ok(documents::touch(&before.row))
    } else {
        documents::update(&before.row, after)
    }
}

async fn organization(visit: &Visit, label: Option<&str>) -> Result<Option<OrganizationId>> {
    let store = &visit.api.context.store;
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

/// A session of somebody who comes in: its token and the row to keep.
fn fresh(visit: &Visit, organization: OrganizationId, person: PrincipalId) -> (String, Session) {
    sessions::open(&visit.api.identity, organization, person, visit.peer, &visit.user_agent)
}

async fn opened(visit: &Visit, person: &Person, token: &str, session: &Session) -> Result<Answer> {
    let cookie = sessions::cookie(token, sessions::lasts(&visit.api.identity), visit.secure);
    Ok(Answer { body: whoami(visit, person, token, session).await?, cookie: Some(cookie) })
}

async fn whoami(visit: &Visit, person: &Person, token: &str, session: &Session) -> Result<Value> {
    let organization =
        documents::find::<Organization>(&*visit.api.context.store, &person.organization.to_string()).await?;
    let organization = organization.ok_or_else(|| Error::not_found("organization"))?.value;
    Ok(json!({
        "user": { "id": person.id, "email": person.email, "has_password": person.password.is_some() },
        "organization": { "id": organization.id, "name": organization.name, "label": organization.label },
        "roles": groups::grants_of(&visit.api.context, person).await?.iter().map(convert::grant).collect::<Vec<_>>(),
        "session": shown(visit, session, Some(&session.id)),
        "csrf_token": csrf_token(token),
        "address": visit.peer,
    }))
}

fn shown(visit: &Visit, session: &Session, current: Option<&str>) -> Value {
    json!({
        "id": session.id,
        "created_at": session.created_at,
        "expires_at": session.expires_at,
        "last_used_at": sessions::last_used(&visit.api.identity, session),
        "ip_address": session.ip_address,
        "user_agent": session.user_agent,
        "current": current == Some(session.id.as_str()),
    })
}

pub(super) async fn show(visit: &Visit) -> Result<Answer> {
    let caller = visit.caller().await?;
    let token = visit.session_token(&caller)?;
    let person = person(visit, &caller).await?.value;
    let session = caller.session.as_ref().ok_or_else(api_key::unauthenticated)?;
    Ok(whoami(visit, &person, token, &session.value).await?.into())
}

pub(super) async fn leave(visit: &Visit) -> Result<Answer> {
    let caller = visit.caller().await?;
    visit.session_token(&caller)?;
    let session = caller.session.as_ref().ok_or_else(api_key::unauthenticated)?;
    let id = &session.value.id;
    let request = json!({ "id": id });
    let entry = visit.entry("UPDATE_USER", "LeaveSession", Actor::Caller(&caller), &request);
    visit
        .change(&entry, || {
            Box::pin(async {
                // One that has just ended is left as well.
                let found = documents::find::<Session>(&*visit.api.context.store, id).await?;
                Ok((found.iter().map(|found| documents::delete(&found.row)).collect(), ()))
            })
        })
        .await?;
    Ok(Answer { body: json!({}), cookie: Some(sessions::no_cookie(visit.secure)) })
}

pub(super) async fn change_password(visit: &Visit, body: &[u8]) -> Result<Answer> {
    let caller = visit.caller().await?;
    visit.session_token(&caller)?;
    let wish: ChangePassword = read(body)?;
    let request = json!({ "password": "changed" });
    let entry = visit.entry("UPDATE_USER", "ChangePassword", Actor::Caller(&caller), &request);
    let api = &visit.api;
    let before = person(visit, &caller).await?;
    // Who came in by a link and has none yet need not know one.
    if let Some(kept) = before.value.password.as_deref() {
        let old = wish.old_password.as_deref().unwrap_or_default();
        api.identity.limiter.check(visit.peer, Instant::now()).map_err(too_often)?;
        if !api.identity.passwords.verify(old, Some(kept)).await? {
            api.identity.limiter.failed(visit.peer, Instant::now()).map_err(too_often)?;
            return visit.refuse(entry, Error::new(ErrorKind::Denied, "old_password is wrong")).await;
        }
    }
    let hash = match api.identity.passwords.hash(&wish.new_password).await {
        Ok(hash) => hash,
        Err(error) => return visit.refuse(entry, error).await,
    };
    let (after, token, session) = visit
        .change(&entry, || {
            Box::pin(async {
                let now = person(visit, &caller).await?;
                if now.value.password != before.value.password {
                    return Err(Error::precondition("the password was changed meanwhile; try again"));
                }
                let after = Person { password: Some(hash.clone()), ..now.value };
                let (token, session) = fresh(visit, after.organization, after.id);
                let changes = vec![
                    documents::update(&now.row, &after)?,
                    end_all(after.id),
                    documents::insert(&session)?,
                ];
                Ok((changes, (after, token, session)))
            })
        })
        .await?;
    opened(visit, &after, &token, &session).await
}

pub(super) async fn list(visit: &Visit) -> Result<Answer> {
    let caller = visit.caller().await?;
    visit.session_token(&caller)?;
    let query = Query {
        organization: Some(caller.principal.organization),
        parent: Some(caller.principal.id.to_string()),
        order: Order::CreatedAt,
        descending: true,
        ..Query::all(Kind::Session)
    };
    let current = caller.session.as_ref().map(|session| session.value.id.as_str());
    let mut shown_sessions = Vec::new();
    for row in visit.api.context.store.list(&query).await? {
        shown_sessions.push(shown(visit, &documents::decode::<Session>(row)?.value, current));
    }
    Ok(json!({ "sessions": shown_sessions }).into())
}

/// One's own, or for an administrator anybody's.
pub(super) async fn end(visit: &Visit, id: &str) -> Result<Answer> {
    let caller = visit.caller().await?;
    let request = json!({ "id": id });
    let entry = visit.entry("UPDATE_USER", "DeleteSession", Actor::Caller(&caller), &request);
    visit
        .change(&entry, || {
            Box::pin(async {
                let granted = visit.member(&caller)?;
                let found =
                    documents::get::<Session>(&*visit.api.context.store, granted.organization(), id).await?;
                if found.value.person != caller.principal.id && visit.admin(&caller).is_err() {
                    return Err(Error::not_found("session"));
                }
                Ok((vec![documents::delete(&found.row)], ()))
            })
        })
        .await?;
    Ok(json!({}).into())
}

async fn person(visit: &Visit, caller: &Caller) -> Result<Stored<Person>> {
    let principal = &caller.principal;
    documents::get::<Person>(&*visit.api.context.store, principal.organization, &principal.id.to_string())
        .await
}
