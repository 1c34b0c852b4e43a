//! SCIM users.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::Decision,
        handlers::scim::{Page, answer, check_schema, patched, people, shown, text},
    },
    documents::{self, Stored},
    identity::{administrators::keep_an_admin, groups, sessions::end_all},
    ids::fresh_id,
};
use ootheca_api::{scim, wire::*};
use ootheca_model::{
    Error, Person, PrincipalId, Result,
    group::Group,
    identity::normal_grants,
    profile::{Email, Profile},
};
use ootheca_store::{Batch, Kind, Mutation};
use std::{collections::BTreeMap, sync::Arc};

/// `GET /Users`
pub async fn get_users(call: Arc<Call>, query: ScimListQuery) -> Result<GetUsersResponse> {
    let all = people::all(&call).await?.users();
    Ok(answer!(Page::read(&query, all)?, GetUsersResponse))
}

/// `POST /Users/.search`
pub async fn search_users(call: Arc<Call>, body: GetUsersRequest) -> Result<GetUsersResponse> {
    get_users(call, body.into()).await
}

/// `PUT /Users/.search`
pub async fn get_users2(call: Arc<Call>, body: GetUsersRequest) -> Result<GetUsersResponse> {
    search_users(call, body).await
}

/// `GET /Users/{id}`
pub async fn get_user(call: Arc<Call>, path: IdPath, query: ScimShowQuery) -> Result<ScimUser> {
    let found = existing(&call, &path.id).await?;
    let names = names(&call, &found.value).await?;
    shown(people::user(&found.value, &names, found.row.revision), &query)
}

/// `POST /Users/{id}/.search`
pub async fn search_user(call: Arc<Call>, path: IdPath, body: SearchUserBody) -> Result<ScimUser> {
    get_user(call, path, body.into()).await
}

/// `PUT /Users/{id}/.search`
pub async fn get_user2(call: Arc<Call>, path: IdPath, body: GetUser2Body) -> Result<ScimUser> {
    get_user(call, path, body.into()).await
}

/// `POST /Users`
pub async fn create_user(call: Arc<Call>, body: CreateUserRequest) -> Result<Decision<ScimUser>> {
    check_schema(body.schemas.as_deref(), scim::USER)?;
    let now = call.context.now();
    let blank = Person {
        organization: call.granted.organization(),
        id: PrincipalId(fresh_id()),
        email: String::new(),
        created_at: now,
        grants: normal_grants([]),
        profile: Profile::default(),
        password: None,
        invited: false,
    };
    let mut person = described(blank, body)?;
    person.profile.updated_at = Some(now);
    let batch = Batch::by(&call.granted).with(documents::insert(&person)?);
    Ok(Decision::now(batch, people::user(&person, &BTreeMap::new(), 1)))
}

/// `PUT /Users/{id}`. Omitted attributes are removed, except the name, the email addresses, and whether the
/// user is active.
pub async fn update_user(call: Arc<Call>, path: IdPath, body: UpdateUserBody) -> Result<Decision<ScimUser>> {
    if body.schemas.is_some() {
        check_schema(body.schemas.as_deref(), scim::USER)?;
    }
    let before = existing(&call, &path.id).await?;
    replace(&call, before, body.into()).await
}

/// `PATCH /Users/{id}`
pub async fn patch_user(call: Arc<Call>, path: IdPath, body: PatchUserBody) -> Result<Decision<ScimUser>> {
    let before = existing(&call, &path.id).await?;
    let resource = people::user(&before.value, &BTreeMap::new(), before.row.revision);
    let after: CreateUserRequest = patched(resource, body.schemas.as_deref(), body.operations)?;
    if after.emails.as_ref().is_none_or(Vec::is_empty) {
        return Err(Error::invalid("emails", "must contain at least one address"));
    }
    replace(&call, before, after).await
}

/// `DELETE /Users/{id}`. The user is removed from its groups.
pub async fn delete_user(call: Arc<Call>, path: IdPath) -> Result<Decision<ScimDeleted>> {
    let before = existing(&call, &path.id).await?;
    let mut batch = Batch::by(&call.granted).with(documents::delete(&before.row));
    for kind in [Kind::Session, Kind::Invitation] {
        batch = batch.with(Mutation::DeleteChildren { kind, parent: before.row.id.clone() });
    }
    batch.mutations.extend(no_last_admin(&call, &before.value).await?);
    Ok(Decision::now(batch, ScimDeleted {}))
}

/// Refuses to remove the last administrator. Returns changes that prevent two such changes at the same time.
async fn no_last_admin(call: &Call, person: &Person) -> Result<Vec<Mutation>> {
    keep_an_admin(&call.context, call.granted.organization(), &person.grants, &[], person.id).await
}

async fn existing(call: &Call, id: &str) -> Result<Stored<Person>> {
    let id: PrincipalId = id.parse().map_err(|_| Error::not_found("user"))?;
    documents::get(&*call.context.store, call.granted.organization(), &id.to_string()).await
}

/// The names of a person's groups.
async fn names(call: &Call, person: &Person) -> Result<BTreeMap<PrincipalId, String>> {
    let groups: Vec<Group> = groups::groups_of(&call.context, person).await?;
    Ok(groups.into_iter().map(|group| (group.id, group.name)).collect())
}

async fn replace(
    call: &Call,
    before: Stored<Person>,
    request: CreateUserRequest,
) -> Result<Decision<ScimUser>> {
    let mut after = described(before.value.clone(), request)?;
    after.profile.updated_at = Some(call.context.now());
    // From now on the identity provider manages this person, and not an invitation.
    after.invited = false;
    let names = names(call, &after).await?;
    let reply = people::user(&after, &names, before.row.revision + 1);
    let mut batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    if before.value.profile.active && !after.profile.active {
        batch.mutations.push(end_all(after.id));
        batch.mutations.extend(no_last_admin(call, &before.value).await?);
    }
    Ok(Decision::now(batch, reply))
}

/// The person that a request describes.
fn described(before: Person, request: CreateUserRequest) -> Result<Person> {
    let name = request.name.unwrap_or_default();
    let user_name = text("userName", request.user_name)?;
    let known = match request.emails.filter(|emails| !emails.is_empty()) {
        Some(emails) => addresses(emails)?,
        None if !before.email.is_empty() => before.profile.emails.clone(),
        None => {
            let name = required("emails", user_name.clone())?;
            addresses(vec![ScimEmail { value: Some(name), primary: Some(true), ..ScimEmail::default() }])?
        }
    };
    let primary = known.iter().find(|email| email.primary).map(|email| email.value.to_lowercase());
    Ok(Person {
        email: primary.unwrap_or(before.email),
        profile: Profile {
            user_name: user_name.or(before.profile.user_name),
            external_id: text("externalId", request.external_id)?,
            display_name: text("displayName", request.display_name)?,
            given_name: text("name.givenName", name.given_name)?,
            family_name: text("name.familyName", name.family_name)?,
            emails: known,
            active: request.active.unwrap_or(before.profile.active),
            groups: before.profile.groups,
            updated_at: before.profile.updated_at,
        },
        ..before
    })
}

/// Checks email addresses. One of them is the primary address.
fn addresses(emails: Vec<ScimEmail>) -> Result<Vec<Email>> {
    if emails.len() > 20 {
        return Err(Error::invalid("emails", "must contain at most 20 addresses"));
    }
    let mut known = Vec::with_capacity(emails.len());
    for email in emails {
        let value = required("emails.value", text("emails.value", email.value)?)?.trim().to_owned();
        let good = value.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
        if !good || value.contains(char::is_whitespace) {
            return Err(Error::invalid("emails.value", format!("{value:?} is not an email address")));
        }
        known.push(Email {
            value,
            r#type: text("emails.type", email.r#type)?,
            display: text("emails.display", email.display)?,
            primary: email.primary.unwrap_or(false),
        });
    }
    match known.iter().filter(|email| email.primary).count() {
        0 => known.first_mut().into_iter().for_each(|email| email.primary = true),
        1 => {}
        _ => return Err(Error::invalid("emails.primary", "must be true for at most one address")),
    }
    Ok(known)
}
