//! The principals that hold grants: service accounts, people and groups.

use crate::{
    context::Context,
    documents::{self, Stored},
};
use ootheca_model::{
    Error, Grant, OrganizationId, Person, PrincipalId, Result, ServiceAccount, group::Group,
};
use ootheca_store::{Kind, Mutation, Query, Row, Store};

/// A stored principal that can hold grants.
pub enum Holder {
    /// A service account.
    Account(Stored<ServiceAccount>),
    /// A person.
    Person(Stored<Person>),
    /// A group of people.
    Group(Stored<Group>),
}

impl Holder {
    /// The row.
    pub fn row(&self) -> &Row {
        match self {
            Holder::Account(found) => &found.row,
            Holder::Person(found) => &found.row,
            Holder::Group(found) => &found.row,
        }
    }

    /// The ID.
    pub fn id(&self) -> PrincipalId {
        match self {
            Holder::Account(found) => found.value.id,
            Holder::Person(found) => found.value.id,
            Holder::Group(found) => found.value.id,
        }
    }

    /// Whether it can act now. A person who is deactivated or has never signed in cannot.
    pub fn active(&self) -> bool {
        !matches!(self, Holder::Person(found) if !found.value.profile.active || found.value.invited)
    }

    /// Its direct grants, without those of groups.
    pub fn grants(&self) -> &[Grant] {
        match self {
            Holder::Account(found) => &found.value.grants,
            Holder::Person(found) => &found.value.grants,
            Holder::Group(found) => &found.value.grants,
        }
    }

    /// The change that replaces its direct grants.
    pub fn with_grants(&self, grants: Vec<Grant>) -> Result<Mutation> {
        match self {
            Holder::Account(found) => {
                documents::update(&found.row, &ServiceAccount { grants, ..found.value.clone() })
            }
            Holder::Person(found) => documents::update(&found.row, &Person { grants, ..found.value.clone() }),
            Holder::Group(found) => documents::update(&found.row, &Group { grants, ..found.value.clone() }),
        }
    }
}

/// Every service account and person of the organization.
pub async fn all(context: &Context, organization: OrganizationId) -> Result<Vec<Holder>> {
    let organization = Some(organization);
    let mut holders = Vec::new();
    for row in context.store.list(&Query { organization, ..Query::all(Kind::ServiceAccount) }).await? {
        holders.push(Holder::Account(documents::decode(row)?));
    }
    for row in context.store.list(&Query { organization, ..Query::all(Kind::Person) }).await? {
        holders.push(Holder::Person(documents::decode(row)?));
    }
    Ok(holders)
}

/// The principal with this ID in the organization; `None` if there is none. A malformed `user_id` is an error,
/// because it can't be the ID of a principal that was deleted.
pub async fn find(store: &dyn Store, organization: OrganizationId, id: &str) -> Result<Option<Holder>> {
    let malformed = |_| Error::invalid("user_id", "must be the ID of a user, a service account, or a group");
    let id: PrincipalId = id.parse().map_err(malformed)?;
    if let Some(found) = documents::find::<ServiceAccount>(store, &id.to_string()).await? {
        return Ok((found.row.organization == organization).then_some(Holder::Account(found)));
    }
    if let Some(found) = documents::find::<Person>(store, &id.to_string()).await? {
        return Ok((found.row.organization == organization).then_some(Holder::Person(found)));
    }
    let group = documents::find::<Group>(store, &id.to_string()).await?;
    Ok(group.filter(|found| found.row.organization == organization).map(Holder::Group))
}
