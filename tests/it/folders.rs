//! Folders: the tree, its rules, and authorization in it. No folder or cluster is ever orphaned.

use crate::support::{column, id, simulated};
use ootheca_testkit::{Answer, Client, Ootheca};
use serde_json::{Value, json};
use std::thread;

/// One of several concurrent calls.
type Call = Box<dyn Fn(&Client) -> Answer + Send>;

const NOWHERE: &str = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
const NO_PARENT: &str = "invalid argument: the parent must exist";

fn try_folder(client: &Client, name: &str, parent: &str) -> Answer {
    client.post("/folders", json!({ "name": name, "parent_id": parent }))
}

/// Creates a folder and returns its ID.
#[track_caller]
pub(crate) fn folder(client: &Client, name: &str, parent: &str) -> String {
    let made = try_folder(client, name, parent);
    made.ok();
    made.text("/resource_id")
}

fn try_cluster(client: &Client, name: &str, parent: &str) -> Answer {
    let spec = json!({ "serverless": { "regions": ["us-central1"] }, "parent_id": parent });
    client.post("/clusters", json!({ "name": name, "provider": "GCP", "plan": "BASIC", "spec": spec }))
}

#[track_caller]
fn cluster(client: &Client, name: &str, parent: &str) -> String {
    id(try_cluster(client, name, parent).ok())
}

fn move_to(client: &Client, what: &str, parent: &str) -> Answer {
    client.patch(what, json!({ "parent_id": parent }))
}

#[track_caller]
fn contents(client: &Client, folder: &str) -> Vec<String> {
    column(&client.get(&format!("/folders/{folder}/contents")).ok()["resources"], "name")
}

fn with_roles(server: &Ootheca, roles: &[&str]) -> Client {
    server.with_key(&server.new_key(roles))
}

#[test]
fn lifecycle_of_a_folder() {
    let server = simulated();
    let made = server.post("/folders", json!({ "name": "Team A", "labels": { "env": "dev" } }));
    let top = made.text("/resource_id");
    let organization = server.get("/organization").text("/id");
    let wanted = json!({
        "resource_id": top, "name": "Team A", "parent_id": "root", "path": [], "resource_type": "FOLDER",
        "organization_id": organization, "labels": { "env": "dev" },
    });
    assert_eq!(made.ok(), &wanted);
    assert_eq!(server.get(&format!("/folders/{top}")).ok(), &wanted);
    let inner = folder(&server, "inner_1", &top);
    let deep = server.get(&format!("/folders/{}", folder(&server, "deep", &inner)));
    assert_eq!(column(&deep.ok()["path"], "name"), ["Team A", "inner_1"]);
    assert_eq!(column(&deep.body["path"], "id"), [top.clone(), inner.clone()]);
    assert_eq!((&deep.body["parent_id"], &deep.body["labels"]), (&json!(inner), &json!({})));

    // Labels are replaced as a whole, and kept if the request does not contain them.
    let path = format!("/folders/{top}");
    server.patch(&path, json!({ "name": "Team B" })).ok();
    assert_eq!(server.get(&path).ok()["labels"], json!({ "env": "dev" }));
    server.patch(&path, json!({ "labels": { "a": "b" } })).ok();
    let changed = server.get(&path);
    assert_eq!((&changed.ok()["name"], &changed.body["labels"]), (&json!("Team B"), &json!({ "a": "b" })));
    server.patch(&path, json!({ "labels": { "A": "b" } })).refused(400);
    assert_eq!(server.patch(&path, json!({})).ok()["name"], "Team B");

    assert!(server.delete(&path).refused(400).contains("folders: 1, clusters: 0"));
    server.delete(&format!("/folders/{}", deep.text("/resource_id"))).ok();
    assert_eq!(server.delete(&format!("/folders/{inner}")).ok(), &json!({}));
    server.delete(&path).ok();
    server.get(&path).refused(404);
    server.delete(&path).refused(404);
    // The name of a deleted folder is available immediately.
    folder(&server, "Team B", "");
    assert_eq!(server.get("/folders/root").refused(404), "folder does not exist");
}

#[test]
fn limits_of_names_depth_and_number() {
    let server = simulated();
    for name in ["ab", "-abc", "abc-", "a/b/c", "a.b.c", " abc", "", &"x".repeat(41)] {
        assert!(try_folder(&server, name, "root").refused(400).contains("name"), "{name:?}");
    }
    server.post("/folders", json!({})).refused(400);
    let one = folder(&server, "it's a-name_1", "root");
    assert_eq!(
        try_folder(&server, "it's a-name_1", "root").refused(409),
        "folder \"it's a-name_1\" already exists"
    );
    let two = folder(&server, "it's a-name_1", &one);
    let three = folder(&server, "three", &two);
    assert!(try_folder(&server, "four", &three).refused(400).contains("3 levels deep"));
    // A folder at the deepest level can contain clusters.
    let inside = server.get(&format!("/clusters/{}", cluster(&server, "deepest", &three)));
    assert_eq!(inside.ok()["parent_id"], three.as_str());
    for parent in ["nowhere", NOWHERE] {
        assert_eq!(try_folder(&server, "orphan", parent).refused(400), NO_PARENT);
        assert_eq!(try_cluster(&server, "orphan", parent).refused(400), NO_PARENT);
        assert_eq!(move_to(&server, &format!("/folders/{one}"), parent).refused(400), NO_PARENT);
    }
    for parent in [&one, &two, &three] {
        assert!(move_to(&server, &format!("/folders/{one}"), parent).refused(400).contains("into itself"));
    }
    let other = folder(&server, "other", "root");
    assert!(move_to(&server, &format!("/folders/{one}"), &other).refused(400).contains("3 levels deep"));
    let twin = folder(&server, "three", "root");
    move_to(&server, &format!("/folders/{twin}"), &two).refused(409);
    server.patch(&format!("/folders/{other}"), json!({ "name": "three" })).refused(409);
    for n in 5..65 {
        folder(&server, &format!("folder {n}"), "root");
    }
    assert!(try_folder(&server, "one more", "root").refused(400).contains("65"));
    assert_eq!(server.get("/folders").ok()["folders"].as_array().map(Vec::len), Some(65));
}

#[test]
fn folders_are_found_by_their_path_and_listed_in_pages() {
    let server = simulated();
    let one = folder(&server, "folder one", "root");
    let two = folder(&server, "two", &one);
    folder(&server, "two", "root");
    let at =
        |path: &str| column(&server.get(&format!("/folders?path={path}")).ok()["folders"], "resource_id");
    for path in ["/folder%20one/two", "folder+one/two", "%2Ffolder%20one%2Ftwo%2F", "folder%20one/two/"] {
        assert_eq!(at(path), [two.as_str()], "{path}");
    }
    assert_eq!(at("/folder%20one"), [one.as_str()]);
    for path in ["/", "/nothing", "/two/two", "/folder%20one/two/three", "//two", "/Two"] {
        assert_eq!(at(path), [""; 0], "{path}");
    }
    assert_eq!(at("").len(), 3);

    cluster(&server, "b-cluster", &one);
    cluster(&server, "a-cluster", &one);
    folder(&server, "zebra", &one);
    assert_eq!(contents(&server, &one), ["two", "zebra", "a-cluster", "b-cluster"]);
    assert_eq!(contents(&server, "root"), ["folder one", "two"]);
    let mut seen = Vec::new();
    let mut page = String::new();
    loop {
        let path = format!("/folders/{one}/contents?pagination.limit=1&pagination.page={page}");
        let found = server.get(&path);
        seen.extend(column(&found.ok()["resources"], "resource_type"));
        page = found.text("/pagination/next_page");
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["FOLDER", "FOLDER", "CLUSTER", "CLUSTER"]);
    let begun = server.get("/folders/root/contents?pagination.limit=1").text("/pagination/next_page");
    server.get(&format!("/folders/{one}/contents?pagination.page={begun}")).refused(400);
    let first = server.get(&format!("/folders/{one}/contents?pagination.sort_order=DESC"));
    assert_eq!(column(&first.ok()["resources"], "name"), ["b-cluster", "a-cluster", "zebra", "two"]);
    let shown = &server.get(&format!("/folders/{one}/contents")).ok()["resources"][2].clone();
    assert_eq!(column(&shown["path"], "name"), ["folder one"]);
    server.get(&format!("/folders/{NOWHERE}/contents")).refused(404);
    server.get("/folders/nowhere/contents").refused(404);
}

#[test]
fn clusters_move_and_deleted_ones_do_not_block_a_folder() {
    let server = simulated();
    let (one, two) = (folder(&server, "one", "root"), folder(&server, "two", "root"));
    let made = cluster(&server, "moving", "root");
    let path = format!("/clusters/{made}");
    for (parent, shown) in
        [(one.as_str(), one.as_str()), (&two, &two), ("", "root"), (&one, &one), ("root", "root")]
    {
        assert_eq!(move_to(&server, &path, parent).ok()["parent_id"], shown);
        assert_eq!(server.get(&path).ok()["parent_id"], shown);
    }
    assert_eq!(move_to(&server, &path, NOWHERE).refused(400), NO_PARENT);
    server.patch(&path, json!({ "spec": { "parent_id": two }, "labels": { "a": "b" } })).ok();
    assert!(server.delete(&format!("/folders/{two}")).refused(400).contains("folders: 0, clusters: 1"));
    server.delete(&path).ok();
    server.delete(&format!("/folders/{two}")).ok();
    assert_eq!(server.get(&path).ok()["parent_id"], two.as_str(), "a deleted cluster shows its last folder");
}

/// A role on a folder, and the same role on another folder.
#[test]
fn a_role_on_a_folder_applies_to_its_subtree_only() {
    let server = simulated();
    let top = folder(&server, "top", "root");
    let inner = folder(&server, "inner", &top);
    let other = folder(&server, "other", "root");
    let mine = cluster(&server, "mine-cluster", &inner);
    let strange = cluster(&server, "strange-cluster", &other);
    cluster(&server, "root-cluster", "root");
    let developer = with_roles(&server, &[&format!("CLUSTER_DEVELOPER@FOLDER/{top}")]);
    developer.get(&format!("/clusters/{mine}")).ok();
    developer.get(&format!("/clusters/{mine}/nodes")).ok();
    developer.patch(&format!("/clusters/{mine}"), json!({ "labels": {} })).refused(403);
    assert_eq!(developer.get(&format!("/clusters/{strange}")).refused(404), "cluster does not exist");
    assert_eq!(developer.get(&format!("/folders/{other}")).refused(404), "folder does not exist");
    assert_eq!(column(&developer.get("/clusters").ok()["clusters"], "name"), ["mine-cluster"]);
    assert_eq!(column(&developer.get("/folders").ok()["folders"], "name"), ["inner", "top"]);
    assert_eq!(developer.get("/folders?path=/other").ok()["folders"], json!([]));
    assert_eq!(contents(&developer, "root"), ["top"]);
    assert_eq!(contents(&developer, &inner), ["mine-cluster"]);
    developer.get(&format!("/folders/{other}/contents")).refused(404);
    developer.post("/folders", json!({ "name": "new" })).refused(403);

    // The parents of a cluster are listed, without their other contents.
    let guest = with_roles(&server, &[&format!("CLUSTER_DEVELOPER@{mine}")]);
    cluster(&server, "second-cluster", &inner);
    assert_eq!(contents(&guest, "root"), ["top"]);
    assert_eq!(contents(&guest, &top), ["inner"]);
    assert_eq!(contents(&guest, &inner), ["mine-cluster"]);
    guest.get("/folders").refused(403);

    // Moving a cluster removes inherited roles and keeps the roles on the cluster itself.
    move_to(&server, &format!("/clusters/{mine}"), &other).ok();
    developer.get(&format!("/clusters/{mine}")).refused(404);
    guest.get(&format!("/clusters/{mine}")).ok();
    move_to(&server, &format!("/folders/{other}"), &top).ok();
    developer.get(&format!("/clusters/{mine}")).ok();
    developer.get(&format!("/clusters/{strange}")).ok();
}

#[test]
fn clusters_can_be_created_where_the_role_is_held() {
    let server = simulated();
    let (top, other) = (folder(&server, "top", "root"), folder(&server, "other", "root"));
    let inner = folder(&server, "inner", &top);
    let role = format!("CLUSTER_CREATOR@FOLDER/{top}");
    let (account, key) = server.new_account("creator", &[&role]);
    let creator = server.with_key(&key);
    let made = cluster(&creator, "made-inside", &inner);
    let grants = server.get(&format!("/roles/{account}"));
    let grant = json!({ "name": "CLUSTER_ADMIN", "resource": { "type": "CLUSTER", "id": made } });
    assert!(grants.ok()["roles"].as_array().is_some_and(|roles| roles.contains(&grant)), "{grants}");
    creator.delete(&format!("/clusters/{made}")).ok();
    try_cluster(&creator, "made-outside", "root").refused(403);
    // The caller has no access to that folder: the response is the same as for a folder that does not exist.
    for parent in [&other, NOWHERE] {
        assert_eq!(try_cluster(&creator, "made-outside", parent).refused(400), NO_PARENT);
    }
    let folder_admin = with_roles(&server, &["FOLDER_ADMIN"]);
    try_cluster(&folder_admin, "not-mine", &top).refused(403);
    let viewer = with_roles(&server, &[&role, "METRICS_VIEWER"]);
    try_cluster(&viewer, "made-outside", &other).refused(403);

    // The roles of the creator on the parent already administer the cluster, so it gets no additional role.
    let (account, key) = server.new_account("admin", &[&format!("CLUSTER_ADMIN@FOLDER/{top}")]);
    cluster(&server.with_key(&key), "administered", &inner);
    assert_eq!(server.get(&format!("/roles/{account}")).ok()["roles"].as_array().map(Vec::len), Some(2));
}

/// Moving needs a folder role on both parents, and nothing else.
#[test]
fn both_parents_of_a_move_are_authorized() {
    let server = simulated();
    let (left, right) = (folder(&server, "left", "root"), folder(&server, "right", "root"));
    let (here, there) = (folder(&server, "here", &left), folder(&server, "there", &left));
    let made = cluster(&server, "moving", &here);
    let (path, inner) = (format!("/clusters/{made}"), format!("/folders/{here}"));
    let mover = with_roles(&server, &[&format!("FOLDER_MOVER@FOLDER/{left}")]);
    move_to(&mover, &path, &there).ok();
    move_to(&mover, &path, &here).ok();
    // Without a role on the other folder, the caller cannot know that it exists.
    assert_eq!(move_to(&mover, &path, &right).refused(400), NO_PARENT);
    move_to(&mover, &path, "root").refused(403);
    mover.patch(&path, json!({ "parent_id": there, "labels": {} })).refused(403);
    mover.patch(&path, json!({ "labels": {} })).refused(403);
    // The roles on a cluster do not allow moving it, but the request can contain its current parent.
    let operator = with_roles(&server, &["CLUSTER_OPERATOR_WRITER"]);
    move_to(&operator, &path, &there).refused(403);
    move_to(&operator, &path, &here).ok();
    let both = with_roles(
        &server,
        &[
            &format!("FOLDER_MOVER@FOLDER/{left}"),
            &format!("FOLDER_ADMIN@FOLDER/{right}"),
            "CLUSTER_OPERATOR_WRITER",
        ],
    );
    both.patch(&path, json!({ "parent_id": right, "labels": { "a": "b" } })).ok();
    assert_eq!(move_to(&mover, &path, &here).refused(404), "cluster does not exist");
    move_to(&both, &path, &here).ok();

    // The same holds for folders. Changing the folder itself or its labels needs further roles.
    mover.patch(&inner, json!({ "name": "renamed" })).ok();
    move_to(&mover, &inner, &there).ok();
    move_to(&mover, &inner, &left).ok();
    move_to(&mover, &inner, "root").refused(403);
    mover.patch(&inner, json!({ "labels": { "a": "b" } })).refused(403);
    mover.patch(&inner, json!({ "name": "again", "labels": {} })).ok();
    mover.patch(&format!("/folders/{left}"), json!({ "name": "mine" })).refused(403);
    mover.delete(&inner).refused(403);
    try_folder(&mover, "more", &left).refused(403);
    move_to(&both, &inner, &right).ok();
    let admin = with_roles(&server, &[&format!("FOLDER_ADMIN@FOLDER/{left}")]);
    admin.patch(&format!("/folders/{left}"), json!({ "name": "mine", "labels": { "a": "b" } })).ok();
    folder(&admin, "more", &left);
    try_folder(&admin, "more", "root").refused(403);
    admin.delete(&format!("/folders/{there}")).ok();
}

#[test]
fn folder_admins_can_grant_roles_in_their_subtree() {
    let server = simulated();
    let top = folder(&server, "top", "root");
    let (inner, other) = (folder(&server, "inner", &top), folder(&server, "other", "root"));
    let made = cluster(&server, "granted", &inner);
    let (account, key) = server.new_account("receiver", &[]);
    let receiver = server.with_key(&key);
    let admin = with_roles(&server, &[&format!("FOLDER_ADMIN@FOLDER/{top}")]);
    let grant =
        |client: &Client, path: &str| client.request("POST", &format!("/roles/{account}/{path}")).send();
    receiver.get(&format!("/clusters/{made}")).refused(403);
    for role in ["CLUSTER_DEVELOPER", "FOLDER_MOVER", "FOLDER_ADMIN", "CLUSTER_CREATOR", "METRICS_VIEWER"] {
        for folder in [&top, &inner] {
            grant(&admin, &format!("FOLDER/{folder}/{role}")).ok();
        }
    }
    receiver.get(&format!("/clusters/{made}")).ok();
    for folder in [&other, NOWHERE] {
        let refused = grant(&admin, &format!("FOLDER/{folder}/FOLDER_MOVER"));
        assert_eq!(refused.refused(404), "folder does not exist");
    }
    grant(&admin, "ORGANIZATION//FOLDER_MOVER").refused(403);
    grant(&admin, &format!("CLUSTER/{made}/CLUSTER_DEVELOPER")).refused(403);
    for (role, status) in [("ORG_ADMIN", 400), ("BILLING_VIEWER", 400), ("FOLDER_MOVER", 200)] {
        assert_eq!(grant(&server, &format!("FOLDER/{other}/{role}")).status, status, "{role}");
    }
    grant(&server, "FOLDER/no-id/FOLDER_MOVER").refused(400);
    let cluster_admin = with_roles(&server, &[&format!("CLUSTER_ADMIN@FOLDER/{top}")]);
    grant(&cluster_admin, &format!("CLUSTER/{made}/CLUSTER_OPERATOR_WRITER")).ok();
    grant(&cluster_admin, &format!("FOLDER/{top}/CLUSTER_OPERATOR_WRITER")).refused(403);
    let shown = server.get(&format!("/roles/{account}"));
    let wanted = json!({ "name": "FOLDER_MOVER", "resource": { "type": "FOLDER", "id": other } });
    assert!(shown.ok()["roles"].as_array().is_some_and(|roles| roles.contains(&wanted)), "{shown}");
    let all =
        json!({ "roles": [{ "name": "CLUSTER_DEVELOPER", "resource": { "type": "FOLDER", "id": inner } }] });
    server.put(&format!("/roles/{account}"), all).ok();
    admin.delete(&format!("/roles/{account}/FOLDER/{inner}/CLUSTER_DEVELOPER")).ok();
    receiver.get(&format!("/clusters/{made}")).refused(403);
}

/// Folders and clusters as the lists show them, after checking that every parent exists.
#[track_caller]
fn nothing_is_orphaned(server: &Ootheca) {
    let folders = server.get("/folders").ok()["folders"].as_array().cloned().unwrap_or_default();
    let clusters = server.get("/clusters").ok()["clusters"].as_array().cloned().unwrap_or_default();
    let known: Vec<&str> = folders.iter().filter_map(|one| one["resource_id"].as_str()).collect();
    for one in folders.iter().chain(&clusters) {
        let parent = one["parent_id"].as_str().unwrap_or_default();
        assert!(parent == "root" || known.contains(&parent), "orphan: {one}");
    }
    for one in &folders {
        let depth = one["path"].as_array().map_or(0, Vec::len);
        let top: &Value = one["path"].get(0).map_or(&one["parent_id"], |first| &first["id"]);
        assert!(depth < 3 && (depth > 0 || top == "root"), "in a circle, or too deep: {one}");
    }
}

#[test]
fn concurrent_changes_orphan_nothing() {
    let server = simulated();
    for round in 0..12 {
        let (left, right) = (folder(&server, "left", "root"), folder(&server, "right", "root"));
        let moving = cluster(&server, &format!("moving-{round}"), "root");
        let calls: Vec<Call> = {
            let (l, r, m) = (left.clone(), right.clone(), moving.clone());
            let paths = [format!("/folders/{l}"), format!("/folders/{r}")];
            let [to_left, to_right] = paths.clone();
            let [into_right, into_left] = [r.clone(), l.clone()];
            let (inside, made) = (l.clone(), l.clone());
            vec![
                Box::new(move |client| move_to(client, &format!("/clusters/{m}"), &l)),
                Box::new(move |client| move_to(client, &to_left, &into_right)),
                Box::new(move |client| move_to(client, &to_right, &into_left)),
                Box::new(move |client| try_folder(client, "inside", &inside)),
                Box::new(move |client| try_cluster(client, &format!("made-{round}"), &made)),
                Box::new(move |client| client.delete(&paths[0])),
                Box::new(move |client| client.delete(&format!("/folders/{r}"))),
            ]
        };
        let running = calls.into_iter().map(|call| {
            let client = server.client().clone();
            thread::spawn(move || call(&client))
        });
        for thread in running.collect::<Vec<_>>() {
            let answer = thread.join().expect("a call");
            assert!([200, 400, 404, 409].contains(&answer.status), "{answer}");
        }
        nothing_is_orphaned(&server);
        empty(&server);
    }
}

/// Deletes every cluster and every folder.
fn empty(server: &Ootheca) {
    for one in column(&server.get("/clusters").ok()["clusters"], "id") {
        server.delete(&format!("/clusters/{one}")).ok();
    }
    let folders = || column(&server.get("/folders").ok()["folders"], "resource_id");
    for _ in 0..3 {
        for one in folders() {
            server.delete(&format!("/folders/{one}"));
        }
    }
    assert_eq!(folders(), [""; 0]);
}
