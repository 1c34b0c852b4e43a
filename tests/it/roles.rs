//! Authorization with the scopes organization and cluster, with real keys.

use crate::support::{PASSWORD, column, id, simulated};
use ootheca_testkit::{Client, Ootheca};
use serde_json::{Value, json};

struct Scene {
    server: Ootheca,
    mine: String,
    other: String,
}

fn scene() -> Scene {
    let server = simulated();
    let mine = id(&server.create_cluster("mine-cluster", "BASIC"));
    let other = id(&server.create_cluster("other-cluster", "BASIC"));
    Scene { server, mine, other }
}

/// Calls several operations on a cluster, and returns their statuses.
fn try_all(client: &Client, cluster: &str) -> [u16; 6] {
    let at = |rest: &str| format!("/clusters/{cluster}{rest}");
    let user = json!({ "name": "new-user", "password": PASSWORD });
    let made = client.post(&at("/sql-users"), user).status;
    if made == 200 {
        client.delete(&at("/sql-users/new-user")).ok();
    }
    [
        client.get(&at("")).status,
        client.get(&at("/nodes")).status,
        client.get(&at("/databases")).status,
        client.get(&at("/networking/allowlist")).status,
        client.patch(&at(""), json!({ "labels": {} })).status,
        made,
    ]
}

#[test]
fn organization_roles_apply_to_every_cluster() {
    let scene = scene();
    let table = [
        ("ORG_ADMIN", [200, 200, 403, 403, 403, 403]),
        ("CLUSTER_ADMIN", [200; 6]),
        ("CLUSTER_OPERATOR_WRITER", [200, 200, 200, 200, 200, 403]),
        ("CLUSTER_DEVELOPER", [200, 200, 200, 200, 403, 403]),
        ("CLUSTER_MONITOR", [200, 403, 403, 403, 403, 403]),
        ("METRICS_VIEWER", [200, 403, 403, 403, 403, 403]),
        ("FOLDER_ADMIN", [200, 403, 403, 403, 403, 403]),
        ("CLUSTER_CREATOR", [403; 6]),
        ("BILLING_COORDINATOR", [403; 6]),
        ("AUDITOR", [200, 200, 403, 200, 403, 403]),
        ("CLUSTER_DATA_ACCESSOR", [200, 200, 200, 403, 403, 403]),
    ];
    for (role, statuses) in table {
        let client = scene.server.with_key(&scene.server.new_key(&[role]));
        assert_eq!(try_all(&client, &scene.mine), statuses, "{role}");
    }
    let nobody = scene.server.with_key(&scene.server.new_key(&[]));
    assert_eq!(try_all(&nobody, &scene.mine), [403; 6]);
}

#[test]
fn cluster_roles_apply_to_that_cluster_only() {
    let scene = scene();
    for (role, statuses) in
        [("CLUSTER_ADMIN", [200; 6]), ("CLUSTER_DEVELOPER", [200, 200, 200, 200, 403, 403])]
    {
        let client = scene.server.with_key(&scene.server.new_key(&[&format!("{role}@{}", scene.mine)]));
        assert_eq!(try_all(&client, &scene.mine), statuses, "{role}");
        let elsewhere = try_all(&client, &scene.other);
        // An operation for which the role is held nowhere returns 403, and one for which it is only held
        // elsewhere returns 404: the response does not disclose what exists.
        let hidden = statuses.map(|status| if status == 200 { 404 } else { 403 });
        assert_eq!(elsewhere, hidden, "{role}");
        let nowhere = try_all(&client, "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f");
        assert_eq!(nowhere, hidden, "a cluster that does not exist looks the same");
        assert_eq!(column(&client.get("/clusters").ok()["clusters"], "name"), ["mine-cluster"]);
        let all = client.get("/clusters?show_inactive=true");
        assert_eq!(column(&all.ok()["clusters"], "name"), ["mine-cluster"]);
    }
    scene.server.delete(&format!("/clusters/{}", scene.other)).ok();
    let admin = scene.server.with_key(&scene.server.new_key(&["CLUSTER_ADMIN"]));
    assert_eq!(admin.get("/clusters?show_inactive=true").ok()["clusters"].as_array().map(Vec::len), Some(2));
}

#[test]
fn creators_administer_their_clusters() {
    let scene = scene();
    let (account, key) = scene.server.new_account("creator", &["CLUSTER_CREATOR"]);
    let creator = scene.server.with_key(&key);
    let spec = json!({ "serverless": { "regions": ["us-central1"] } });
    let made = creator
        .post("/clusters", json!({ "name": "made-by-me", "provider": "GCP", "plan": "BASIC", "spec": spec }));
    let cluster = id(made.ok());
    assert_eq!(made.body["creator_id"], account);
    assert_eq!(try_all(&creator, &cluster), [200; 6]);
    assert_eq!(try_all(&creator, &scene.other), [404; 6]);
    let roles = scene.server.get(&format!("/roles/{account}"));
    let grant = json!({ "name": "CLUSTER_ADMIN", "resource": { "type": "CLUSTER", "id": cluster } });
    assert!(roles.ok()["roles"].as_array().is_some_and(|roles| roles.contains(&grant)), "{roles}");
    creator.delete(&format!("/clusters/{cluster}")).ok();
}

/// A source that the caller has no access to looks like one that does not exist.
#[test]
fn restores_require_roles_on_source_and_destination() {
    let Scene { server, mine, other } = scene();
    let path = format!("/clusters/{mine}/restores");
    let [operator, developer, operator_of_source] = [
        ("CLUSTER_OPERATOR_WRITER", &mine),
        ("CLUSTER_DEVELOPER", &other),
        ("CLUSTER_OPERATOR_WRITER", &other),
    ]
    .map(|(role, cluster)| format!("{role}@{cluster}"));
    let key = |roles: &[&str]| server.with_key(&server.new_key(roles));
    let restore = |roles: &[&str], source: &str| {
        key(roles).post(&path, json!({ "type": "CLUSTER", "source_cluster_id": source }))
    };
    let backups =
        |source: &str| format!("/api/ootheca/v1/backups?source_cluster_id={source}&pagination.limit=1");
    for source in [other.as_str(), "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f", "not-a-uuid"] {
        assert_eq!(restore(&[&operator], source).refused(404), "source cluster does not exist");
        let listed = key(&[&operator]).raw("GET", &backups(source)).send();
        assert_eq!(listed.refused(404), "cluster does not exist");
    }
    restore(&[&operator, &developer], &other).refused(403);
    assert_eq!(restore(&[&operator_of_source], &other).refused(404), "cluster does not exist");
    let both = restore(&[&operator, &operator_of_source], &other);
    assert!(both.refused(400).contains("has no backup"), "{both}");
    let auditor = key(&["AUDITOR"]);
    auditor.raw("GET", &backups(&other)).send().ok();
    auditor.get(&format!("/clusters/{mine}/backups")).ok();
    auditor.get(&path).ok();
    restore(&["AUDITOR"], &other).refused(403);
}

#[test]
fn role_changes_take_effect_immediately() {
    let scene = scene();
    let (account, key) = scene.server.new_account("robot", &[]);
    let robot = scene.server.with_key(&key);
    let grant = format!("/roles/{account}/CLUSTER/{}/CLUSTER_DEVELOPER", scene.mine);
    let path = format!("/clusters/{}", scene.mine);
    robot.get(&path).refused(403);
    scene.server.request("POST", &grant).send().ok();
    robot.get(&path).ok();
    scene.server.delete(&grant).ok();
    robot.get(&path).refused(403);
}

#[test]
fn grants_require_the_right_to_grant() {
    let scene = scene();
    let (account, _) = scene.server.new_account("receiver", &[]);
    let cluster_admin =
        scene.server.with_key(&scene.server.new_key(&[&format!("CLUSTER_ADMIN@{}", scene.mine)]));
    let org_admin = scene.server.with_key(&scene.server.new_key(&["ORG_ADMIN"]));
    let folder_admin = scene.server.with_key(&scene.server.new_key(&["FOLDER_ADMIN"]));
    let grant = |client: &Client, path: &str| {
        client.request("POST", &format!("/roles/{account}/{path}")).send().status
    };
    let mine = format!("CLUSTER/{}", scene.mine);
    for role in ["CLUSTER_ADMIN", "CLUSTER_OPERATOR_WRITER", "CLUSTER_DEVELOPER"] {
        assert_eq!(grant(&cluster_admin, &format!("{mine}/{role}")), 200, "{role}");
    }
    assert_eq!(grant(&cluster_admin, &format!("{mine}/METRICS_VIEWER")), 403);
    // A cluster that the caller has no access to looks like one that does not exist.
    assert_eq!(grant(&cluster_admin, &format!("CLUSTER/{}/CLUSTER_DEVELOPER", scene.other)), 404);
    assert_eq!(grant(&cluster_admin, "ORGANIZATION//CLUSTER_DEVELOPER"), 403);
    assert_eq!(grant(&folder_admin, "ORGANIZATION//CLUSTER_DEVELOPER"), 403);
    assert_eq!(grant(&org_admin, "ORGANIZATION//BILLING_COORDINATOR"), 200);
    assert_eq!(grant(&org_admin, &format!("{mine}/METRICS_VIEWER")), 200);
    // Roles that do not exist, do not exist at this scope, or have no target.
    assert_eq!(grant(&org_admin, &format!("{mine}/ORG_ADMIN")), 400);
    assert_eq!(grant(&org_admin, "ORGANIZATION//EMPEROR"), 400);
    assert_eq!(grant(&org_admin, "PLANET//ORG_ADMIN"), 400);
    assert_eq!(grant(&org_admin, "CLUSTER/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f/CLUSTER_ADMIN"), 404);
    let escalate = json!({ "name": "sneaky", "roles": [{ "name": "ORG_ADMIN", "resource": { "type": "ORGANIZATION" } }] });
    let creator = scene.server.with_key(&scene.server.new_key(&["CLUSTER_ADMIN"]));
    creator.post("/service-accounts", escalate).refused(403);
    creator.post("/service-accounts", json!({ "name": "modest", "roles": [] })).ok();
}

/// A caller that manages roles on one cluster learns nothing about other clusters, folders, and roles.
#[test]
fn grantors_see_only_roles_that_they_can_grant() {
    let Scene { server, mine, other } = scene();
    let folder = server.post("/folders", json!({ "name": "hidden" })).text("/resource_id");
    let hidden = [format!("CLUSTER_DEVELOPER@{other}"), format!("FOLDER_MOVER@FOLDER/{folder}")];
    let held = ["ORG_ADMIN", &hidden[0], &hidden[1], &format!("METRICS_VIEWER@{mine}")];
    let (vip, _) = server.new_account("vip", &held);
    let (me, key) = server.new_account("cluster-admin", &[&format!("CLUSTER_ADMIN@{mine}")]);
    let cluster_admin = server.with_key(&key);
    let on =
        |client: &Client, method: &str, path: &str| client.request(method, &format!("/roles/{path}")).send();

    // A request that changes nothing is authorized too, and shows the roles on the caller's own cluster.
    let member = format!("{vip}/ORGANIZATION//ORG_MEMBER");
    on(&cluster_admin, "POST", &member).refused(403);
    on(&cluster_admin, "DELETE", &format!("{vip}/ORGANIZATION//BILLING_VIEWER")).refused(403);
    on(&cluster_admin, "POST", &format!("{vip}/CLUSTER/{mine}/METRICS_VIEWER")).refused(403);
    let seen = on(&cluster_admin, "DELETE", &format!("{vip}/CLUSTER/{mine}/CLUSTER_DEVELOPER"));
    assert_eq!(column(&seen.ok()["roles"], "name"), ["ORG_MEMBER", "METRICS_VIEWER"]);
    for role in ["ORG_ADMIN", "CLUSTER_ADMIN", "FOLDER_ADMIN"] {
        let seen = on(&server.with_key(&server.new_key(&[role])), "POST", &member);
        assert_eq!(seen.ok()["roles"].as_array().map(Vec::len), Some(held.len() + 1), "{role}: {seen}");
    }

    // Hidden resources look like resources that do not exist, in every request.
    let nowhere = "6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f";
    for (kind, id, role) in [("CLUSTER", &other, "CLUSTER_DEVELOPER"), ("FOLDER", &folder, "FOLDER_MOVER")] {
        for id in [id, nowhere] {
            let unknown = format!("{} does not exist", kind.to_lowercase());
            let billing = json!({ "name": "BILLING_VIEWER", "resource": { "type": "ORGANIZATION" } });
            let grant = json!({ "name": role, "resource": { "type": kind, "id": id } });
            let body = json!({ "roles": [billing, grant] });
            for who in [&vip, &me] {
                for method in ["POST", "DELETE"] {
                    let answer = on(&cluster_admin, method, &format!("{who}/{kind}/{id}/{role}"));
                    assert_eq!(answer.refused(404), unknown);
                }
                assert_eq!(cluster_admin.put(&format!("/roles/{who}"), body.clone()).refused(404), unknown);
            }
        }
    }
    // A caller cannot revoke roles that it has no access to.
    cluster_admin.put(&format!("/roles/{vip}"), json!({ "roles": [] })).refused(403);
}

/// AUDITOR can read all roles and grant none.
#[test]
fn auditors_read_all_roles_and_change_none() {
    let Scene { server, mine, .. } = scene();
    let folder = server.post("/folders", json!({ "name": "audited" })).text("/resource_id");
    let held = [
        "CLUSTER_DATA_ACCESSOR",
        &format!("AUDITOR@FOLDER/{folder}"),
        &format!("CLUSTER_DATA_ACCESSOR@FOLDER/{folder}"),
        &format!("AUDITOR@{mine}"),
        &format!("CLUSTER_DATA_ACCESSOR@{mine}"),
    ];
    let (account, _) = server.new_account("robot", &held);
    let path = format!("/roles/{account}");
    let all = server.get(&path);
    assert_eq!(all.ok()["roles"].as_array().map(Vec::len), Some(held.len() + 1), "{all}");
    let auditor = server.with_key(&server.new_key(&["AUDITOR"]));
    assert_eq!(auditor.get(&path).ok(), &all.body);
    assert_eq!(auditor.get("/roles").ok(), server.get("/roles").ok());
    auditor.put(&path, json!({ "roles": [] })).refused(403);
    for method in ["POST", "DELETE"] {
        auditor.request(method, &format!("{path}/ORGANIZATION//ORG_MEMBER")).send().refused(403);
    }
    // AUDITOR on a cluster can read that cluster, and no roles.
    let on_cluster = server.with_key(&server.new_key(&[&format!("AUDITOR@{mine}")]));
    on_cluster.get(&format!("/clusters/{mine}")).ok();
    on_cluster.get(&path).refused(403);
}

#[test]
fn data_accessors_manage_databases_only() {
    let Scene { server, mine, .. } = scene();
    let accessor = server.with_key(&server.new_key(&[&format!("CLUSTER_DATA_ACCESSOR@{mine}")]));
    let databases = format!("/clusters/{mine}/databases");
    accessor.post(&databases, json!({ "name": "shop" })).ok();
    accessor.patch(&format!("{databases}/shop"), json!({ "new_name": "store" })).ok();
    accessor.delete(&format!("{databases}/store")).ok();
    accessor.get(&format!("/clusters/{mine}/sql-users")).refused(403);
    accessor.delete(&format!("/clusters/{mine}")).refused(403);
}

#[test]
fn grantors_see_only_groups_with_roles_that_they_can_grant() {
    let Scene { server, mine, other } = scene();
    let scim = |path: &str, body: Value| {
        id(server.raw("POST", &format!("/api/scim/v2{path}")).json(&body).send().ok())
    };
    let ada = scim(
        "/Users",
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ada", "emails": [{ "value": "ada@example.com" }],
        }),
    );
    let group = scim(
        "/Groups",
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": "team", "members": [{ "value": ada }],
        }),
    );
    for cluster in [&mine, &other] {
        let grant = format!("/roles/{group}/CLUSTER/{cluster}/CLUSTER_DEVELOPER");
        server.request("POST", &grant).send().ok();
    }
    let cluster_admin = server.with_key(&server.new_key(&[&format!("CLUSTER_ADMIN@{mine}")]));
    let taken = cluster_admin.delete(&format!("/roles/{ada}/CLUSTER/{mine}/CLUSTER_ADMIN"));
    let roles = taken.ok()["group_roles"].as_array().cloned().unwrap_or_default();
    assert_eq!(roles.len(), 1, "{taken}");
    assert_eq!(roles[0]["role"]["resource"]["id"], json!(mine));
    let all = server.get(&format!("/roles/{ada}"));
    assert_eq!(all.ok()["group_roles"].as_array().map(Vec::len), Some(2));
}

#[test]
fn grants_on_deleted_resources_can_be_kept_and_revoked_but_not_granted() {
    let Scene { server, mine, other } = scene();
    let folder = server.post("/folders", json!({ "name": "short-lived" })).text("/resource_id");
    let held = [&*format!("CLUSTER_DEVELOPER@{mine}"), &format!("FOLDER_MOVER@FOLDER/{folder}")];
    let (account, _) = server.new_account("receiver", &held);
    let path = format!("/roles/{account}");
    let before = server.get(&path);
    server.delete(&format!("/clusters/{mine}")).ok();
    server.delete(&format!("/folders/{folder}")).ok();

    let mut roles = before.ok()["roles"].as_array().cloned().expect("roles");
    assert_eq!(server.put(&path, json!({ "roles": roles })).ok(), &before.body);
    roles.push(json!({ "name": "CLUSTER_DEVELOPER", "resource": { "type": "CLUSTER", "id": other } }));
    assert_eq!(server.put(&path, json!({ "roles": roles })).ok()["roles"].as_array().map(Vec::len), Some(4));
    let gone = [format!("CLUSTER/{mine}/CLUSTER_DEVELOPER"), format!("FOLDER/{folder}/FOLDER_MOVER")];
    for grant in &gone {
        let grant = format!("{path}/{grant}");
        server.request("POST", &grant).send().ok();
        for _ in 0..2 {
            server.delete(&grant).ok();
        }
        server.request("POST", &grant).send().refused(404);
    }
    server.put(&path, json!({ "roles": roles })).refused(404);
    assert_eq!(column(&server.get(&path).ok()["roles"], "name"), ["ORG_MEMBER", "CLUSTER_DEVELOPER"]);
    server.put(&path, json!({ "roles": null })).ok();

    // The same holds for several roles in one request.
    let cluster = id(&server.create_cluster("next-cluster", "BASIC"));
    let (account, _) = server.new_account("second", &[&format!("CLUSTER_DEVELOPER@{cluster}")]);
    server.delete(&format!("/clusters/{cluster}")).ok();
    let emptied = server.put(&format!("/roles/{account}"), json!({ "roles": null }));
    assert_eq!(column(&emptied.ok()["roles"], "name"), ["ORG_MEMBER"]);
    let named = json!([{ "name": "CLUSTER_ADMIN", "resource": { "type": "CLUSTER", "id": cluster } }]);
    server.post("/service-accounts", json!({ "name": "third", "roles": named })).refused(404);
}

#[test]
fn the_last_administrator_cannot_be_removed() {
    let server = simulated();
    let accounts = server.get("/service-accounts");
    let admin = id(&accounts.ok()["service_accounts"][0]);
    assert_eq!(accounts.body["service_accounts"][0]["name"], "admin");
    for role in ["ORG_ADMIN", "CLUSTER_ADMIN"] {
        server.delete(&format!("/roles/{admin}/ORGANIZATION//{role}")).refused(400);
    }
    server.put(&format!("/roles/{admin}"), json!({ "roles": [] })).refused(400);
    server.delete(&format!("/service-accounts/{admin}")).refused(400);
    server.delete(&format!("/roles/{admin}/ORGANIZATION//BILLING_COORDINATOR")).ok();
    let (_, second) = server.new_account("second", &["ORG_ADMIN", "CLUSTER_ADMIN"]);
    server.delete(&format!("/roles/{admin}/ORGANIZATION//CLUSTER_ADMIN")).ok();
    let second = server.with_key(&second);
    second.delete(&format!("/service-accounts/{admin}")).ok();
    server.get("/organization").refused(401);
    let grants = second.get("/roles");
    assert_eq!(grants.ok()["grants"].as_array().map(Vec::len), Some(1));
    let organization: Value = second.get("/organization").ok().clone();
    assert!(organization["id"].is_string() && organization["label"] == "ootheca");
}

#[test]
fn the_last_administrator_can_be_a_person() {
    let server = simulated();
    let scim = |client: &Client, method: &str, path: &str, body: Value| {
        client.raw(method, &format!("/api/scim/v2{path}")).json(&body).send()
    };
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ada", "emails": [{ "value": "ada@example.com" }],
    });
    let ada = id(scim(&server, "POST", "/Users", user.clone()).ok());
    for role in ["ORG_ADMIN", "CLUSTER_ADMIN"] {
        server.request("POST", &format!("/roles/{ada}/ORGANIZATION//{role}")).send().ok();
    }
    let (_, helper) = server.new_account("helper", &["ORG_ADMIN"]);
    let helper = server.with_key(&helper);
    let admin = id(&server.get("/service-accounts").ok()["service_accounts"][0]);
    helper.put(&format!("/roles/{admin}"), json!({ "roles": [] })).ok();

    let asleep = json!({ "userName": "ada", "active": false });
    let refusals = [
        scim(&helper, "DELETE", &format!("/Users/{ada}"), Value::Null),
        scim(&helper, "PUT", &format!("/Users/{ada}"), asleep.clone()),
        helper.raw("DELETE", &format!("/api/ootheca/v1/people/{ada}")).send(),
    ];
    for answer in refusals {
        assert!(String::from_utf8_lossy(&answer.bytes).contains("must hold both"), "{answer}");
        assert_eq!(answer.status, 400, "{answer}");
    }
    // A deactivated person does not count as an administrator.
    let grace = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "grace", "emails": [{ "value": "grace@example.com" }], "active": false,
    });
    let grace = id(scim(&helper, "POST", "/Users", grace).ok());
    for role in ["ORG_ADMIN", "CLUSTER_ADMIN"] {
        helper.request("POST", &format!("/roles/{grace}/ORGANIZATION//{role}")).send().ok();
    }
    scim(&helper, "DELETE", &format!("/Users/{ada}"), Value::Null).expect(400);
    scim(&helper, "PUT", &format!("/Users/{grace}"), json!({ "userName": "grace", "active": true })).ok();
    scim(&helper, "PUT", &format!("/Users/{ada}"), asleep).ok();
}

#[test]
fn malformed_principal_ids_are_refused() {
    let server = simulated();
    for (method, path) in [
        ("GET", "/roles/not-a-uuid"),
        ("PUT", "/roles/not-a-uuid"),
        ("POST", "/roles/not-a-uuid/ORGANIZATION//ORG_MEMBER"),
        ("DELETE", "/roles/not-a-uuid/ORGANIZATION//ORG_ADMIN"),
    ] {
        let request = server.request(method, path);
        let answer =
            if method == "PUT" { request.json(&json!({ "roles": [] })).send() } else { request.send() };
        assert!(answer.refused(400).contains("user_id: must be the ID of a user"), "{answer}");
    }
    let answer = server.get("/api-keys?service_account_id=not-a-uuid");
    assert!(answer.refused(400).contains("service_account_id: must be the ID"), "{answer}");
    server.get("/clusters/not-a-uuid").refused(404);
    server.get("/folders/not-a-uuid").refused(404);
}
