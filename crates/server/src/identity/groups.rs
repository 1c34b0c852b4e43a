//! The grants that people hold through their groups. A person names its groups and a group holds its grants, so a
//! change of either takes effect at once.

use crate::context::Context;
use ootheca_model::{
    Grant, Person, Result, Role,
    group::{Group, effective_grants},
};
use std::collections::BTreeMap;

/// The groups of a person, by name. A group that is gone gives nothing.
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

/// All that a person holds: its own grants and those of its groups.
pub async fn grants_of(context: &Context, person: &Person) -> Result<Vec<Grant>> {
    Ok(effective_grants(&person.grants, &groups_of(context, person).await?))
}

/// Each grant that groups give, with the names of the groups that give it. ORG_MEMBER is no gift.
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
