//! The roles that people hold through groups. A person contains its groups and a group contains its grants,
//! so a change of either takes effect immediately.

use crate::context::Context;
use ootheca_model::{
    Grant, Person, Result, Role,
    group::{Group, effective_grants},
};
use std::collections::BTreeMap;

/// The groups of a person, ordered by name. A deleted group is ignored.
pub async fn groups_of(context: &Context, person: &Person) -> Result<Vec<Group>> {
    let mut groups = Vec::with_capacity(person.profile.groups.len());
    for id in &person.profile.groups {
        let found = context.find::<Group>(&id.to_string()).await?;
        let found = found.filter(|found| found.row.organization == person.organization);
        groups.extend(found.map(|found| found.value.clone()));
    }
    groups.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    Ok(groups)
}

/// All grants of a person: direct ones and those of its groups.
pub async fn grants_of(context: &Context, person: &Person) -> Result<Vec<Grant>> {
    Ok(effective_grants(&person.grants, &groups_of(context, person).await?))
}

/// Each grant of the groups, with the names of the groups that contain it. ORG_MEMBER is not included.
pub fn given(groups: &[Group]) -> BTreeMap<Grant, Vec<String>> {
    let mut given: BTreeMap<Grant, Vec<String>> = BTreeMap::new();
    let free = Grant::organization(Role::OrgMember);
    for group in groups {
        for grant in group.grants.iter().filter(|grant| **grant != free) {
            given.entry(*grant).or_default().push(group.name.clone());
        }
    }
    given
}
