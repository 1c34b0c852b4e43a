//! Groups of users, and the grants that their members get.

use crate::{Grant, OrganizationId, PrincipalId, Timestamp, identity::normal_grants};
use serde::{Deserialize, Serialize};

/// A group that an identity provider manages. Its members are the users that list it in their
/// [`Profile`](crate::profile::Profile). Each member holds the group's grants in addition to its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub organization: OrganizationId,
    /// The ID. Roles are granted to it like to any other principal.
    pub id: PrincipalId,
    /// The name, which need not be unique.
    pub name: String,
    /// The provider's ID of the group.
    pub external_id: Option<String>,
    pub created_at: Timestamp,
    /// The time when the group or its membership last changed.
    pub updated_at: Timestamp,
    /// The grants, sorted, which always include ORG_MEMBER.
    pub grants: Vec<Grant>,
}

/// The effective grants: those granted directly, and those of each group.
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
    fn members_inherit_the_grants_of_their_groups() {
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
