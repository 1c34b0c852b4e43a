//! Groups of people, and what their members hold through them.

use crate::{Grant, OrganizationId, PrincipalId, Timestamp, identity::normal_grants};
use serde::{Deserialize, Serialize};

/// A group that an identity provider keeps. Its members are the persons that name it in their
/// [`Profile`](crate::profile::Profile); each of them holds its grants as well as its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The organization.
    pub organization: OrganizationId,
    /// Id; roles are granted to it as to a principal.
    pub id: PrincipalId,
    /// Name; need not be unique.
    pub name: String,
    /// The provider's own name for it.
    pub external_id: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it or its membership was last changed.
    pub updated_at: Timestamp,
    /// Grants, sorted, always holding ORG_MEMBER.
    pub grants: Vec<Grant>,
}

/// All that somebody holds: what is granted directly, and what each group gives.
pub fn effective_grants<'a>(direct: &[Grant], groups: impl IntoIterator<Item = &'a Group>) -> Vec<Grant> {
    let given = groups.into_iter().flat_map(|group| group.grants.iter().copied());
    normal_grants(direct.iter().copied().chain(given))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterId, Resource, Role};
    use uuid::Uuid;

    fn group(grants: &[Grant]) -> Group {
        Group {
            organization: OrganizationId(Uuid::nil()),
            id: PrincipalId(Uuid::nil()),
            name: "group".to_owned(),
            external_id: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            grants: normal_grants(grants.iter().copied()),
        }
    }

    #[test]
    fn members_hold_what_their_groups_hold() {
        let cluster = Resource::Cluster(ClusterId(Uuid::from_u128(1)));
        let own = Grant::organization(Role::BillingViewer);
        let developer = Grant { role: Role::ClusterDeveloper, resource: cluster };
        let admin = Grant::organization(Role::OrgAdmin);
        let groups = [group(&[developer, own]), group(&[admin])];
        let all = effective_grants(&[own], &groups);
        assert_eq!(all, normal_grants([own, developer, admin]));
        assert_eq!(effective_grants(&[own], &[]), normal_grants([own]));
    }
}
