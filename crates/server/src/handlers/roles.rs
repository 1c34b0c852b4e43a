//! Role grants of service accounts, people and groups.

use super::{paging, required};
use crate::{
    app::App,
    call::Call,
    change::Change,
    groups, places, render,
    rows::{self, Stored},
};
use ootheca_api::wire::*;
use ootheca_model::{
    ClusterId, Error, Folder, FolderId, Grant, OrganizationId, Person, PrincipalId, Resource as Held, Result,
    Role, ServiceAccount, cluster::ResourceType, group::Group, identity::normal_grants, role::may_grant,
};
use ootheca_store::{Batch, Change as RowChange, Kind, Query, Row};
use std::{collections::BTreeSet, sync::Arc};

/// `GET /roles`: every principal and what it holds, service accounts first, then people, each by id.
pub async fn list_role_grants(
    call: Arc<Call>,
    _path: NoPath,
    query: PageQuery,
    _body: NoBody,
) -> Result<ListRoleGrantsResponse> {
    let mut holders = self::holders(&call.app, call.granted.organization()).await?;
    holders.sort_by_key(|holder| holder.row().id.clone());
    let (holders, pagination) = paging::slice(&call, &query, holders, |holder| holder.row().id.clone())?;
    let grants = holders.iter().map(|holder| UserRoleGrants {
        user_id: holder.row().id.clone(),
        roles: holder.grants().iter().map(render::grant).collect(),
    });
    let grants = grants.collect();
    let mut user_group_grants = Vec::new();
    for holder in &holders {
        let group_roles = group_roles(&call, holder).await?;
        if !group_roles.is_empty() {
            user_group_grants.push(UserGroupRoleGrant { user_id: holder.row().id.clone(), group_roles });
        }
    }
    Ok(ListRoleGrantsResponse { grants, user_group_grants, pagination })
}

/// `GET /roles/{user_id}`. An unknown principal holds nothing: the official clients ask after a deletion.
pub async fn get_all_roles_for_user(
    call: Arc<Call>,
    path: UserPath,
    _query: NoQuery,
    _body: NoBody,
) -> Result<GetAllRolesForUserResponse> {
    let holder = holder(&call, &path.user_id).await?;
    match holder {
        None => Ok(show(&[], Vec::new())),
        Some(holder) => Ok(show(holder.grants(), group_roles(&call, &holder).await?)),
    }
}

/// `PUT /roles/{user_id}`: exactly these, and ORG_MEMBER.
pub async fn set_roles_for_user(
    call: Arc<Call>,
    path: UserPath,
    _query: NoQuery,
    body: SetRolesForUserRequest,
) -> Result<Change<GetAllRolesForUserResponse>> {
    let wanted = grants(&call, body.roles.unwrap_or_default()).await?;
    replace(&call, &path.user_id, |_| normal_grants(wanted.clone())).await
}

/// `POST /roles/{user_id}/{resource_type}/{resource_id}/{role_name}`. Granting twice is no error.
pub async fn add_user_to_role(
    call: Arc<Call>,
    path: RolePath,
    _query: NoQuery,
    _body: NoBody,
) -> Result<Change<GetAllRolesForUserResponse>> {
    let wanted = path_grant(&call, &path).await?;
    replace(&call, &path.user_id, |held| normal_grants(held.iter().copied().chain([wanted]))).await
}

/// `DELETE /roles/{user_id}/{resource_type}/{resource_id}/{role_name}`. Taking what is not held is no error.
pub async fn remove_user_from_role(
    call: Arc<Call>,
    path: RolePath,
    _query: NoQuery,
    _body: NoBody,
) -> Result<Change<GetAllRolesForUserResponse>> {
    let unwanted = path_grant(&call, &path).await?;
    if unwanted == Grant::organization(Role::OrgMember) {
        return Err(Error::invalid("role_name", "ORG_MEMBER is held by every member and can not be taken"));
    }
    replace(&call, &path.user_id, |held| {
        normal_grants(held.iter().copied().filter(|grant| *grant != unwanted))
    })
    .await
}

/// `GET /users/persons-by-email`
pub async fn get_person_users_by_email(
    call: Arc<Call>,
    _path: NoPath,
    query: PersonQuery,
    _body: NoBody,
) -> Result<GetPersonUsersByEmailResponse> {
    let email = required("email", query.email)?.to_lowercase();
    let key = format!("{}/{email}", call.granted.organization());
    let row = call.app.store.by_unique_key(Kind::Person, &key).await?;
    let person = rows::decode::<Person>(row.ok_or_else(|| Error::not_found("user"))?)?.value;
    Ok(GetPersonUsersByEmailResponse {
        user: PersonUserInfo { id: person.id.to_string(), email: person.email },
    })
}

/// What a request's roles mean; the clusters named must exist.
pub async fn grants(call: &Call, roles: Vec<BuiltInRoleRequest>) -> Result<Vec<Grant>> {
    let mut grants = Vec::with_capacity(roles.len());
    for role in roles {
        let resource = required("roles.resource", role.resource)?;
        let kind = required("roles.resource.type", resource.r#type)?;
        let resource =
            self::resource(call, "roles.resource.id", kind, resource.id.as_deref().unwrap_or("")).await?;
        grants.push(Grant::new(required("roles.name", role.name)?, resource)?);
    }
    Ok(grants)
}

/// Refuses unless the caller may handle every one of `grants` (ORG_MEMBER is free): 404 where it may not
/// know what the grant is on, 403 otherwise.
pub async fn check_grantor(call: &Call, grants: &[Grant]) -> Result<()> {
    let principal = call.granted.principal();
    for grant in grants.iter().filter(|grant| **grant != Grant::organization(Role::OrgMember)) {
        let folders = places::folders(&call.app, principal, grant.resource).await?;
        if !may_grant(&principal.grants, *grant, &folders) {
            let known = principal.knows(grant.resource, &folders);
            return Err(if known { places::denied() } else { places::unknown(grant.resource) });
        }
    }
    Ok(())
}

/// Refuses to leave the organization without an active principal that itself holds both ORG_ADMIN and
/// CLUSTER_ADMIN. Returns guards against two such changes at the same moment.
pub async fn keep_an_admin(
    app: &App,
    organization: OrganizationId,
    before: &[Grant],
    after: &[Grant],
    who: PrincipalId,
) -> Result<Vec<RowChange>> {
    let keeps = |grants: &[Grant]| {
        [Role::OrgAdmin, Role::ClusterAdmin].iter().all(|role| grants.contains(&Grant::organization(*role)))
    };
    if !keeps(before) || keeps(after) {
        return Ok(Vec::new());
    }
    let holders = holders(app, organization).await?.into_iter();
    let mut others = holders.filter(|other| other.id() != who && other.active());
    if let Some(other) = others.find(|other| keeps(other.grants())) {
        return Ok(vec![rows::touch(other.row())]);
    }
    let message = "roles: at least one user or service account must hold both ORG_ADMIN and CLUSTER_ADMIN";
    Err(Error::precondition(message))
}

/// The change that gives `who` one more grant.
pub async fn also_holds(call: &Call, who: PrincipalId, grant: Grant) -> Result<RowChange> {
    let holder = holder(call, &who.to_string()).await?.ok_or_else(|| Error::not_found("user"))?;
    holder.with_grants(normal_grants(holder.grants().iter().copied().chain([grant])))
}

/// Every principal of the organization.
async fn holders(app: &App, organization: OrganizationId) -> Result<Vec<Holder>> {
    let organization = Some(organization);
    let mut holders = Vec::new();
    for row in app.store.list(&Query { organization, ..Query::all(Kind::ServiceAccount) }).await? {
        holders.push(Holder::Account(rows::decode(row)?));
    }
    for row in app.store.list(&Query { organization, ..Query::all(Kind::Person) }).await? {
        holders.push(Holder::Person(rows::decode(row)?));
    }
    Ok(holders)
}

async fn replace(
    call: &Call,
    user_id: &str,
    change: impl FnOnce(&[Grant]) -> Vec<Grant>,
) -> Result<Change<GetAllRolesForUserResponse>> {
    let holder = holder(call, user_id).await?.ok_or_else(|| Error::not_found("user"))?;
    let (before, after) = (holder.grants().to_vec(), change(holder.grants()));
    let (old, new): (BTreeSet<Grant>, BTreeSet<Grant>) =
        (before.iter().copied().collect(), after.iter().copied().collect());
    let changed: Vec<Grant> = old.symmetric_difference(&new).copied().collect();
    check_grantor(call, &changed).await?;
    let reply = show(&after, group_roles(call, &holder).await?);
    let mut batch = Batch::by(&call.granted);
    if !changed.is_empty() {
        batch.changes.push(holder.with_grants(after.clone())?);
        let organization = call.granted.organization();
        let guards = keep_an_admin(&call.app, organization, &before, &after, holder.id()).await?;
        batch.changes.extend(guards);
    }
    Ok(Change::now(batch, reply))
}

async fn path_grant(call: &Call, path: &RolePath) -> Result<Grant> {
    let kind: ResourceType = path.resource_type.parse()?;
    let resource = resource(call, "resource_id", kind, &path.resource_id).await?;
    Grant::new(path.role_name.parse().map_err(|error: Error| error.context("role_name"))?, resource)
}

async fn resource(call: &Call, field: &str, kind: ResourceType, id: &str) -> Result<Held> {
    let organization = call.granted.organization();
    match kind {
        ResourceType::Organization if id.is_empty() || id == organization.to_string() => {
            Ok(Held::Organization)
        }
        ResourceType::Organization => Err(Error::invalid(field, "must be empty or the organization's id")),
        ResourceType::Folder => {
            let id: FolderId = id.parse().map_err(|_| Error::invalid(field, "must be a folder id"))?;
            rows::get::<Folder>(&*call.app.store, organization, &id.to_string()).await?;
            Ok(Held::Folder(id))
        }
        ResourceType::Cluster => {
            let id: ClusterId = id.parse().map_err(|_| Error::invalid(field, "must be a cluster id"))?;
            rows::active_cluster(&*call.app.store, organization, Some(id)).await?;
            Ok(Held::Cluster(id))
        }
    }
}

fn show(grants: &[Grant], group_roles: Vec<BuiltInFromGroups>) -> GetAllRolesForUserResponse {
    GetAllRolesForUserResponse { roles: grants.iter().map(render::grant).collect(), group_roles }
}

/// What somebody holds through groups; only people are in any.
async fn group_roles(call: &Call, holder: &Holder) -> Result<Vec<BuiltInFromGroups>> {
    let Holder::Person(person) = holder else { return Ok(Vec::new()) };
    let given = groups::given(&groups::groups_of(&call.app, &person.value).await?);
    let shown = given.into_iter();
    Ok(shown
        .map(|(grant, group_names)| BuiltInFromGroups { role: render::grant(&grant), group_names })
        .collect())
}

/// A principal as it is kept.
enum Holder {
    Account(Stored<ServiceAccount>),
    Person(Stored<Person>),
    Group(Stored<Group>),
}

impl Holder {
    fn row(&self) -> &Row {
        match self {
            Holder::Account(found) => &found.row,
            Holder::Person(found) => &found.row,
            Holder::Group(found) => &found.row,
        }
    }

    fn id(&self) -> PrincipalId {
        match self {
            Holder::Account(found) => found.value.id,
            Holder::Person(found) => found.value.id,
            Holder::Group(found) => found.value.id,
        }
    }

    /// Who is not active can do nothing.
    fn active(&self) -> bool {
        !matches!(self, Holder::Person(found) if !found.value.profile.active)
    }

    fn grants(&self) -> &[Grant] {
        match self {
            Holder::Account(found) => &found.value.grants,
            Holder::Person(found) => &found.value.grants,
            Holder::Group(found) => &found.value.grants,
        }
    }

    fn with_grants(&self, grants: Vec<Grant>) -> Result<RowChange> {
        match self {
            Holder::Account(found) => {
                rows::update(&found.row, &ServiceAccount { grants, ..found.value.clone() })
            }
            Holder::Person(found) => rows::update(&found.row, &Person { grants, ..found.value.clone() }),
            Holder::Group(found) => rows::update(&found.row, &Group { grants, ..found.value.clone() }),
        }
    }
}

async fn holder(call: &Call, user_id: &str) -> Result<Option<Holder>> {
    let Ok(id) = user_id.parse::<PrincipalId>() else { return Ok(None) };
    let (store, organization) = (&*call.app.store, call.granted.organization());
    if let Some(found) = rows::find::<ServiceAccount>(store, &id.to_string()).await? {
        return Ok((found.row.organization == organization).then_some(Holder::Account(found)));
    }
    if let Some(found) = rows::find::<Person>(store, &id.to_string()).await? {
        return Ok((found.row.organization == organization).then_some(Holder::Person(found)));
    }
    let group = rows::find::<Group>(store, &id.to_string()).await?;
    Ok(group.filter(|found| found.row.organization == organization).map(Holder::Group))
}
