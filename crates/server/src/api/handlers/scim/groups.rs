//! SCIM groups and their members.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::Decision,
        handlers::scim::{
            Page, answer, check_schema, patched,
            people::{self, People},
            shown, text,
        },
    },
    documents::{self, Stored},
    ids::fresh_id,
};
use ootheca_api::{scim, wire::*};
use ootheca_model::{Error, Person, PrincipalId, Result, Timestamp, group::Group, identity::normal_grants};
use ootheca_store::{Batch, Mutation};
use std::{collections::BTreeSet, sync::Arc};

/// `GET /Groups`
pub async fn get_groups(call: Arc<Call>, query: ScimListQuery) -> Result<GetGroupsResponse> {
    let all = people::all(&call).await?.shown_groups();
    Ok(answer!(Page::read(&query, all)?, GetGroupsResponse))
}

/// `POST /Groups/.search`
pub async fn search_groups(call: Arc<Call>, body: GetGroupsRequest) -> Result<GetGroupsResponse> {
    get_groups(call, body.into()).await
}

/// `PUT /Groups/.search`
pub async fn get_groups2(call: Arc<Call>, body: GetGroupsRequest) -> Result<GetGroupsResponse> {
    search_groups(call, body).await
}

/// `GET /Groups/{id}`
pub async fn get_group(call: Arc<Call>, path: IdPath, query: ScimShowQuery) -> Result<ScimGroup> {
    let found = existing(&call, &path.id).await?;
    shown(show(&people::all(&call).await?, &found), &query)
}

/// `POST /Groups/{id}/.search`
pub async fn search_group(call: Arc<Call>, path: IdPath, body: SearchGroupBody) -> Result<ScimGroup> {
    get_group(call, path, body.into()).await
}

/// `PUT /Groups/{id}/.search`
pub async fn get_group2(call: Arc<Call>, path: IdPath, body: GetGroup2Body) -> Result<ScimGroup> {
    get_group(call, path, body.into()).await
}

/// `POST /Groups`
pub async fn create_group(call: Arc<Call>, body: CreateGroupRequest) -> Result<Decision<ScimGroup>> {
    check_schema(body.schemas.as_deref(), scim::GROUP)?;
    let now = call.context.now();
    let group = Group {
        organization: call.granted.organization(),
        id: PrincipalId(fresh_id()),
        name: required("displayName", text("displayName", body.display_name)?)?,
        external_id: text("externalId", body.external_id)?,
        created_at: now,
        updated_at: now,
        grants: normal_grants([]),
    };
    let people = people::all(&call).await?;
    let members = Members::read(&people, body.members)?;
    let mut batch = Batch::by(&call.granted).with(documents::insert(&group)?);
    batch.mutations.extend(members.changes(&people, group.id, now)?);
    Ok(Decision::now(batch, people::group(&group, members.shown(&people), 1)))
}

/// `PUT /Groups/{id}`. A request without `members` removes all members; the roles of the group are kept.
pub async fn update_group(
    call: Arc<Call>,
    path: IdPath,
    body: UpdateGroupBody,
) -> Result<Decision<ScimGroup>> {
    check_schema(body.schemas.as_deref(), scim::GROUP)?;
    let before = existing(&call, &path.id).await?;
    let people = people::all(&call).await?;
    replace(&call, before, &people, body.into())
}

/// `PATCH /Groups/{id}`
pub async fn patch_group(call: Arc<Call>, path: IdPath, body: PatchGroupBody) -> Result<Decision<ScimGroup>> {
    let before = existing(&call, &path.id).await?;
    let people = people::all(&call).await?;
    let after = patched(show(&people, &before), body.schemas.as_deref(), body.operations)?;
    replace(&call, before, &people, after)
}

/// `DELETE /Groups/{id}`. The members lose its roles immediately.
pub async fn delete_group(call: Arc<Call>, path: IdPath) -> Result<Decision<ScimDeleted>> {
    let before = existing(&call, &path.id).await?;
    let people = people::all(&call).await?;
    let mut batch = Batch::by(&call.granted).with(documents::delete(&before.row));
    let none = Members(BTreeSet::new());
    batch.mutations.extend(none.changes(&people, before.value.id, call.context.now())?);
    Ok(Decision::now(batch, ScimDeleted {}))
}

/// Read before the people, so that the change is stale if a person is added to the group at the same time.
async fn existing(call: &Call, id: &str) -> Result<Stored<Group>> {
    let id: PrincipalId = id.parse().map_err(|_| Error::not_found("group"))?;
    documents::get(&*call.context.store, call.granted.organization(), &id.to_string()).await
}

fn show(people: &People, found: &Stored<Group>) -> ScimGroup {
    let members = people.members(found.value.id).map(|person| people::member(&person.value)).collect();
    people::group(&found.value, members, found.row.revision)
}

fn replace(
    call: &Call,
    before: Stored<Group>,
    people: &People,
    request: CreateGroupRequest,
) -> Result<Decision<ScimGroup>> {
    let now = call.context.now();
    let after = Group {
        name: required("displayName", text("displayName", request.display_name)?)?,
        external_id: text("externalId", request.external_id)?,
        updated_at: now,
        ..before.value
    };
    let members = Members::read(people, request.members)?;
    let mut batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    batch.mutations.extend(members.changes(people, after.id, now)?);
    let reply = people::group(&after, members.shown(people), before.row.revision + 1);
    Ok(Decision::now(batch, reply))
}

/// The new members of a group.
struct Members(BTreeSet<PrincipalId>);

impl Members {
    /// Parses the members. Each of them must be a user of the organization.
    fn read(people: &People, named: Option<Vec<ScimResource>>) -> Result<Self> {
        let known: BTreeSet<PrincipalId> = people.persons.iter().map(|found| found.value.id).collect();
        let mut members = BTreeSet::new();
        for named in named.unwrap_or_default() {
            let id = required("members.value", named.value)?;
            let found = id.parse::<PrincipalId>().ok().filter(|id| known.contains(id));
            let rule = || format!("{id:?} is not the ID of a user; nested groups are not supported");
            members.insert(found.ok_or_else(|| Error::invalid("members.value", rule()))?);
        }
        Ok(Self(members))
    }

    /// The changes to people whose membership of `group` changes.
    fn changes(&self, people: &People, group: PrincipalId, now: Timestamp) -> Result<Vec<Mutation>> {
        let changed = people
            .persons
            .iter()
            .filter(|found| found.value.profile.groups.contains(&group) != self.0.contains(&found.value.id));
        let changes = changed.map(|found| {
            let mut person = found.value.clone();
            toggle(&mut person, group);
            person.profile.updated_at = Some(now);
            documents::update(&found.row, &person)
        });
        changes.collect()
    }

    fn shown(&self, people: &People) -> Vec<ScimResource> {
        let members = people.persons.iter().filter(|found| self.0.contains(&found.value.id));
        members.map(|found| people::member(&found.value)).collect()
    }
}

/// Adds a person to a group, or removes the person.
fn toggle(person: &mut Person, group: PrincipalId) {
    let groups = &mut person.profile.groups;
    match groups.binary_search(&group) {
        Ok(place) => {
            groups.remove(place);
        }
        Err(place) => groups.insert(place, group),
    }
}
