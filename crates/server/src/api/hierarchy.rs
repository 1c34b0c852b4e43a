//! The tree of folders: the ancestors of a cluster or a folder, the target of a call, and whether the caller
//! can add something to a folder.

use crate::{
    api::call::Call,
    context::Context,
    documents::{self, Stored},
};
use ootheca_api::{
    decode,
    operations::{Op, Operation, Scope},
    router::Params,
    versions::Version,
    wire::UpdateClusterRequest,
};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Folder, FolderId, OrganizationId, Principal, Resource, Result,
    Role,
    folder::{self, Tree},
    identity::{Requirement, Target},
};
use ootheca_store::{Kind, Mutation, Query};
use std::{collections::BTreeSet, str::FromStr};
use uuid::Uuid;

/// The roles that can move folders and clusters. The caller needs one of them on both parents.
pub const MOVERS: &[Role] = &[Role::FolderAdmin, Role::FolderMover];

/// The target of a call. A malformed ID is treated as unknown.
pub async fn target(
    context: &Context,
    principal: &Principal,
    scope: Scope,
    params: &Params,
) -> Result<Target> {
    Ok(match scope {
        Scope::Cluster(parameter) => {
            let id = ClusterId(named(params, parameter));
            Target::Cluster(id, folders(context, principal, Resource::Cluster(id)).await?)
        }
        Scope::Folder(parameter) => {
            let id = FolderId(named(params, parameter));
            Target::Folder(id, folders(context, principal, Resource::Folder(id)).await?)
        }
        Scope::Folders => Target::Folders,
        Scope::Visible => Target::Visible,
        Scope::Organization | Scope::Session => Target::Organization,
    })
}

/// The target of a call if it, or a folder that it was in, was deleted, so that its `folders` are no longer
/// in the store. `None` if all of them exist.
pub async fn gone_target(
    context: &Context,
    organization: OrganizationId,
    scope: Scope,
    params: &Params,
    folders: Vec<FolderId>,
) -> Result<Option<Target>> {
    let (target, innermost) = match scope {
        Scope::Cluster(parameter) => {
            let id = ClusterId(named(params, parameter));
            let cluster = found::<Cluster>(context, organization, &id.to_string()).await?;
            let Some(cluster) = cluster else { return Ok(None) };
            (Target::Cluster(id, folders), cluster.value.parent)
        }
        Scope::Folder(parameter) => {
            let id = FolderId(named(params, parameter));
            (Target::Folder(id, folders), Some(id))
        }
        Scope::Folders | Scope::Visible | Scope::Organization | Scope::Session => return Ok(None),
    };
    let Some(outermost) = ancestors(context, organization, innermost).await?.pop() else { return Ok(None) };
    let whole = found::<Folder>(context, organization, &outermost.to_string()).await?.is_some();
    Ok((!whole).then_some(target))
}

fn named(params: &Params, parameter: &str) -> Uuid {
    params.get(parameter).and_then(|text| Uuid::from_str(text).ok()).unwrap_or(Uuid::nil())
}

/// The requirement of a call. For a change that only moves a cluster, a role that can move folders is
/// sufficient; the handler checks both parents.
pub fn requirement(operation: &Operation, version: Version, body: &[u8]) -> Requirement {
    const CHANGERS_AND_MOVERS: &[Role] =
        &[Role::ClusterAdmin, Role::ClusterOperatorWriter, Role::FolderAdmin, Role::FolderMover];
    if operation.op != Op::UpdateCluster {
        return operation.requirement;
    }
    let Ok(request) = decode::body::<UpdateClusterRequest>(version, operation.op, body) else {
        return operation.requirement;
    };
    let only = UpdateClusterRequest { parent_id: request.parent_id.clone(), ..Default::default() };
    if request.parent_id.is_some() && request == only {
        Requirement::Roles(CHANGERS_AND_MOVERS)
    } else {
        operation.requirement
    }
}

/// The ancestors of `resource`, innermost first, if they matter to `principal`: without any role on a folder,
/// they do not affect authorization.
pub async fn folders(context: &Context, principal: &Principal, resource: Resource) -> Result<Vec<FolderId>> {
    last_folders(context, principal, resource, None).await
}

/// The same, also for a deleted folder, which was in `last`.
pub async fn last_folders(
    context: &Context,
    principal: &Principal,
    resource: Resource,
    last: Option<FolderId>,
) -> Result<Vec<FolderId>> {
    if !principal.grants.iter().any(|grant| matches!(grant.resource, Resource::Folder(_))) {
        return Ok(Vec::new());
    }
    let organization = principal.organization;
    let parent = match resource {
        Resource::Organization => None,
        Resource::Folder(id) => {
            let folder = found::<Folder>(context, organization, &id.to_string()).await?;
            folder.map_or(last, |folder| folder.value.parent)
        }
        Resource::Cluster(id) => found::<Cluster>(context, organization, &id.to_string())
            .await?
            .and_then(|cluster| cluster.value.parent),
    };
    ancestors(context, organization, parent).await
}

/// `from` and its ancestors, innermost first.
pub async fn ancestors(
    context: &Context,
    organization: OrganizationId,
    from: Option<FolderId>,
) -> Result<Vec<FolderId>> {
    let mut line = Vec::new();
    let mut next = from;
    while let Some(id) = next.filter(|_| line.len() < folder::LIMIT) {
        line.push(id);
        next = found::<Folder>(context, organization, &id.to_string())
            .await?
            .and_then(|folder| folder.value.parent);
    }
    Ok(line)
}

async fn found<T: documents::Document + Sync + 'static>(
    context: &Context,
    organization: OrganizationId,
    id: &str,
) -> Result<Option<std::sync::Arc<Stored<T>>>> {
    Ok(context.find::<T>(id).await?.filter(|found| found.row.organization == organization))
}

/// All folders of an organization.
pub async fn tree(context: &Context, organization: OrganizationId) -> Result<Tree> {
    let query = Query { organization: Some(organization), ..Query::all(Kind::Folder) };
    let folders = context.store.list(&query).await?.into_iter();
    let folders: Result<Vec<Folder>> = folders.map(|row| Ok(documents::decode(row)?.value)).collect();
    Ok(Tree::new(folders?))
}

/// The IDs of `folders` and of all folders in them.
pub async fn subtrees(call: &Call, folders: &BTreeSet<FolderId>) -> Result<Vec<String>> {
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    let tree = tree(&call.context, call.granted.organization()).await?;
    let within =
        |folder: &&Folder| tree.ancestor_ids_from(Some(folder.id)).iter().any(|id| folders.contains(id));
    Ok(tree.iter().filter(within).map(|folder| folder.id.to_string()).collect())
}

/// Checks that the caller has one of `roles` on the parent. Returns a change that prevents the folder from
/// being deleted at the same time.
pub async fn authorize_parent(
    call: &Call,
    parent: Option<FolderId>,
    roles: &[Role],
) -> Result<Option<Mutation>> {
    let principal = call.granted.principal();
    let Some(id) = parent else {
        let allowed = principal.holds(roles, Resource::Organization, &[]);
        return if allowed { Ok(None) } else { Err(denied()) };
    };
    let found: Option<Stored<Folder>> = documents::find(&*call.context.store, &id.to_string()).await?;
    let found = found.filter(|found| found.row.organization == principal.organization);
    let found = found.ok_or_else(folder::no_parent)?;
    let above = ancestors(&call.context, principal.organization, found.value.parent).await?;
    if principal.holds(roles, Resource::Folder(id), &above) {
        return Ok(Some(documents::touch(&found.row)));
    }
    Err(if principal.knows(Resource::Folder(id), &above) { denied() } else { folder::no_parent() })
}

/// Checks that the caller can move something from one parent to another. It needs a role on both.
pub async fn authorize_move(
    call: &Call,
    from: Option<FolderId>,
    to: Option<FolderId>,
) -> Result<Option<Mutation>> {
    let guard = authorize_parent(call, to, MOVERS).await?;
    if holds_in(call, MOVERS, from).await? { Ok(guard) } else { Err(denied()) }
}

/// Whether the caller has one of `roles` on `parent`, or on the organization if there is no parent.
pub async fn holds_in(call: &Call, roles: &[Role], parent: Option<FolderId>) -> Result<bool> {
    let principal = call.granted.principal();
    let line = ancestors(&call.context, principal.organization, parent).await?;
    Ok(principal.holds(roles, parent.map_or(Resource::Organization, Resource::Folder), &line))
}

/// The error for an authenticated caller that is not authorized.
pub fn denied() -> Error {
    Error::new(ErrorKind::Denied, "no permission")
}

/// The error for a resource that does not exist, or that the caller has no access to.
pub fn unknown(resource: Resource) -> Error {
    Error::not_found(match resource {
        Resource::Organization => "organization",
        Resource::Folder(_) => "folder",
        Resource::Cluster(_) => "cluster",
    })
}
