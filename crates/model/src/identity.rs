//! Organizations, their principals, and the proof that a principal is authorized.

use crate::{
    ClusterId, Error, ErrorKind, FolderId, Grant, OrganizationId, PrincipalId, Resource, Result, Role,
    Timestamp, profile::Profile,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

/// A tenant of the control plane. Every row of another kind belongs to exactly one organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Organization {
    pub id: OrganizationId,
    /// The full name.
    pub name: String,
    /// The short name, also the vanity name.
    pub label: String,
    pub created_at: Timestamp,
}

/// A service account, which calls the API with keys. Its keys have exactly its grants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceAccount {
    pub organization: OrganizationId,
    /// The ID, also a principal ID.
    pub id: PrincipalId,
    /// The name, which need not be unique.
    pub name: String,
    pub description: String,
    /// The name of the principal that created it.
    pub creator_name: String,
    pub created_at: Timestamp,
    /// The direct grants, sorted, which always include ORG_MEMBER.
    pub grants: Vec<Grant>,
}

/// A user, identified by an email address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub organization: OrganizationId,
    /// The ID, also a principal ID.
    pub id: PrincipalId,
    /// The email address in lower case.
    pub email: String,
    pub created_at: Timestamp,
    /// The direct grants, sorted, which always include ORG_MEMBER.
    pub grants: Vec<Grant>,
    /// The attributes that an identity provider manages, including whether the user can sign in at all.
    #[serde(default)]
    pub profile: Profile,
    /// The argon2id hash of the password as a PHC string. `None` if the user has no password and signs in
    /// with a link or the token of another issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether the user was created by an invitation and has not signed in yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invited: bool,
}

impl Person {
    /// Creates a user that is only a member and has no password. The email address is converted to lower
    /// case.
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
            return Err(Error::invalid("email", format!("{email:?} is not an email address")));
        }
        let (grants, profile) = (normal_grants([]), Profile::default());
        Ok(Self { organization, id, email, created_at, grants, profile, password: None, invited: false })
    }

    /// The name to sign in with.
    pub fn user_name(&self) -> &str {
        self.profile.user_name.as_deref().unwrap_or(&self.email)
    }
}

/// The session of a user who signed in. Of the token in the browser only a hash is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub organization: OrganizationId,
    /// The hexadecimal SHA-256 hash of the token.
    pub id: String,
    /// The user who signed in.
    pub person: PrincipalId,
    pub created_at: Timestamp,
    /// The time when the session expires at the latest.
    pub expires_at: Timestamp,
    /// The approximate time of the last use.
    pub last_used_at: Timestamp,
    /// The IP address that the user signed in from.
    pub ip_address: String,
    /// The browser that the user signed in with.
    pub user_agent: String,
}

/// A one-time link with which a user signs in and sets a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invitation {
    pub organization: OrganizationId,
    /// The hexadecimal SHA-256 hash of the token in the link.
    pub id: String,
    /// The user who is invited.
    pub person: PrincipalId,
    /// The email address of that user.
    pub email: String,
    /// Whether the link resets the password of an existing user.
    pub reset: bool,
    /// The name of the principal that created the link.
    pub creator_name: String,
    pub created_at: Timestamp,
    /// The time when the link expires.
    pub expires_at: Timestamp,
}

/// A key of a service account. The secret itself is never stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiKey {
    pub organization: OrganizationId,
    /// The ID: `CCDB1_` and 22 letters or digits.
    pub id: String,
    /// The name, which can be changed.
    pub name: String,
    /// The service account that the key belongs to.
    pub service_account: PrincipalId,
    pub created_at: Timestamp,
    /// The random salt, hexadecimal.
    pub salt: String,
    /// The HMAC-SHA256 of the secret with the salt, hexadecimal.
    pub hash: String,
    /// The time when the key expires; `None` if it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The approximate time of the last use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// Sorts grants, removes duplicates, and adds ORG_MEMBER, which is the form in which grants are stored.
pub fn normal_grants(grants: impl IntoIterator<Item = Grant>) -> Vec<Grant> {
    let mut set: BTreeSet<Grant> = grants.into_iter().collect();
    set.insert(Grant::organization(Role::OrgMember));
    set.into_iter().collect()
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// The organization that the caller belongs to.
    pub organization: OrganizationId,
    pub id: PrincipalId,
    /// The name of the service account or the email address, for the audit log.
    pub name: String,
    /// Whether the caller is a user.
    pub person: bool,
    /// All grants.
    pub grants: Vec<Grant>,
}

/// What an operation requires of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// None: the caller need not be authenticated.
    Public,
    /// The caller is a member of the organization.
    Member,
    /// The caller holds one of these roles on the target.
    Roles(&'static [Role]),
    /// The caller is allowed to grant some roles. The handler checks each grant with
    /// [`crate::role::may_grant`].
    Grantor,
}

impl Principal {
    /// A caller without credentials. It belongs to no organization and has no grants.
    pub fn anonymous() -> Self {
        let (organization, id) = (OrganizationId(Uuid::nil()), PrincipalId(Uuid::nil()));
        Self { organization, id, name: String::new(), person: false, grants: Vec::new() }
    }

    /// Whether the caller has no credentials.
    pub fn is_anonymous(&self) -> bool {
        self.id.0.is_nil()
    }

    /// Whether the caller holds one of `roles` on `resource`, which is in `folders`, or on an ancestor.
    pub fn holds(&self, roles: &[Role], resource: Resource, folders: &[FolderId]) -> bool {
        self.grants
            .iter()
            .any(|grant| roles.contains(&grant.role) && grant.resource.covers(resource, folders))
    }

    /// Whether the caller may know that `resource`, which is in `folders`, exists, because it may read it.
    pub fn knows(&self, resource: Resource, folders: &[FolderId]) -> bool {
        match resource {
            Resource::Organization => true,
            Resource::Folder(_) => self.holds(FOLDER_READERS, resource, folders),
            Resource::Cluster(_) => self.holds(CLUSTER_READERS, resource, folders),
        }
    }
}

/// The roles whose holders can grant roles; see [`crate::role::may_grant`].
pub const GRANTORS: [Role; 3] = [Role::OrgAdmin, Role::ClusterAdmin, Role::FolderAdmin];

/// The roles that can read a cluster.
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

/// The roles that can read a folder.
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
    /// The organization. The role must be held at organization scope.
    Organization,
    /// A cluster, and its ancestor folders.
    Cluster(ClusterId, Vec<FolderId>),
    /// A folder, and its ancestors.
    Folder(FolderId, Vec<FolderId>),
    /// Folders that the handler looks up. The role must be held on the organization or on some folder.
    Folders,
    /// A list that contains what the caller's roles cover.
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

/// What a caller can see in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// Everything in the organization.
    All,
    /// Only what these resources contain.
    Only(Reach),
}

/// The folders and clusters on which the caller holds the roles of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The folders, including their contents.
    pub folders: BTreeSet<FolderId>,
    pub clusters: BTreeSet<ClusterId>,
}

impl Visible {
    /// Whether `resource`, which is in `folders`, is visible.
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

/// Proof that a caller is authorized for an operation on a target. [`authorize`] is the only constructor, so
/// creating a value is the check.
#[derive(Clone, Debug)]
pub struct Granted {
    principal: Arc<Principal>,
    target: Target,
    visible: Visible,
}

impl Granted {
    /// The caller.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The organization to which every read and write is restricted.
    pub fn organization(&self) -> OrganizationId {
        self.principal.organization
    }

    /// The cluster, if the operation concerns one.
    pub fn cluster(&self) -> Option<ClusterId> {
        match self.target {
            Target::Cluster(id, _) => Some(id),
            _ => None,
        }
    }

    /// The folder, if the operation concerns one.
    pub fn folder(&self) -> Option<FolderId> {
        match self.target {
            Target::Folder(id, _) => Some(id),
            _ => None,
        }
    }

    /// The ancestor folders of the target, innermost first, if the check needed them.
    pub fn folders(&self) -> &[FolderId] {
        self.target.folders()
    }

    /// What a list can show.
    pub fn visible(&self) -> &Visible {
        &self.visible
    }
}

/// Checks whether `principal` meets a requirement.
///
/// Returns 403 if it holds the role nowhere, or may know the target. Returns 404 if it holds the role only
/// elsewhere and may not read the target, so that the response does not disclose whether the target exists.
pub fn authorize(principal: &Arc<Principal>, requirement: Requirement, target: Target) -> Result<Granted> {
    let denied = || Error::new(ErrorKind::Denied, "no permission");
    let roles = match requirement {
        Requirement::Member if principal.is_anonymous() => {
            return Err(Error::new(ErrorKind::Unauthenticated, "not authenticated"));
        }
        Requirement::Public | Requirement::Member => {
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

/// The resources on which a principal holds these roles; `None` if it holds none of them.
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
