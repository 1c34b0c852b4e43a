//! The tree of folders: the ancestors of a cluster or a folder, the target of a call, and whether its caller may put
//! something into a folder.

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
use ootheca_store::{Change, Kind, Query};
use std::{collections::BTreeSet, str::FromStr};
use uuid::Uuid;

/// The roles that move folders and clusters, held at both ends.
pub const MOVERS: &[Role] = &[Role::FolderAdmin, Role::FolderMover];

/// What a call acts on. A malformed id is treated as unknown.
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
        Scope::Organization => Target::Organization,
    })
}

/// What a call acted on, where that, or a folder that it lay in, is gone: then the store does not know its
/// `folders` any more. `None` if all of them are there.
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
        Scope::Folders | Scope::Visible | Scope::Organization => return Ok(None),
    };
    let Some(outermost) = ancestors(context, organization, innermost).await?.pop() else { return Ok(None) };
    let whole = found::<Folder>(context, organization, &outermost.to_string()).await?.is_some();
    Ok((!whole).then_some(target))
}

fn named(params: &Params, parameter: &str) -> Uuid {
    params.get(parameter).and_then(|text| Uuid::from_str(text).ok()).unwrap_or(Uuid::nil())
}

/// What a call requires of its caller. The roles that move folders are enough for a change that only moves a cluster:
/// the handler checks both ends.
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

/// The folders that `resource` lies in, innermost first, as far as they matter to `principal`: somebody
/// without any role on a folder is not let in by one.
pub async fn folders(context: &Context, principal: &Principal, resource: Resource) -> Result<Vec<FolderId>> {
    last_folders(context, principal, resource, None).await
}

/// The same, also of a folder that is gone: it was in `last`.
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

/// `from` and the folders that it lies in, innermost first.
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

/// The ids of `folders` and of every folder in them.
pub async fn subtrees(call: &Call, folders: &BTreeSet<FolderId>) -> Result<Vec<String>> {
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    let tree = tree(&call.context, call.granted.organization()).await?;
    let within = |folder: &&Folder| tree.line_ids(Some(folder.id)).iter().any(|id| folders.contains(id));
    Ok(tree.iter().filter(within).map(|folder| folder.id.to_string()).collect())
}

/// Checks that the caller holds one of `roles` where something is put. The change that comes with it
/// keeps the folder from being deleted meanwhile.
pub async fn authorize_parent(
    call: &Call,
    parent: Option<FolderId>,
    roles: &[Role],
) -> Result<Option<Change>> {
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

/// Checks that the caller may move something from one parent to another: a role at both ends.
pub async fn authorize_move(
    call: &Call,
    from: Option<FolderId>,
    to: Option<FolderId>,
) -> Result<Option<Change>> {
    let guard = authorize_parent(call, to, MOVERS).await?;
    if holds_in(call, MOVERS, from).await? { Ok(guard) } else { Err(denied()) }
}

/// Whether the caller holds one of `roles` on `parent`, or on the organization at the top.
pub async fn holds_in(call: &Call, roles: &[Role], parent: Option<FolderId>) -> Result<bool> {
    let principal = call.granted.principal();
    let line = ancestors(&call.context, principal.organization, parent).await?;
    Ok(principal.holds(roles, parent.map_or(Resource::Organization, Resource::Folder), &line))
}

/// The caller is known but may not do this.
pub fn denied() -> Error {
    Error::new(ErrorKind::Denied, "no permission")
}

/// The answer about something that does not exist, or that the caller may not know.
pub fn unknown(resource: Resource) -> Error {
    Error::not_found(match resource {
        Resource::Organization => "organization",
        Resource::Folder(_) => "folder",
        Resource::Cluster(_) => "cluster",
    })
}
