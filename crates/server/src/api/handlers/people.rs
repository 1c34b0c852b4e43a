//! The users of an organization, and the links that invite them.

use crate::{
    api::{call::Call, convert, convert::required, decision::Decision},
    documents::{self, Document},
    identity::{invitations::fresh_link, members},
    ids::fresh_id,
};
use ootheca_api::wire::*;
use ootheca_model::{
    Error, Grant, Invitation as Link, Person as Model, PrincipalId, Resource, Result, Role,
    identity::normal_grants,
};
use ootheca_store::{Batch, Kind, Order, Query};
use std::{sync::Arc, time::Duration};

/// `GET /people`
pub async fn list_people(call: Arc<Call>) -> Result<ListPeopleResponse> {
    let query = Query { organization: Some(call.granted.organization()), ..Query::all(Kind::Person) };
    let rows = call.context.store.list(&query).await?;
    let people = rows.into_iter().map(|row| {
        let person = documents::decode::<Model>(row)?.value;
        Ok(Person {
            id: person.id.to_string(),
            active: person.profile.active,
            has_password: person.password.is_some(),
            created_at: person.created_at,
            roles: person.grants.iter().map(convert::grant).collect(),
            email: person.email,
        })
    });
    Ok(ListPeopleResponse { people: people.collect::<Result<_>>()? })
}

/// `DELETE /people/{id}`
pub async fn delete_person(call: Arc<Call>, path: IdPath) -> Result<Decision<Empty>> {
    let id: PrincipalId = path.id.parse().map_err(|_| Error::not_found("user"))?;
    let organization = call.granted.organization();
    let found = documents::get::<Model>(&*call.context.store, organization, &id.to_string()).await?;
    let mut batch = Batch::by(&call.granted);
    batch.mutations = members::removal(&call.context, &found).await?;
    Ok(Decision::now(batch, Empty {}))
}

/// `GET /invitations`
pub async fn list_invitations(call: Arc<Call>) -> Result<ListInvitationsResponse> {
    let organization = Some(call.granted.organization());
    let query = Query { organization, order: Order::CreatedAt, ..Query::all(Kind::Invitation) };
    let mut invitations = Vec::new();
    for row in call.context.store.list(&query).await? {
        let link = documents::decode::<Link>(row)?.value;
        let person = call.context.find::<Model>(&link.person.to_string()).await?;
        if let Some(person) = person.filter(|_| link.expires_at > call.context.now()) {
            invitations.push(show(&link, &person.value));
        }
    }
    Ok(ListInvitationsResponse { invitations })
}

/// `POST /invitations`: creates the user too, unless it exists and has never signed in.
pub async fn create_invitation(
    call: Arc<Call>,
    body: CreateInvitationRequest,
) -> Result<Decision<Invitation>> {
    let (email, roles) = (required("email", body.email)?, body.roles.unwrap_or_default());
    let now = call.context.now();
    let mut person = Model::new(call.granted.organization(), PrincipalId(fresh_id()), &email, now)?;
    let role = |name: &String| -> Result<Grant> {
        let role: Role = name.parse().map_err(|error: Error| error.context("roles"))?;
        Grant::new(role, Resource::Organization)
    };
    person.grants = normal_grants(roles.iter().map(role).collect::<Result<Vec<_>>>()?);
    person.invited = true;
    let key = person.columns().unique_key.unwrap_or_default();
    let known = call.context.store.by_unique_key(Kind::Person, &key).await?;
    let mut batch = Batch::by(&call.granted);
    match known.map(documents::decode::<Model>).transpose()? {
        None => batch.mutations.push(documents::insert(&person)?),
        // A person who never signed in can be invited again. Their roles can be changed with the role API.
        Some(known) if known.value.password.is_none() && roles.is_empty() => {
            batch.mutations.push(documents::touch(&known.row));
            person = known.value;
        }
        Some(_) => return Err(Error::exists("user")),
    }
    let settings = &call.context.settings;
    let lasts = Duration::from_secs(settings.sessions.link_hours * 3600);
    let (token, link, changes) = fresh_link(&person, &call.granted.principal().name, lasts, now)?;
    batch.mutations.extend(changes);
    let url = settings.link(&token);
    Ok(Decision::now(batch, Invitation { link_token: Some(token), link: Some(url), ..show(&link, &person) }))
}

/// `DELETE /invitations/{id}`: removes the link, and the user, unless that user has signed in before.
pub async fn delete_invitation(call: Arc<Call>, path: IdPath) -> Result<Decision<Empty>> {
    let (store, organization) = (&*call.context.store, call.granted.organization());
    let found = documents::get::<Link>(store, organization, &path.id).await?;
    let mut batch = Batch::by(&call.granted).with(documents::delete(&found.row));
    let person = documents::find::<Model>(store, &found.value.person.to_string()).await?;
    if let Some(person) = person.filter(|person| person.value.invited) {
        batch.mutations.extend(members::removal(&call.context, &person).await?);
    }
    Ok(Decision::now(batch, Empty {}))
}

fn show(link: &Link, person: &Model) -> Invitation {
    Invitation {
        id: link.id.clone(),
        email: link.email.clone(),
        user_id: link.person.to_string(),
        roles: person.grants.iter().map(convert::grant).collect(),
        for_new_password: link.reset,
        creator_name: link.creator_name.clone(),
        created_at: link.created_at,
        expires_at: link.expires_at,
        link_token: None,
        link: None,
    }
}
