//! The administrators of an organization: one must always be left, and sign-in links of the operator are for
//! one of them.

use crate::{
    context::Context,
    documents::{self, Document},
    identity::{bootstrap::ADMIN_ROLES, holders},
    ids::fresh_id,
};
use ootheca_model::{
    Error, Grant, Invitation, Organization, OrganizationId, Person, PrincipalId, Result, Role, Timestamp,
    identity::normal_grants,
};
use ootheca_store::{Kind, Mutation, Order, Query, Store};
use std::time::Duration;

/// How long a link for the administrator is valid.
pub const LASTS: Duration = Duration::from_secs(15 * 60);
/// Email address of the administrator that is created if there is none.
pub const EMAIL: &str = "admin@localhost";

/// Refuses to leave the organization without an active principal that itself holds both ORG_ADMIN and
/// CLUSTER_ADMIN. Returns changes that prevent two such changes at the same time.
pub async fn keep_an_admin(
    context: &Context,
    organization: OrganizationId,
    before: &[Grant],
    after: &[Grant],
    who: PrincipalId,
) -> Result<Vec<Mutation>> {
    let keeps = |grants: &[Grant]| {
        [Role::OrgAdmin, Role::ClusterAdmin].iter().all(|role| grants.contains(&Grant::organization(*role)))
    };
    if !keeps(before) || keeps(after) {
        return Ok(Vec::new());
    }
    let holders = holders::all(context, organization).await?.into_iter();
    let mut others = holders.filter(|other| other.id() != who && other.active());
    if let Some(other) = others.find(|other| keeps(other.grants())) {
        return Ok(vec![documents::touch(other.row())]);
    }
    let message = "roles: at least one user or service account must hold both ORG_ADMIN and CLUSTER_ADMIN";
    Err(Error::precondition(message))
}

/// The person for whom `ootheca serve` and `ootheca admin link` create a link.
pub struct Administrator {
    /// The person.
    pub person: Person,
    /// The change that the batch with the link must contain too.
    pub change: Mutation,
    /// Whether that change creates the person.
    pub made: bool,
}

impl Administrator {
    /// A link for signing in once. Earlier links stay valid. The caller sets its ID.
    pub fn link(&self, creator_name: &str, now: Timestamp) -> Invitation {
        Invitation {
            organization: self.person.organization,
            id: String::new(),
            person: self.person.id,
            email: self.person.email.clone(),
            reset: self.person.password.is_some(),
            creator_name: creator_name.to_owned(),
            created_at: now,
            expires_at: now.after(LASTS),
        }
    }
}

/// The first active person with ORG_ADMIN, or a person who is still to be created.
pub async fn administrator(
    store: &dyn Store,
    organization: &Organization,
    now: Timestamp,
) -> Result<Administrator> {
    let query =
        Query { organization: Some(organization.id), order: Order::CreatedAt, ..Query::all(Kind::Person) };
    for row in store.list(&query).await? {
        let found = documents::decode::<Person>(row)?;
        let person = found.value;
        if person.profile.active && person.grants.contains(&Grant::organization(Role::OrgAdmin)) {
            return Ok(Administrator { person, change: documents::touch(&found.row), made: false });
        }
    }
    let mut person = Person::new(organization.id, PrincipalId(fresh_id()), EMAIL, now)?;
    let key = person.columns().unique_key.unwrap_or_default();
    if store.by_unique_key(Kind::Person, &key).await?.is_some() {
        let message = format!(
            "no active person has ORG_ADMIN, and {EMAIL} exists without it; create one with `ootheca admin create-user`"
        );
        return Err(Error::precondition(message));
    }
    person.grants = normal_grants(ADMIN_ROLES.map(Grant::organization));
    let change = documents::insert(&person)?;
    Ok(Administrator { person, change, made: true })
}
