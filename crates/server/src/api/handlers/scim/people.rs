//! The people and groups of an organization.

use crate::{
    api::{
        call::Call,
        handlers::scim::{location, metadata},
    },
    documents::{self, Stored},
};
use ootheca_api::{scim, wire::*};
use ootheca_model::{
    OrganizationId, Person, PrincipalId, Result,
    group::Group,
    profile::{Email, Profile},
};
use ootheca_store::{Kind, Query, Store};
use std::collections::BTreeMap;

/// The people and the groups of an organization.
pub(super) struct People {
    pub(super) persons: Vec<Stored<Person>>,
    pub(super) groups: Vec<Stored<Group>>,
}

impl People {
    pub(super) async fn read(store: &dyn Store, organization: OrganizationId) -> Result<Self> {
        let organization = Some(organization);
        let groups = store.list(&Query { organization, ..Query::all(Kind::Group) }).await?;
        let persons = store.list(&Query { organization, ..Query::all(Kind::Person) }).await?;
        Ok(Self {
            persons: persons.into_iter().map(documents::decode).collect::<Result<_>>()?,
            groups: groups.into_iter().map(documents::decode).collect::<Result<_>>()?,
        })
    }

    /// All people as SCIM users.
    pub(super) fn users(&self) -> Vec<ScimUser> {
        let names = self.names();
        self.persons.iter().map(|found| user(&found.value, &names, found.row.revision)).collect()
    }

    /// The names of the groups.
    pub(super) fn names(&self) -> BTreeMap<PrincipalId, String> {
        self.groups.iter().map(|found| (found.value.id, found.value.name.clone())).collect()
    }

    /// All groups as SCIM groups.
    pub(super) fn shown_groups(&self) -> Vec<ScimGroup> {
        let mut members: BTreeMap<PrincipalId, Vec<ScimResource>> = BTreeMap::new();
        for person in self.persons.iter().map(|found| &found.value) {
            for id in &person.profile.groups {
                members.entry(*id).or_default().push(member(person));
            }
        }
        let shown = self.groups.iter().map(|found| {
            let members = members.remove(&found.value.id).unwrap_or_default();
            group(&found.value, members, found.row.revision)
        });
        shown.collect()
    }

    /// The members of a group.
    pub(super) fn members(&self, id: PrincipalId) -> impl Iterator<Item = &Stored<Person>> {
        self.persons.iter().filter(move |found| found.value.profile.groups.contains(&id))
    }
}

/// A person as a member of a group.
pub(super) fn member(person: &Person) -> ScimResource {
    let place = location("User", person.id);
    ScimResource {
        value: Some(person.id.to_string()),
        display: Some(person.profile.display_name.clone().unwrap_or_else(|| person.user_name().to_owned())),
        r#type: Some("User".to_owned()),
        r#ref: Some(place.clone()),
        standard_ref: Some(place),
    }
}

/// A group as a SCIM group.
pub(super) fn group(group: &Group, members: Vec<ScimResource>, revision: i64) -> ScimGroup {
    let place = location("Group", group.id);
    ScimGroup {
        schemas: vec![scim::GROUP.to_owned()],
        id: group.id.to_string(),
        external_id: group.external_id.clone(),
        display_name: Some(group.name.clone()),
        members: Some(members),
        meta: Some(metadata("Group", place, group.created_at, group.updated_at, revision)),
    }
}

/// A person as a SCIM user, with the names of its groups.
pub(super) fn user(person: &Person, groups: &BTreeMap<PrincipalId, String>, revision: i64) -> ScimUser {
    let Profile { external_id, display_name, given_name, family_name, .. } = person.profile.clone();
    let named = given_name.is_some() || family_name.is_some();
    let memberships = person.profile.groups.iter().filter_map(|id| {
        let place = location("Group", id);
        Some(ScimResource {
            value: Some(id.to_string()),
            display: Some(groups.get(id)?.clone()),
            r#type: Some("direct".to_owned()),
            r#ref: Some(place.clone()),
            standard_ref: Some(place),
        })
    });
    let modified = person.profile.updated_at.unwrap_or(person.created_at);
    ScimUser {
        schemas: vec![scim::USER.to_owned()],
        id: person.id.to_string(),
        external_id,
        user_name: Some(person.user_name().to_owned()),
        display_name,
        name: named.then_some(ScimName { given_name, family_name }),
        emails: Some(emails(person)),
        active: Some(person.profile.active),
        groups: Some(memberships.collect()),
        meta: Some(metadata("User", location("User", person.id), person.created_at, modified, revision)),
    }
}

fn emails(person: &Person) -> Vec<ScimEmail> {
    let only = [Email {
        value: person.email.clone(),
        r#type: Some("work".to_owned()),
        display: None,
        primary: true,
    }];
    let known = if person.profile.emails.is_empty() { &only[..] } else { &person.profile.emails };
    let shown = known.iter().cloned().map(|email| ScimEmail {
        value: Some(email.value),
        r#type: email.r#type,
        display: email.display,
        primary: Some(email.primary),
    });
    shown.collect()
}

/// The people and groups of the call's organization.
pub(super) async fn all(call: &Call) -> Result<People> {
    People::read(&*call.context.store, call.granted.organization()).await
}
