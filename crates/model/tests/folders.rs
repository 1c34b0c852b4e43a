//! Property tests of folders: which resources a grant covers, and which trees are valid.

#![allow(clippy::unwrap_used)]

use ootheca_model::{
    ClusterId, Error, ErrorKind, Folder, FolderId, Grant, OrganizationId, Principal, PrincipalId, Resource,
    Result, Role, Timestamp,
    folder::{DEPTH, LIMIT, Tree, check_name, parse_parent, show_parent},
    identity::{CLUSTER_READERS, FOLDER_READERS, Requirement, Target, authorize, normal_grants},
    role::may_grant,
};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

const FOLDERS: usize = 7;
const CLUSTERS: usize = 5;

fn folder_id(n: usize) -> FolderId {
    FolderId(Uuid::from_u128(1000 + n as u128))
}

fn cluster_id(n: usize) -> ClusterId {
    ClusterId(Uuid::from_u128(2000 + n as u128))
}

fn folder(n: usize, name: &str, parent: Option<FolderId>) -> Folder {
    Folder {
        organization: OrganizationId(Uuid::nil()),
        id: folder_id(n),
        name: name.to_owned(),
        parent,
        labels: Default::default(),
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

/// A tree of folders that contain clusters.
#[derive(Clone, Debug)]
struct World {
    tree: Tree,
    clusters: Vec<Option<FolderId>>,
}

impl World {
    /// The ancestors of a resource, computed by following one parent after the other.
    fn above(&self, resource: Resource) -> Vec<FolderId> {
        let mut above = Vec::new();
        let mut next = match resource {
            Resource::Organization => None,
            Resource::Folder(id) => self.tree.get(id).unwrap().parent,
            Resource::Cluster(id) => {
                let place = (0..CLUSTERS).find(|n| cluster_id(*n) == id).unwrap();
                self.clusters[place]
            }
        };
        while let Some(id) = next {
            above.push(id);
            next = self.tree.get(id).unwrap().parent;
        }
        above
    }

    fn target(&self, resource: Resource) -> Target {
        let above = self.above(resource);
        match resource {
            Resource::Organization => Target::Organization,
            Resource::Folder(id) => Target::Folder(id, above),
            Resource::Cluster(id) => Target::Cluster(id, above),
        }
    }

    fn may(&self, grants: &[Grant], roles: &'static [Role], resource: Resource) -> Result<()> {
        let requirement = Requirement::Roles(roles);
        authorize(&principal(grants), requirement, self.target(resource)).map(|_| ())
    }

    fn may_grant(&self, grants: &[Grant], wanted: Grant) -> bool {
        may_grant(grants, wanted, &self.above(wanted.resource))
    }

    /// Whether `resource` is `folder` or is in it.
    fn within(&self, resource: Resource, folder: FolderId) -> bool {
        resource == Resource::Folder(folder) || self.above(resource).contains(&folder)
    }
}

fn every_resource() -> Vec<Resource> {
    let folders = (0..FOLDERS).map(|n| Resource::Folder(folder_id(n)));
    let clusters = (0..CLUSTERS).map(|n| Resource::Cluster(cluster_id(n)));
    folders.chain(clusters).chain([Resource::Organization]).collect()
}

fn principal(grants: &[Grant]) -> Arc<Principal> {
    Arc::new(Principal {
        organization: OrganizationId(Uuid::nil()),
        id: PrincipalId(Uuid::nil()),
        name: "p".into(),
        person: false,
        grants: normal_grants(grants.iter().copied()),
    })
}

fn any_world() -> impl Strategy<Value = World> {
    // The parent of a folder has a smaller number, so there are no cycles.
    let parents = (0..FOLDERS).map(|n| prop::option::of(0..n.max(1))).collect::<Vec<_>>();
    let clusters = prop::collection::vec(prop::option::of(0..FOLDERS), CLUSTERS);
    (parents, clusters).prop_map(|(parents, clusters)| {
        let folders = parents.into_iter().enumerate().map(|(n, parent)| {
            folder(n, &format!("folder {n}"), parent.filter(|parent| *parent < n).map(folder_id))
        });
        World {
            tree: Tree::new(folders),
            clusters: clusters.into_iter().map(|place| place.map(folder_id)).collect(),
        }
    })
}

fn any_grant() -> impl Strategy<Value = Grant> {
    (prop::sample::select(Role::ALL), prop::sample::select(every_resource()))
        .prop_filter_map("a role of that scope", |(role, resource)| Grant::new(role, resource).ok())
}

fn any_roles() -> impl Strategy<Value = &'static [Role]> {
    const SOME: &[&[Role]] = &[
        CLUSTER_READERS,
        FOLDER_READERS,
        &[Role::ClusterAdmin],
        &[Role::ClusterAdmin, Role::ClusterOperatorWriter],
        &[Role::FolderAdmin, Role::FolderMover],
    ];
    prop::sample::select(SOME)
}

proptest! {
    /// The check agrees with the direct definition, and a list shows exactly what can be read individually.
    #[test]
    fn roles_are_inherited_by_descendants(
        world in any_world(), grants in prop::collection::vec(any_grant(), 0..5), roles in any_roles(),
    ) {
        let visible = authorize(&principal(&grants), Requirement::Roles(roles), Target::Visible);
        for resource in every_resource() {
            let plain = grants.iter().filter(|grant| roles.contains(&grant.role)).any(|grant| match grant.resource {
                Resource::Organization => true,
                Resource::Folder(id) => world.within(resource, id),
                on => on == resource,
            });
            prop_assert_eq!(world.may(&grants, roles, resource).is_ok(), plain);
            let shown = visible.as_ref().is_ok_and(|granted| granted.visible().shows(resource, &world.above(resource)));
            prop_assert_eq!(shown, plain);
        }
    }

    /// A principal with roles only in one folder has no access outside of it, cannot grant roles outside of
    /// it, and cannot find out what exists there.
    #[test]
    fn a_grant_never_applies_outside_its_subtree(
        world in any_world(), roles in any_roles(), n in 0..FOLDERS,
        held in prop::collection::vec(prop::sample::select(Role::ALL), 1..4), wanted in any_grant(),
    ) {
        let own = folder_id(n);
        let grants: Vec<Grant> = held.iter().filter_map(|role| Grant::new(*role, Resource::Folder(own)).ok()).collect();
        let nowhere = Target::Cluster(ClusterId(Uuid::nil()), Vec::new());
        let unknown = authorize(&principal(&grants), Requirement::Roles(roles), nowhere).map(|_| ());
        for resource in every_resource() {
            let outcome = world.may(&grants, roles, resource);
            if world.within(resource, own) {
                prop_assert_ne!(outcome.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
            } else {
                prop_assert!(outcome.is_err());
                if matches!(resource, Resource::Cluster(_)) {
                    let kind = |error: &Error| (error.kind(), error.message().to_owned());
                    prop_assert_eq!(outcome.as_ref().map_err(kind), unknown.as_ref().map_err(kind));
                }
            }
        }
        if world.may_grant(&grants, wanted) {
            prop_assert!(world.within(wanted.resource, own));
        }
    }

    /// Additional grants never revoke a permission.
    #[test]
    fn additional_grants_never_revoke_permissions(
        world in any_world(), held in prop::collection::vec(any_grant(), 0..5), more in any_grant(),
        roles in any_roles(), wanted in any_grant(),
    ) {
        let mut larger = held.clone();
        larger.push(more);
        for resource in every_resource() {
            prop_assert!(world.may(&held, roles, resource).is_err() || world.may(&larger, roles, resource).is_ok());
        }
        prop_assert!(!world.may_grant(&held, wanted) || world.may_grant(&larger, wanted));
    }

    /// Only ORG_ADMIN can grant organization roles, and other roles can be granted only within the granter's
    /// scope.
    #[test]
    fn only_org_admin_grants_organization_roles(
        world in any_world(), held in prop::collection::vec(any_grant(), 0..5), wanted in any_grant(),
    ) {
        let admin = held.iter().any(|grant| grant.role == Role::OrgAdmin);
        if !admin && world.may_grant(&held, wanted) {
            let needed: &'static [Role] = match wanted.resource {
                Resource::Organization => &[],
                Resource::Folder(_) => &[Role::FolderAdmin],
                Resource::Cluster(_) => &[Role::ClusterAdmin],
            };
            prop_assert!(world.may(&held, needed, wanted.resource).is_ok());
        }
    }

    /// Whatever is requested, and in whatever order: no cycles, no folder that is nested too deeply, and no
    /// siblings with the same name.
    #[test]
    fn the_tree_is_always_valid(steps in prop::collection::vec((0..12usize, 0..4u8, prop::option::of(0..14usize)), 0..60)) {
        let mut folders: Vec<Folder> = Vec::new();
        for (n, name, parent) in steps {
            let tree = Tree::new(folders.clone());
            let wanted = folder(n, &format!("name {name}"), parent.map(folder_id));
            if tree.check_place(&wanted).is_ok() {
                folders.retain(|other| other.id != wanted.id);
                folders.push(wanted);
            }
            let tree = Tree::new(folders.clone());
            for one in tree.iter() {
                let line = tree.ancestors_from(Some(one.id));
                prop_assert!(line.len() <= DEPTH);
                prop_assert!(line.last().is_some_and(|top| top.parent.is_none()));
                let path = line.iter().rev().map(|above| above.name.as_str()).collect::<Vec<_>>().join("/");
                prop_assert_eq!(tree.at(&path).map(|found| found.id), Some(one.id));
                prop_assert_eq!(tree.at(&format!("/{path}/")).map(|found| found.id), Some(one.id));
            }
        }
    }

    #[test]
    fn valid_names_are_accepted(name in "[A-Za-z0-9][A-Za-z0-9 '_-]{1,38}[A-Za-z0-9]") {
        prop_assert!(check_name(&name).is_ok());
    }

    #[test]
    fn names_never_contain_a_slash(name in "\\PC{0,45}") {
        prop_assert!(check_name(&name).is_err() || (!name.contains('/') && (3..=40).contains(&name.len())));
    }
}

#[test]
fn the_number_of_folders_is_limited() {
    let full = (0..LIMIT).map(|n| folder(n, &format!("folder {n}"), None));
    let refused = Tree::new(full.clone()).check_room().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Precondition);
    assert!(Tree::new(full.skip(1)).check_room().is_ok());
}

#[test]
fn moving_a_folder_checks_its_whole_subtree() {
    let tree = Tree::new([
        folder(0, "one", None),
        folder(1, "two", Some(folder_id(0))),
        folder(2, "other", None),
        folder(3, "deep", Some(folder_id(2))),
    ]);
    assert!(tree.check_place(&folder(0, "one", Some(folder_id(2)))).is_ok());
    let deep = tree.check_place(&folder(0, "one", Some(folder_id(3)))).unwrap_err();
    assert!(deep.message().contains("3 levels deep"), "{deep}");
    for inside in [0, 1] {
        let circle = tree.check_place(&folder(0, "one", Some(folder_id(inside)))).unwrap_err();
        assert!(circle.message().contains("into itself"), "{circle}");
    }
    let taken = tree.check_place(&folder(9, "two", Some(folder_id(0)))).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Exists);
    let nowhere = tree.check_place(&folder(9, "two", Some(folder_id(8)))).unwrap_err();
    assert_eq!(nowhere.message(), "invalid argument: the parent must exist");
}

#[test]
fn parents_are_parsed_from_three_forms() {
    assert_eq!(parse_parent("").unwrap(), None);
    assert_eq!(parse_parent("root").unwrap(), None);
    assert_eq!(parse_parent(&folder_id(1).to_string()).unwrap(), Some(folder_id(1)));
    assert_eq!(parse_parent("nowhere").unwrap_err().message(), "invalid argument: the parent must exist");
    assert_eq!(
        (show_parent(None), show_parent(Some(folder_id(1)))),
        ("root".into(), folder_id(1).to_string())
    );
}
