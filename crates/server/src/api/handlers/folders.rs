//! The tree of folders that contain clusters.
//!
//! Every change of the tree's shape touches the row of the organization, so that its rules are checked on a
//! tree that does not change. Adding something to a folder touches the row of the folder, so that the folder
//! cannot be deleted at the same time.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::Decision,
        handlers::paging,
        hierarchy::{self, MOVERS},
    },
    documents::{self, Stored},
    ids::fresh_id,
};
use ootheca_api::wire::*;
use ootheca_model::{
    Cluster as Model, Error, Folder, FolderId, Organization as Root, OrganizationId, Resource as Held,
    Result, Role,
    cluster::check_labels,
    folder::{self, Tree, parse_parent},
    identity::Visible,
};
use ootheca_store::{Batch, Kind, Mutation, Query, Row};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// `GET /folders`: the folders that the caller has access to.
pub async fn list_folders(call: Arc<Call>, query: ListFoldersQuery) -> Result<ListFoldersResponse> {
    let tree = hierarchy::tree(&call.context, call.granted.organization()).await?;
    let visible = call.granted.visible();
    let wanted = query.path.filter(|path| !path.is_empty());
    let found: Vec<&Folder> = match &wanted {
        Some(path) => tree.at(path).into_iter().collect(),
        None => tree.iter().collect(),
    };
    let shown = |folder: &&Folder| {
        query.page.as_of_time.is_none_or(|time| folder.created_at <= time)
            && visible.shows(Held::Folder(folder.id), &tree.ancestor_ids_from(folder.parent))
    };
    let folders: Vec<&Folder> = found.into_iter().filter(shown).collect();
    let (folders, pagination) = paging::filtered_slice(
        &call,
        &query.page,
        wanted.as_deref().unwrap_or_default(),
        folders,
        |folder| format!("{}\0{}", folder.name, folder.id),
    )?;
    Ok(ListFoldersResponse {
        folders: folders.into_iter().map(|folder| show(&tree, folder)).collect(),
        pagination,
    })
}

/// `GET /folders/{folder_id}`
pub async fn get_folder(call: Arc<Call>, _path: FolderPath) -> Result<FolderResource> {
    let tree = hierarchy::tree(&call.context, call.granted.organization()).await?;
    let found = call.granted.folder().and_then(|id| tree.get(id));
    Ok(show(&tree, found.ok_or_else(|| Error::not_found("folder"))?))
}

/// `POST /folders`
pub async fn create_folder(call: Arc<Call>, body: CreateFolderRequest) -> Result<Decision<FolderResource>> {
    let name = required("name", body.name)?;
    folder::check_name(&name)?;
    let labels = body.labels.unwrap_or_default();
    check_labels(&labels)?;
    let parent = parse_parent(body.parent_id.as_deref().unwrap_or_default())?;
    hierarchy::authorize_parent(&call, parent, &[Role::FolderAdmin]).await?;
    let (guard, tree) = still_tree(&call).await?;
    let organization = call.granted.organization();
    let now = call.context.now();
    let id = FolderId(fresh_id());
    let folder = Folder { organization, id, name, parent, labels, created_at: now, updated_at: now };
    tree.check_room()?;
    tree.check_place(&folder)?;
    let batch = Batch::by(&call.granted).with(guard).with(documents::insert(&folder)?);
    Ok(Decision::now(batch, show(&tree, &folder)))
}

/// `PATCH /folders/{folder_id}`: name, parent, and labels. FOLDER_MOVER only allows moving what is in the
/// folder, not the folder itself, and no changes of labels.
pub async fn update_folder(
    call: Arc<Call>,
    _path: FolderPath,
    body: UpdateFolderSpecification,
) -> Result<Decision<FolderResource>> {
    let before = existing(&call).await?;
    let (guard, tree) = still_tree(&call).await?;
    let old = &before.value;
    let parent = body.parent_id.as_deref().map(parse_parent).transpose()?.unwrap_or(old.parent);
    let name = body.name.unwrap_or_else(|| old.name.clone());
    let labels = body.labels.unwrap_or_else(|| old.labels.clone());
    if name != old.name {
        folder::check_name(&name)?;
    }
    check_labels(&labels)?;
    let after = Folder { name, parent, labels, ..old.clone() };
    if after == *old {
        return Ok(Decision::now(Batch::by(&call.granted), show(&tree, old)));
    }
    let after = Folder { updated_at: call.context.now(), ..after };
    let admin = hierarchy::holds_in(&call, &[Role::FolderAdmin], Some(old.id)).await?;
    if !admin && (after.labels != old.labels || !hierarchy::holds_in(&call, MOVERS, old.parent).await?) {
        return Err(hierarchy::denied());
    }
    let mut batch = Batch::by(&call.granted).with(documents::update(&before.row, &after)?);
    if after.parent != old.parent {
        hierarchy::authorize_move(&call, old.parent, after.parent).await?;
        batch = batch.with(guard);
    }
    tree.check_place(&after)?;
    Ok(Decision::now(batch, show(&tree, &after)))
}

/// `DELETE /folders/{folder_id}`. The folder must be empty.
pub async fn delete_folder(call: Arc<Call>, _path: FolderPath) -> Result<Decision<DeleteFolderResponse>> {
    let before = existing(&call).await?;
    let (guard, tree) = still_tree(&call).await?;
    let folders = tree.children(Some(before.value.id)).count();
    let clusters = clusters(&call, Some(before.value.id)).await?.len();
    if folders + clusters > 0 {
        let held = format!("folders: {folders}, clusters: {clusters}");
        return Err(Error::precondition(format!("folder is not empty ({held}); move or delete them first")));
    }
    let batch = Batch::by(&call.granted).with(guard).with(documents::delete(&before.row));
    Ok(Decision::now(batch, DeleteFolderResponse {}))
}

/// `GET /folders/{folder_id}/contents`; `root` is the top. Returns what the caller has access to, and the
/// parent folders of that.
pub async fn list_folder_contents(
    call: Arc<Call>,
    path: FolderPath,
    query: PageQuery,
) -> Result<FolderResourceList> {
    let tree = hierarchy::tree(&call.context, call.granted.organization()).await?;
    let visible = call.granted.visible();
    let way = way_there(&call, &tree).await?;
    let shows = |folder: &Folder| {
        way.contains(&folder.id)
            || visible.shows(Held::Folder(folder.id), &tree.ancestor_ids_from(folder.parent))
    };
    let unknown = || Error::not_found("folder");
    let parent = match path.folder_id.as_str() {
        folder::ROOT => None,
        id => Some(id.parse::<FolderId>().map_err(|_| unknown())?),
    };
    if let Some(id) = parent {
        tree.get(id).filter(|folder| shows(folder)).ok_or_else(unknown)?;
    }
    let line = tree.ancestor_ids_from(parent);
    let mut items: Vec<Item<'_>> = tree.children(parent).filter(|one| shows(one)).map(Item::Folder).collect();
    for row in clusters(&call, parent).await? {
        let id = row.id.parse().map_err(|error| Error::internal("cluster: damaged ID").because(error))?;
        if visible.shows(Held::Cluster(id), &line) {
            items.push(Item::Cluster(Box::new(row)));
        }
    }
    items.retain(|item| query.as_of_time.is_none_or(|time| item.created_at() <= time));
    let (items, pagination) = paging::filtered_slice(&call, &query, &path.folder_id, items, Item::key)?;
    let resources = items.into_iter().map(|item| match item {
        Item::Folder(folder) => Ok(show(&tree, folder)),
        Item::Cluster(row) => Ok(show_cluster(&tree, &documents::decode::<Model>(*row)?.value)),
    });
    Ok(FolderResourceList { resources: resources.collect::<Result<_>>()?, pagination })
}

/// An item in a folder. Clusters are decoded only if they are returned.
enum Item<'a> {
    Folder(&'a Folder),
    Cluster(Box<Row>),
}

impl Item<'_> {
    fn key(&self) -> String {
        match self {
            Item::Folder(folder) => format!("1{}\0{}", folder.name, folder.id),
            Item::Cluster(row) => format!("2{}\0{}", row.sort_key, row.id),
        }
    }

    fn created_at(&self) -> ootheca_model::Timestamp {
        match self {
            Item::Folder(folder) => folder.created_at,
            Item::Cluster(row) => row.created_at,
        }
    }
}

/// The parent folders of what the caller has access to.
async fn way_there(call: &Call, tree: &Tree) -> Result<BTreeSet<FolderId>> {
    let mut way = BTreeSet::new();
    let Visible::Only(reach) = call.granted.visible() else { return Ok(way) };
    for id in &reach.folders {
        way.extend(tree.ancestor_ids_from(tree.get(*id).and_then(|folder| folder.parent)));
    }
    for id in &reach.clusters {
        let found = call.context.find::<Model>(&id.to_string()).await?;
        let found = found.filter(|found| found.row.organization == call.granted.organization());
        if let Some(cluster) = found.filter(|found| found.value.is_active()) {
            way.extend(tree.ancestor_ids_from(cluster.value.parent));
        }
    }
    Ok(way)
}

/// The active clusters directly in `parent`.
async fn clusters(call: &Call, parent: Option<FolderId>) -> Result<Vec<Row>> {
    let parent = parent.map(|id| id.to_string()).unwrap_or_default();
    let organization = Some(call.granted.organization());
    let query = Query { organization, parent: Some(parent), active_only: true, ..Query::all(Kind::Cluster) };
    call.context.store.list(&query).await
}

/// The tree, and a change that fails if the shape of the tree changes before the commit. The guard is read
/// first.
async fn still_tree(call: &Call) -> Result<(Mutation, Tree)> {
    let organization: OrganizationId = call.granted.organization();
    let root: Stored<Root> =
        documents::get(&*call.context.store, organization, &organization.to_string()).await?;
    Ok((documents::touch(&root.row), hierarchy::tree(&call.context, organization).await?))
}

async fn existing(call: &Call) -> Result<Stored<Folder>> {
    let id = call.granted.folder().ok_or_else(|| Error::not_found("folder"))?;
    documents::get(&*call.context.store, call.granted.organization(), &id.to_string()).await
}

fn show(tree: &Tree, folder: &Folder) -> FolderResource {
    resource(
        tree,
        FolderResourceType::Folder,
        folder.id.to_string(),
        &folder.name,
        (folder.organization, folder.parent),
        &folder.labels,
    )
}

fn show_cluster(tree: &Tree, cluster: &Model) -> FolderResource {
    resource(
        tree,
        FolderResourceType::Cluster,
        cluster.id.to_string(),
        &cluster.name,
        (cluster.organization, cluster.parent),
        &cluster.labels,
    )
}

fn resource(
    tree: &Tree,
    resource_type: FolderResourceType,
    resource_id: String,
    name: &str,
    (organization, parent): (OrganizationId, Option<FolderId>),
    labels: &BTreeMap<String, String>,
) -> FolderResource {
    let above = tree.ancestors_from(parent).into_iter().rev();
    FolderResource {
        resource_id,
        name: name.to_owned(),
        parent_id: folder::show_parent(parent),
        path: above.map(|one| PathSegment { id: one.id.to_string(), name: one.name.clone() }).collect(),
        resource_type,
        organization_id: organization.to_string(),
        labels: labels.clone(),
    }
}
