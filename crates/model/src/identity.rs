//! Organizations, the principals in them, and the proof that a principal may do something.

use crate::{
    ClusterId, Error, ErrorKind, FolderId, Grant, OrganizationId, PrincipalId, Resource, Result, Role,
    Timestamp, profile::Profile,
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
    /// What an identity provider tells; also whether it may come in at all.
    #[serde(default)]
    pub profile: Profile,
    /// How its password is known again: a PHC string of argon2id. `None` for who has none, and comes in
    /// by a link or by the token of another issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Made by an invitation, and not come in since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invited: bool,
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
        let (grants, profile) = (normal_grants([]), Profile::default());
        Ok(Self { organization, id, email, created_at, grants, profile, password: None, invited: false })
    }

    /// The name to log in with.
    pub fn user_name(&self) -> &str {
        self.profile.user_name.as_deref().unwrap_or(&self.email)
    }
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

impl Principal {
    /// Whether one of `roles`, held somewhere above or on it, reaches `resource`, which lies in `folders`.
    pub fn holds(&self, roles: &[Role], resource: Resource, folders: &[FolderId]) -> bool {
        self.grants
            .iter()
            .any(|grant| roles.contains(&grant.role) && grant.resource.covers(resource, folders))
    }

    /// Whether it may know that `resource`, which lies in `folders`, exists: it may read it.
    pub fn knows(&self, resource: Resource, folders: &[FolderId]) -> bool {
        match resource {
            Resource::Organization => true,
            Resource::Folder(_) => self.holds(FOLDER_READERS, resource, folders),
            Resource::Cluster(_) => self.holds(CLUSTER_READERS, resource, folders),
        }
    }
}

/// The roles whose holders may grant something; see [`crate::role::may_grant`].
pub const GRANTORS: [Role; 3] = [Role::OrgAdmin, Role::ClusterAdmin, Role::FolderAdmin];

/// The roles that read a cluster.
pub const CLUSTER_READERS: &[Role] = &[
    Role::OrgAdmin,
    Role::ClusterAdmin,
    Role::ClusterOperatorWriter,
    Role::ClusterDeveloper,
    Role::FolderAdmin,
    Role::FolderMover,
    Role::MetricsViewer,
    Role::ClusterMonitor,
    Role::Auditor,
    Role::ClusterDataAccessor,
];

/// The roles that read a folder.
pub const FOLDER_READERS: &[Role] = &[
    Role::OrgAdmin,
    Role::ClusterAdmin,
    Role::ClusterOperatorWriter,
    Role::ClusterDeveloper,
    Role::ClusterCreator,
    Role::FolderAdmin,
    Role::FolderMover,
    Role::MetricsViewer,
    Role::ClusterMonitor,
    Role::Auditor,
    Role::ClusterDataAccessor,
];

/// What an operation acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The organization: the role must be held at organization scope.
    Organization,
    /// One cluster, and the folders that it lies in.
    Cluster(ClusterId, Vec<FolderId>),
    /// One folder, and the folders that it lies in.
    Folder(FolderId, Vec<FolderId>),
    /// Folders that the handler looks up: the role must be held on the organization or on some folder.
    Folders,
    /// A list that shows each caller what its roles reach.
    Visible,
}

impl Target {
    fn resource(&self) -> Option<Resource> {
        match self {
            Target::Organization => Some(Resource::Organization),
            Target::Cluster(id, _) => Some(Resource::Cluster(*id)),
            Target::Folder(id, _) => Some(Resource::Folder(*id)),
            Target::Folders | Target::Visible => None,
        }
    }

    fn folders(&self) -> &[FolderId] {
        match self {
            Target::Cluster(_, folders) | Target::Folder(_, folders) => folders,
            Target::Organization | Target::Folders | Target::Visible => &[],
        }
    }
}

/// What a caller may see in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All of the organization.
    All,
    /// Only what these grants reach.
    Only(Reach),
}

/// Where the roles of an operation are held, below the organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Folders, with all that is in them.
    pub folders: BTreeSet<FolderId>,
    /// Clusters.
    pub clusters: BTreeSet<ClusterId>,
}

impl Visible {
    /// Whether it shows `resource`, which lies in `folders`.
    pub fn shows(&self, resource: Resource, folders: &[FolderId]) -> bool {
        let Visible::Only(reach) = self else { return true };
        let itself = match resource {
            Resource::Organization => false,
            Resource::Folder(id) => reach.folders.contains(&id),
            Resource::Cluster(id) => reach.clusters.contains(&id),
        };
        itself || folders.iter().any(|id| reach.folders.contains(id))
    }
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
            Target::Cluster(id, _) => Some(id),
            _ => None,
        }
    }

    /// The folder, where the operation is about one.
    pub fn folder(&self) -> Option<FolderId> {
        match self.target {
            Target::Folder(id, _) => Some(id),
            _ => None,
        }
    }

    /// The folders that the target lies in, as far as the check needed them, innermost first.
    pub fn folders(&self) -> &[FolderId] {
        self.target.folders()
    }

    /// What a list may show.
    pub fn visible(&self) -> &Visible {
        &self.visible
    }
}

/// Checks `principal` against a requirement.
///
/// 403 where it lacks the role altogether, or may know the target; 404 where it holds the role elsewhere
/// only and may not read the target, so that nobody learns what exists.
pub fn authorize(principal: &Arc<Principal>, requirement: Requirement, target: Target) -> Result<Granted> {
    let denied = || Error::new(ErrorKind::Denied, "no permission");
    let roles = match requirement {
        Requirement::Member => {
            return Ok(Granted { principal: principal.clone(), target, visible: Visible::All });
        }
        Requirement::Grantor => {
            let allowed = principal.grants.iter().any(|grant| GRANTORS.contains(&grant.role));
            let granted = || Granted { principal: principal.clone(), target, visible: Visible::All };
            return if allowed { Ok(granted()) } else { Err(denied()) };
        }
        Requirement::Roles(roles) => roles,
    };
    let Some(visible) = visible(principal, roles) else { return Err(denied()) };
    let allowed = match (&visible, target.resource()) {
        (Visible::All, _) => true,
        (Visible::Only(_), Some(resource)) => visible.shows(resource, target.folders()),
        (Visible::Only(reach), None) => target == Target::Visible || !reach.folders.is_empty(),
    };
    if allowed {
        return Ok(Granted { principal: principal.clone(), target, visible });
    }
    match target.resource() {
        Some(resource) if !principal.knows(resource, target.folders()) => {
            Err(Error::not_found(if matches!(target, Target::Folder(..)) { "folder" } else { "cluster" }))
        }
        _ => Err(denied()),
    }
}

/// What these roles of a principal reach; `None` if it holds none of them.
fn visible(principal: &Principal, roles: &[Role]) -> Option<Visible> {
    let mut reach = Reach::default();
    for grant in principal.grants.iter().filter(|grant| roles.contains(&grant.role)) {
        match grant.resource {
            Resource::Organization => return Some(Visible::All),
            Resource::Folder(id) => reach.folders.insert(id),
            Resource::Cluster(id) => reach.clusters.insert(id),
        };
    }
    (reach != Reach::default()).then_some(Visible::Only(reach))
}
