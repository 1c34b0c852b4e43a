//! Roles of service accounts, people, and groups.

use crate::{
    api::{
        call::Call,
        convert::{self, required},
        decision::Decision,
        handlers::paging,
        hierarchy,
    },
    documents::{self},
    identity::{
        administrators::keep_an_admin,
        groups,
        holders::{self, Holder},
    },
};
use ootheca_api::wire::*;
use ootheca_model::{
    Error, Folder, Grant, Person, PrincipalId, Resource as Held, Result, Role,
    cluster::ResourceType,
    identity::{GRANTORS, normal_grants},
    role::may_grant,
};
use ootheca_store::{Batch, Kind, Mutation};
use std::{collections::BTreeMap, sync::Arc};

/// The grant that every member holds.
const MEMBER: Grant = Grant::organization(Role::OrgMember);

/// `GET /roles`: every principal and its roles; first service accounts, then people, each ordered by ID.
pub async fn list_role_grants(call: Arc<Call>, query: PageQuery) -> Result<ListRoleGrantsResponse> {
    let mut holders = holders::all(&call.context, call.granted.organization()).await?;
    holders.sort_by_key(|holder| holder.row().id.clone());
    let (holders, pagination) = paging::slice(&call, &query, holders, |holder| holder.row().id.clone())?;
    let grants = holders.iter().map(|holder| UserRoleGrants {
        user_id: holder.row().id.clone(),
        roles: holder.grants().iter().map(convert::grant).collect(),
    });
    let grants = grants.collect();
    let mut user_group_grants = Vec::new();
    for holder in &holders {
        let given = given(&call, holder).await?.into_iter();
        let group_roles: Vec<BuiltInFromGroups> = given
            .map(|(grant, group_names)| BuiltInFromGroups { role: convert::grant(&grant), group_names })
            .collect();
        if !group_roles.is_empty() {
            user_group_grants.push(UserGroupRoleGrant { user_id: holder.row().id.clone(), group_roles });
        }
    }
    Ok(ListRoleGrantsResponse { grants, user_group_grants, pagination })
}

/// `GET /roles/{user_id}`. An unknown principal has no roles, because the official clients read roles after a
/// deletion.
pub async fn get_all_roles_for_user(call: Arc<Call>, path: UserPath) -> Result<GetAllRolesForUserResponse> {
    match holders::find(&*call.context.store, call.granted.organization(), &path.user_id).await? {
        None => Ok(GetAllRolesForUserResponse { roles: Vec::new(), group_roles: Vec::new() }),
        Some(holder) => show(&call, &holder, holder.grants()).await,
    }
}

/// `PUT /roles/{user_id}`: sets exactly these roles and ORG_MEMBER.
pub async fn set_roles_for_user(
    call: Arc<Call>,
    path: UserPath,
    body: SetRolesForUserRequest,
) -> Result<Decision<GetAllRolesForUserResponse>> {
    let wanted = grants(&call, body.roles.unwrap_or_default())?;
    let holder = existing(&call, &path.user_id).await?;
    check_known(&call, &wanted).await?;
    replace(&call, &holder, normal_grants(wanted)).await
}

/// `POST /roles/{user_id}/{resource_type}/{resource_id}/{role_name}`. Granting a role twice is not an error.
pub async fn add_user_to_role(
    call: Arc<Call>,
    path: RolePath,
) -> Result<Decision<GetAllRolesForUserResponse>> {
    let wanted = path_grant(&call, &path)?;
    let holder = existing(&call, &path.user_id).await?;
    check_named(&call, wanted).await?;
    let after = normal_grants(holder.grants().iter().copied().chain([wanted]));
    replace(&call, &holder, after).await
}

/// `DELETE /roles/{user_id}/{resource_type}/{resource_id}/{role_name}`. Revoking a role that is not granted
/// is not an error.
pub async fn remove_user_from_role(
    call: Arc<Call>,
    path: RolePath,
) -> Result<Decision<GetAllRolesForUserResponse>> {
    let unwanted = path_grant(&call, &path)?;
    if unwanted == MEMBER {
        return Err(Error::invalid("role_name", "every member holds ORG_MEMBER, which cannot be revoked"));
    }
    let holder = existing(&call, &path.user_id).await?;
    check_named(&call, unwanted).await?;
    let after = normal_grants(holder.grants().iter().copied().filter(|grant| *grant != unwanted));
    replace(&call, &holder, after).await
}

/// `GET /users/persons-by-email`
pub async fn get_person_users_by_email(
    call: Arc<Call>,
    query: PersonQuery,
) -> Result<GetPersonUsersByEmailResponse> {
    let email = required("email", query.email)?.to_lowercase();
    let key = format!("{}/{email}", call.granted.organization());
    let row = call.context.store.by_unique_key(Kind::Person, &key).await?;
    let person = documents::decode::<Person>(row.ok_or_else(|| Error::not_found("user"))?)?.value;
    Ok(GetPersonUsersByEmailResponse {
        user: PersonUserInfo { id: person.id.to_string(), email: person.email },
    })
}

/// Converts the roles in a request. Their resources do not have to exist.
pub fn grants(call: &Call, roles: Vec<BuiltInRoleRequest>) -> Result<Vec<Grant>> {
    let mut grants = Vec::with_capacity(roles.len());
    for role in roles {
        let resource = required("roles.resource", role.resource)?;
        let kind = required("roles.resource.type", resource.r#type)?;
        let id = resource.id.unwrap_or_default();
        let resource = self::resource(call, "roles.resource.id", kind, &id)?;
        grants.push(Grant::new(required("roles.name", role.name)?, resource)?);
    }
    Ok(grants)
}

/// Requires that the caller can manage every one of `grants`, except ORG_MEMBER. Returns 404 if the caller
/// has no access to the resource of a grant, otherwise 403.
pub async fn check_grantor(call: &Call, grants: &[Grant]) -> Result<()> {
    check_known(call, grants).await?;
    check_handled(call, grants).await
}

/// Requires that the resources of all `grants` exist. Grants can outlive their resources, so this is only
/// called for new grants.
pub async fn check_existing(call: &Call, grants: &[Grant]) -> Result<()> {
    let (store, organization) = (&*call.context.store, call.granted.organization());
    for grant in grants {
        match grant.resource {
            Held::Organization => {}
            Held::Folder(id) => drop(documents::get::<Folder>(store, organization, &id.to_string()).await?),
            Held::Cluster(id) => drop(documents::undeleted_cluster(store, organization, Some(id)).await?),
        }
    }
    Ok(())
}

/// Returns the same error for resources that the caller has no access to and for those that do not exist.
async fn check_known(call: &Call, grants: &[Grant]) -> Result<()> {
    let principal = call.granted.principal();
    for grant in grants {
        let folders = hierarchy::folders(&call.context, principal, grant.resource).await?;
        if !principal.knows(grant.resource, &folders) {
            return Err(hierarchy::unknown(grant.resource));
        }
    }
    Ok(())
}

/// Returns 403 unless the caller can grant and revoke every one of `grants`.
async fn check_handled(call: &Call, grants: &[Grant]) -> Result<()> {
    let principal = call.granted.principal();
    for grant in grants.iter().filter(|grant| **grant != MEMBER) {
        let folders = hierarchy::folders(&call.context, principal, grant.resource).await?;
        if !may_grant(&principal.grants, *grant, &folders) {
            return Err(hierarchy::denied());
        }
    }
    Ok(())
}

/// The same as [`check_grantor`] for the single grant in the path of a request, even if the request changes
/// nothing. Granting ORG_MEMBER has no effect, so it only requires access to read roles.
async fn check_named(call: &Call, grant: Grant) -> Result<()> {
    if grant == MEMBER && !administers(call, grant.resource).await? {
        return Err(hierarchy::denied());
    }
    check_grantor(call, &[grant]).await
}

/// Whether the caller can manage roles on `resource`.
async fn administers(call: &Call, resource: Held) -> Result<bool> {
    let principal = call.granted.principal();
    let folders = hierarchy::folders(&call.context, principal, resource).await?;
    Ok(principal.holds(&GRANTORS, resource, &folders))
}

/// The change that adds a grant to `who`.
pub async fn also_holds(call: &Call, who: PrincipalId, grant: Grant) -> Result<Mutation> {
    let holder = existing(call, &who.to_string()).await?;
    holder.with_grants(normal_grants(holder.grants().iter().copied().chain([grant])))
}

async fn replace(
    call: &Call,
    holder: &Holder,
    after: Vec<Grant>,
) -> Result<Decision<GetAllRolesForUserResponse>> {
    let before = holder.grants();
    let added: Vec<Grant> = after.iter().copied().filter(|grant| !before.contains(grant)).collect();
    let taken: Vec<Grant> = before.iter().copied().filter(|grant| !after.contains(grant)).collect();
    check_handled(call, &added).await?;
    check_handled(call, &taken).await?;
    check_existing(call, &added).await?;
    let reply = show(call, holder, &after).await?;
    let mut batch = Batch::by(&call.granted);
    if !added.is_empty() || !taken.is_empty() {
        let organization = call.granted.organization();
        let guards = keep_an_admin(&call.context, organization, before, &after, holder.id()).await?;
        batch.mutations.push(holder.with_grants(after)?);
        batch.mutations.extend(guards);
    }
    Ok(Decision::now(batch, reply))
}

fn path_grant(call: &Call, path: &RolePath) -> Result<Grant> {
    let kind: ResourceType = path.resource_type.parse()?;
    let resource = resource(call, "resource_id", kind, &path.resource_id)?;
    Grant::new(path.role_name.parse().map_err(|error: Error| error.context("role_name"))?, resource)
}

fn resource(call: &Call, field: &str, kind: ResourceType, id: &str) -> Result<Held> {
    match kind {
        ResourceType::Organization if id.is_empty() || id == call.granted.organization().to_string() => {
            Ok(Held::Organization)
        }
        ResourceType::Organization => {
            Err(Error::invalid(field, "must be empty or the ID of the organization"))
        }
        ResourceType::Folder => {
            let id = id.parse().map_err(|_| Error::invalid(field, "must be the ID of a folder"))?;
            Ok(Held::Folder(id))
        }
        ResourceType::Cluster => {
            let id = id.parse().map_err(|_| Error::invalid(field, "must be the ID of a cluster"))?;
            Ok(Held::Cluster(id))
        }
    }
}

/// Whether the caller can read the roles on `resource`.
async fn sees(call: &Call, resource: Held) -> Result<bool> {
    let audits = call.granted.principal().holds(&[Role::Auditor], Held::Organization, &[]);
    Ok(audits || administers(call, resource).await?)
}

/// The grants of a principal that the caller has access to: the role of every member, and grants on resources
/// where the caller manages roles. An auditor has access to all of them.
async fn show(call: &Call, holder: &Holder, grants: &[Grant]) -> Result<GetAllRolesForUserResponse> {
    let mut shown = GetAllRolesForUserResponse { roles: Vec::new(), group_roles: Vec::new() };
    for grant in grants {
        if *grant == MEMBER || sees(call, grant.resource).await? {
            shown.roles.push(convert::grant(grant));
        }
    }
    for (grant, group_names) in given(call, holder).await? {
        if sees(call, grant.resource).await? {
            shown.group_roles.push(BuiltInFromGroups { role: convert::grant(&grant), group_names });
        }
    }
    Ok(shown)
}

/// The grants of a principal through groups. Only people are members of groups.
async fn given(call: &Call, holder: &Holder) -> Result<BTreeMap<Grant, Vec<String>>> {
    let Holder::Person(person) = holder else { return Ok(BTreeMap::new()) };
    Ok(groups::given(&groups::groups_of(&call.context, &person.value).await?))
}

async fn existing(call: &Call, user_id: &str) -> Result<Holder> {
    holders::find(&*call.context.store, call.granted.organization(), user_id)
        .await?
        .ok_or_else(|| Error::not_found("user"))
}
