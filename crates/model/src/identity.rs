//! Organizations, the principals in them, and the proof that a principal may do something.

use crate::{
    ClusterId, Error, ErrorKind, Grant, OrganizationId, PrincipalId, Resource, Result, Role, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

/// The tenant of the control plane. Rows of other kinds belong to exactly one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    /// Id.
    pub id: OrganizationId,
    /// Full name.
    pub name: String,
    /// Short name, also the vanity name.
    pub label: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A program that calls the API. Its keys act with exactly its grants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// The organization.
    pub organization: OrganizationId,
    /// Id, also a principal id.
    pub id: PrincipalId,
    /// Name; need not be unique.
    pub name: String,
    /// Free text.
    pub description: String,
    /// The name of who created it.
    pub creator_name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Direct grants, sorted, always holding ORG_MEMBER.
    pub grants: Vec<Grant>,
}

/// A human being, known by e-mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// The organization.
    pub organization: OrganizationId,
    /// Id, also a principal id.
    pub id: PrincipalId,
    /// E-mail address, lower case.
    pub email: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Direct grants, sorted, always holding ORG_MEMBER.
    pub grants: Vec<Grant>,
    /// Whether it may come in at all.
    #[serde(default = "yes")]
    pub active: bool,
    /// How its password is known again: a PHC string of argon2id. `None` for who has none, and comes in
    /// by a link or by the token of another issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl Person {
    /// Somebody new who holds nothing but membership and has no password. The e-mail address is made
    /// lower case.
    pub fn new(
        organization: OrganizationId,
        id: PrincipalId,
        email: &str,
        created_at: Timestamp,
    ) -> Result<Self> {
        let email = email.trim().to_lowercase();
        let (name, domain) = email.split_once('@').unwrap_or_default();
        let plain =
            |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if email.len() > 254 || !plain(name) || !plain(domain) || domain.contains('@') {
            return Err(Error::invalid("email", format!("{email:?} is not an e-mail address")));
        }
        let grants = normal_grants([]);
        Ok(Self { organization, id, email, created_at, grants, active: true, password: None })
    }
}

fn yes() -> bool {
    true
}

/// That a person has come in, and until when. What the browser holds is kept only as a hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The organization.
    pub organization: OrganizationId,
    /// SHA-256 of the token, hexadecimal.
    pub id: String,
    /// Who came in.
    pub person: PrincipalId,
    /// When.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was last used, about.
    pub last_used_at: Timestamp,
    /// From where it was opened.
    pub ip_address: String,
    /// With which browser.
    pub user_agent: String,
}

/// A link by which a person may come in once and choose a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invitation {
    /// The organization.
    pub organization: OrganizationId,
    /// SHA-256 of the token in the link, hexadecimal.
    pub id: String,
    /// For whom.
    pub person: PrincipalId,
    /// That person's e-mail address.
    pub email: String,
    /// Whether it is for somebody who is already here and lost the password.
    pub reset: bool,
    /// Who made it.
    pub creator_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A key of a service account. The secret itself is never kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The organization.
    pub organization: OrganizationId,
    /// `CCDB1_` and 22 letters or digits.
    pub id: String,
    /// Name; can be changed.
    pub name: String,
    /// The account that it acts for.
    pub service_account: PrincipalId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Random salt, hexadecimal.
    pub salt: String,
    /// HMAC-SHA256 of the secret part under the salt, hexadecimal.
    pub hash: String,
    /// When it ends; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was last used, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// Sorted, without doubles, with ORG_MEMBER: the form in which grants are kept.
pub fn normal_grants(grants: impl IntoIterator<Item = Grant>) -> Vec<Grant> {
    let mut set: BTreeSet<Grant> = grants.into_iter().collect();
    set.insert(Grant::organization(Role::OrgMember));
    set.into_iter().collect()
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// The organization that it belongs to.
    pub organization: OrganizationId,
    /// Its id.
    pub id: PrincipalId,
    /// Service-account name or e-mail, for the audit log.
    pub name: String,
    /// Whether it is a person.
    pub person: bool,
    /// All that it holds.
    pub grants: Vec<Grant>,
}

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Any member of the organization.
    Member,
    /// One of these roles, reaching the target.
    Roles(&'static [Role]),
    /// The right to grant something; the handler checks each grant with [`crate::role::may_grant`].
    Grantor,
}

/// What an operation acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The organization: the role must be held at organization scope.
    Organization,
    /// One cluster.
    Cluster(ClusterId),
    /// A list that shows each caller what its roles reach.
    Visible,
}

/// The clusters that a caller may see in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All of the organization.
    All,
    /// Only these.
    Only(BTreeSet<ClusterId>),
}

/// Proof that a caller may perform one operation on one target. Making one is the check: there is
/// no other constructor than [`authorize`].
#[derive(Clone, Debug)]
pub struct Granted {
    principal: Arc<Principal>,
    target: Target,
    visible: Visible,
}

impl Granted {
    /// Who calls.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The organization that every read and write is bound to.
    pub fn organization(&self) -> OrganizationId {
        self.principal.organization
    }

    /// The cluster, where the operation is about one.
    pub fn cluster(&self) -> Option<ClusterId> {
        match self.target {
            Target::Cluster(id) => Some(id),
            _ => None,
        }
    }

    /// Which clusters a list may show.
    pub fn visible(&self) -> &Visible {
        &self.visible
    }
}

/// Checks `principal` against a requirement.
///
/// 403 where it lacks the role; 404 where it holds the role on other clusters only, so that nobody
/// learns which clusters exist.
pub fn authorize(principal: &Arc<Principal>, requirement: Requirement, target: Target) -> Result<Granted> {
    let denied = || Error::new(ErrorKind::Denied, "no permission");
    let granted = |visible| Granted { principal: principal.clone(), target, visible };
    let roles = match requirement {
        Requirement::Member => return Ok(granted(Visible::All)),
        Requirement::Grantor => {
            let grantor = |grant: &Grant| matches!(grant.role, Role::OrgAdmin | Role::ClusterAdmin);
            let allowed = principal.grants.iter().any(grantor);
            return if allowed { Ok(granted(Visible::All)) } else { Err(denied()) };
        }
        Requirement::Roles(roles) => roles,
    };
    let held =
        || principal.grants.iter().filter(|grant| roles.contains(&grant.role)).map(|grant| grant.resource);
    if held().any(|resource| resource == Resource::Organization) {
        return Ok(granted(Visible::All));
    }
    let clusters: BTreeSet<ClusterId> = held()
        .filter_map(|resource| match resource {
            Resource::Cluster(id) => Some(id),
            Resource::Organization => None,
        })
        .collect();
    match target {
        _ if clusters.is_empty() => Err(denied()),
        Target::Organization => Err(denied()),
        Target::Visible => Ok(granted(Visible::Only(clusters))),
        Target::Cluster(id) if clusters.contains(&id) => Ok(granted(Visible::Only(clusters))),
        Target::Cluster(id)
            if principal.grants.iter().any(|grant| grant.resource == Resource::Cluster(id)) =>
        {
            Err(denied())
        }
        Target::Cluster(_) => Err(Error::not_found("cluster")),
    }
}
