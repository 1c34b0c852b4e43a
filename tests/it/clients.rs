//! Requests that were recorded from the official Terraform provider, and responses as the official Go SDK
//! decodes them.

use crate::support::{PASSWORD, column, id, simulated};
use ootheca_testkit::{Answer, Client, Ootheca, ServerBuilder};
use serde_json::{Value, json};

/// The version that the newest provider and SDK send.
const VERSION: &str = "2026-09-15";

/// Operations that version [`VERSION`] added and that are not implemented yet.
const NOT_BUILT: [(&str, &str); 17] = [
    ("POST", "/clusters/{cluster}/migration-assistant"),
    ("GET", "/clusters/{cluster}/migration-assistant"),
    ("DELETE", "/clusters/{cluster}/migration-assistant"),
    ("GET", "/clusters/{cluster}/migration-assistant/source-ca-cert"),
    ("PATCH", "/clusters/{cluster}/migration-assistant/source-ca-cert"),
    ("DELETE", "/clusters/{cluster}/migration-assistant/source-ca-cert"),
    ("GET", "/clusters/{cluster}/runtime-scanning"),
    ("POST", "/clusters/{cluster}/runtime-scanning"),
    ("DELETE", "/clusters/{cluster}/runtime-scanning"),
    ("GET", "/service-accounts/{id}/credentials"),
    ("POST", "/service-accounts/{id}/credentials"),
    ("DELETE", "/service-accounts/{id}/credentials/{id}"),
    ("GET", "/virtual-cluster-workspaces"),
    ("GET", "/virtual-cluster-workspaces/{id}"),
    ("PATCH", "/virtual-cluster-workspaces/{id}"),
    ("POST", "/virtual-cluster-workspaces/{id}/clusters"),
    ("PATCH", "/virtual-cluster-workspaces/{id}/clusters/{cluster}"),
];

/// Sends a request as the provider does.
#[track_caller]
fn provider(client: &Client, method: &str, path: &str, body: &str) -> Answer {
    let client = client.with_version(VERSION);
    let request = client.raw(method, &format!("/api/v1{path}"));
    let request = request
        .header("user-agent", "terraform-provider-cockroach/1.23.1 terraform/1.13.0")
        .header("cc-client", "terraform")
        .header("accept", "application/json");
    let answer = match body {
        "" => request.send(),
        body => request.header("content-type", "application/json").body(format!("{body}\n")).send(),
    };
    assert_eq!(answer.header("cc-version"), Some(VERSION), "{answer}");
    answer
}

#[track_caller]
fn create(server: &Ootheca, body: &str) -> Value {
    let made = provider(server, "POST", "/clusters", body);
    let id = id(made.ok());
    // After a 404, Terraform would lose track of the cluster.
    provider(server, "GET", &format!("/clusters/{id}"), "").ok();
    server.when_created(&id)
}

const BASIC: &str = r#"{"name":"demo-basic","provider":"GCP","spec":{"delete_protection":"DISABLED","labels":{"env":"dev"},"plan":"BASIC","serverless":{"regions":["us-central1"],"usage_limits":{"request_unit_limit":"10000000000","storage_mib_limit":"102400"}}}}"#;
const STANDARD: &str = r#"{"name":"demo-standard","provider":"AWS","spec":{"delete_protection":"DISABLED","plan":"STANDARD","serverless":{"primary_region":"us-east-1","regions":["us-west-2","us-east-1"],"upgrade_type":"MANUAL","usage_limits":{"provisioned_virtual_cpus":"2"},"with_empty_ip_allowlist":true}}}"#;
const PLAIN: &str = r#"{"name":"demo-plain","provider":"GCP","spec":{"delete_protection":"DISABLED","serverless":{"regions":["us-central1"]}}}"#;
const ADVANCED: &str = r#"{"name":"demo-adv","provider":"GCP","spec":{"dedicated":{"cidr_range":"172.28.0.0/16","cockroach_version":"v25.1","hardware":{"machine_spec":{"num_virtual_cpus":4},"storage_gib":15},"network_visibility":"PRIVATE","region_nodes":{"us-east1":1},"supports_cluster_virtualization":false},"delete_protection":"DISABLED","plan":"ADVANCED"}}"#;

#[test]
fn lifecycle_of_a_basic_cluster() {
    let server = simulated();
    let cluster = create(&server, BASIC);
    let path = format!("/clusters/{}", id(&cluster));
    for member in [
        "id",
        "name",
        "cloud_provider",
        "plan",
        "state",
        "cockroach_version",
        "creator_id",
        "operation_status",
        "upgrade_status",
        "parent_id",
        "delete_protection",
        "cidr_range",
        "account_id",
    ] {
        assert!(cluster[member].is_string(), "{member}: {cluster}");
    }
    assert_eq!((&cluster["parent_id"], &cluster["labels"]), (&json!("root"), &json!({ "env": "dev" })));
    let limits = json!({ "request_unit_limit": "10000000000", "storage_mib_limit": "102400" });
    assert_eq!(cluster["config"]["serverless"]["usage_limits"], limits);
    let full = cluster["cockroach_version"].as_str().expect("a version");
    assert!(full.starts_with('v') && full.split('.').count() == 3, "{full}");

    let update = r#"{"delete_protection":"ENABLED","labels":{},"plan":"BASIC","serverless":{"primary_region":"","regions":["us-central1"],"usage_limits":{}}}"#;
    let updated = provider(&server, "PATCH", &path, update);
    assert_eq!(updated.text("/delete_protection"), "ENABLED");
    let cluster = provider(&server, "GET", &path, "");
    assert_eq!(cluster.ok()["labels"], json!({}), "an object, not null");
    assert!(
        cluster.body["config"]["serverless"].get("usage_limits").is_none(),
        "omitted when empty: {cluster}"
    );
    provider(&server, "DELETE", &path, "").refused(400);
    provider(&server, "PATCH", &path, r#"{"delete_protection":"DISABLED","plan":"BASIC"}"#).ok();
    assert_eq!(provider(&server, "DELETE", &path, "").ok()["state"], "DELETED");
    assert_eq!(provider(&server, "GET", &path, "").ok()["state"], "DELETED");
    for child in ["/sql-users", "/databases", "/networking/allowlist", "/nodes", "/connection-string"] {
        provider(&server, "GET", &format!("{path}{child}"), "").refused(404);
    }
    assert_ne!(id(&create(&server, BASIC)), id(&cluster.body), "the name is available immediately");
}

#[test]
fn a_standard_cluster_in_two_regions() {
    let server = simulated();
    let cluster = create(&server, STANDARD);
    assert_eq!(column(&cluster["regions"], "name"), ["us-east-1", "us-west-2"], "sorted");
    let primary: Vec<bool> = [0, 1].map(|n| cluster["regions"][n]["primary"] == true).to_vec();
    assert_eq!(primary, [true, false]);
    assert_eq!(cluster["regions"][0]["node_count"], 0);
    assert_eq!(cluster["config"]["serverless"]["upgrade_type"], "MANUAL");
    let path = format!("/clusters/{}", id(&cluster));
    let list = provider(
        &server,
        "GET",
        &format!("{path}/networking/allowlist?pagination.limit=500&pagination.page="),
        "",
    );
    assert_eq!(list.ok()["allowlist"], json!([]), "the allowlist is empty");
    let update = r#"{"plan":"STANDARD","serverless":{"primary_region":"us-east-1","regions":["us-west-2","us-east-1"],"usage_limits":{"provisioned_virtual_cpus":"4"}}}"#;
    provider(&server, "PATCH", &path, update).ok();
    let after = server.when_created(&id(&cluster));
    assert_eq!(after["config"]["serverless"]["usage_limits"], json!({ "provisioned_virtual_cpus": "4" }));
    assert_eq!(after["config"]["serverless"]["upgrade_type"], "MANUAL", "left alone");
    for stable in ["sql_dns", "creator_id", "regions"] {
        assert_eq!(after[stable], cluster[stable], "{stable} must never change");
    }
}

#[test]
fn an_absent_plan_is_derived() {
    let server = simulated();
    let plain = create(&server, PLAIN);
    assert_eq!((&plain["plan"], plain["config"]["serverless"].get("usage_limits")), (&json!("BASIC"), None));
    let vcpus = PLAIN
        .replace("demo-plain", "demo-vcpus")
        .replace(r#"["us-central1"]"#, r#"["us-central1"],"usage_limits":{"provisioned_virtual_cpus":"2"}"#);
    assert_eq!(create(&server, &vcpus)["plan"], "STANDARD");
    let dedicated = create(&server, &ADVANCED.replace(r#","plan":"ADVANCED""#, ""));
    assert_eq!(dedicated["plan"], "ADVANCED");
}

#[test]
fn an_advanced_cluster() {
    let server = simulated();
    let cluster = create(&server, ADVANCED);
    let dedicated = &cluster["config"]["dedicated"];
    assert_eq!((&dedicated["num_virtual_cpus"], &dedicated["storage_gib"]), (&json!(4), &json!(15)));
    assert!(cluster["config"].get("serverless").is_none());
    assert_eq!(
        (&cluster["cidr_range"], &cluster["network_visibility"]),
        (&json!("172.28.0.0/16"), &json!("PRIVATE"))
    );
    let region = &cluster["regions"][0];
    assert_eq!((&region["node_count"], region.get("s3_vpc_endpoint_id")), (&json!(1), None));
    assert_eq!((&region["num_virtual_cpus"], &region["machine_type"]), (&json!(4), &json!("n2-standard-4")));
    let path = format!("/clusters/{}", id(&cluster));
    let update = r#"{"dedicated":{"hardware":{"machine_spec":{"num_virtual_cpus":8},"storage_gib":35},"region_nodes":{"us-east1":1}},"plan":"ADVANCED"}"#;
    provider(&server, "PATCH", &path, update).ok();
    let after = server.when_created(&id(&cluster));
    let dedicated = &after["config"]["dedicated"];
    assert_eq!((&dedicated["num_virtual_cpus"], &dedicated["storage_gib"]), (&json!(8), &json!(35)));
    assert_eq!(after["regions"][0]["machine_type"], dedicated["machine_type"]);
}

#[test]
fn an_advanced_cluster_with_several_nodes() {
    let server = simulated();
    let cluster = create(&server, &ADVANCED.replace(r#""us-east1":1"#, r#""us-east1":3"#));
    assert_eq!(cluster["regions"][0]["node_count"], 3);
    let path = format!("/clusters/{}", id(&cluster));
    let update = r#"{"dedicated":{"hardware":{"machine_spec":{"num_virtual_cpus":8},"storage_gib":15},"region_nodes":{"us-east1":5}},"plan":"ADVANCED"}"#;
    provider(&server, "PATCH", &path, update).ok();
    let after = server.when_created(&id(&cluster));
    assert_eq!(after["regions"][0]["node_count"], 5);
    assert_eq!(after["config"]["dedicated"]["num_virtual_cpus"], 8);
    for member in ["sql_dns", "creator_id"] {
        assert_eq!(after[member], cluster[member], "{member} never changes");
    }
    let two = r#""us-east1":3,"us-west2":3"#;
    let more = ADVANCED.replace("demo-adv", "demo-two").replace(r#""us-east1":1"#, two);
    let regions = &create(&server, &more)["regions"];
    assert_eq!(column(regions, "name"), ["us-east1", "us-west2"]);
}

#[test]
fn users_databases_and_allowlist_entries() {
    let server = simulated();
    let at = format!("/clusters/{}", id(&create(&server, BASIC)));
    let user = format!(r#"{{"name":"maxroach","password":"{PASSWORD}"}}"#);
    provider(&server, "POST", &format!("{at}/sql-users"), &user).ok();
    let list = provider(&server, "GET", &format!("{at}/sql-users?pagination.limit=500&pagination.page="), "");
    assert_eq!(
        (&list.ok()["users"], &list.body["pagination"]["next_page"]),
        (&json!([{ "name": "maxroach" }]), &json!(""))
    );
    provider(&server, "POST", &format!("{at}/sql-users"), &user).refused(409);

    provider(&server, "POST", &format!("{at}/databases"), r#"{"name":"app-db"}"#).ok();
    let edited =
        provider(&server, "PATCH", &format!("{at}/databases/app-db"), r#"{"name":"","new_name":"app-db2"}"#);
    assert_eq!(edited.text("/name"), "app-db2");
    let list = provider(&server, "GET", &format!("{at}/databases?pagination.limit=500&pagination.page="), "");
    assert_eq!(column(&list.ok()["databases"], "name"), ["app-db2", "defaultdb"]);
    for database in list.body["databases"].as_array().expect("a list") {
        assert!(database.get("table_count").is_none_or(Value::is_string), "int64 is a string: {database}");
    }
    provider(&server, "DELETE", &format!("{at}/databases/app-db2"), "").ok();

    let entry = r#"{"cidr_ip":"203.0.113.0","cidr_mask":24,"name":"office","sql":true,"ui":false}"#;
    let added = provider(&server, "POST", &format!("{at}/networking/allowlist"), entry);
    assert_eq!(*added.ok(), serde_json::from_str::<Value>(entry).expect("JSON"), "returned unchanged");
    let path = format!("{at}/networking/allowlist/203.0.113.0/24");
    let edited = provider(&server, "PATCH", &path, r#"{"sql":true,"ui":true}"#);
    assert_eq!(
        (&edited.ok()["name"], &edited.body["ui"]),
        (&json!("office"), &json!(true)),
        "an absent name stays"
    );
    provider(&server, "DELETE", &path, "").ok();
    provider(&server, "DELETE", &path, "").refused(404);
}

#[test]
fn service_accounts_keys_and_grants() {
    let server = simulated();
    let body = r#"{"description":"","name":"sa with spaces","roles":[]}"#;
    let account = id(provider(&server, "POST", "/service-accounts", body).ok());
    assert_ne!(
        id(provider(&server, "POST", "/service-accounts", body).ok()),
        account,
        "names need not be unique"
    );
    let roles = provider(&server, "GET", &format!("/roles/{account}"), "");
    assert_eq!(column(&roles.ok()["roles"], "name"), ["ORG_MEMBER"]);
    let key = provider(
        &server,
        "POST",
        "/api-keys",
        &json!({ "name": "k", "service_account_id": account }).to_string(),
    );
    let (key_id, secret) = (key.text("/api_key/id"), key.text("/secret"));
    assert_eq!(
        (key_id.len(), secret.len(), secret.starts_with(&format!("{key_id}_"))),
        (28, 69, true),
        "{key}"
    );
    provider(&server, "GET", &format!("/api-keys/{key_id}"), "").ok();

    // The empty segment is the organization. The POST without a body has no content type.
    let grant = format!("/roles/{account}/ORGANIZATION//CLUSTER_DEVELOPER");
    for _ in 0..2 {
        let granted = provider(&server, "POST", &grant, "");
        assert_eq!(column(&granted.ok()["roles"], "name").len(), 2, "{granted}");
    }
    for _ in 0..2 {
        provider(&server, "DELETE", &grant, "").ok();
    }
    let put = r#"{"roles":[{"name":"ORG_ADMIN","resource":{"id":"","type":"ORGANIZATION"}},{"name":"ORG_MEMBER","resource":{"id":"","type":"ORGANIZATION"}}]}"#;
    let set = provider(&server, "PUT", &format!("/roles/{account}"), put);
    assert_eq!(set.ok()["roles"].as_array().map(Vec::len), Some(2), "{set}");
    let set = provider(&server, "PUT", &format!("/roles/{account}"), r#"{"roles":null}"#);
    assert_eq!(column(&set.ok()["roles"], "name"), ["ORG_MEMBER"]);
    let unknown = provider(&server, "GET", "/roles/6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f", "");
    assert_eq!(unknown.ok()["roles"], json!([]), "200 and nothing");
    provider(&server, "DELETE", &format!("/service-accounts/{account}"), "").ok();
    server.with_key(&secret).get("/organization").refused(401);
    provider(&server, "DELETE", &format!("/service-accounts/{account}"), "").refused(404);
}

#[test]
fn people_are_found_by_email() {
    let server = ServerBuilder::new(crate::support::PROGRAM)
        .env("OOTHECA_ORGANIZATION__PEOPLE", r#"["a+b@example.com"]"#)
        .boot();
    let found = provider(&server, "GET", "/users/persons-by-email?email=a%2Bb%40example.com", "");
    assert_eq!(found.text("/user/email"), "a+b@example.com");
    let person = found.text("/user/id");
    provider(&server, "POST", &format!("/roles/{person}/ORGANIZATION//BILLING_VIEWER"), "").ok();
    provider(&server, "GET", "/users/persons-by-email?email=nobody%40example.com", "").refused(404);
    provider(&server, "GET", "/users/persons-by-email", "").refused(400);
}

#[test]
fn all_spellings_of_the_clients_are_accepted() {
    let server = simulated();
    let camel = json!({
        "name": "camel-case", "provider": "GCP", "unheardOf": { "x": [1, 2] },
        "spec": { "deleteProtection": "DISABLED", "plan": "STANDARD", "serverless": {
            "regions": ["us-central1"], "usageLimits": { "provisionedVirtualCpus": 3 }, "spendLimit": 100,
        }},
    });
    let cluster = create(&server, &camel.to_string());
    assert_eq!(cluster["config"]["serverless"]["usage_limits"], json!({ "provisioned_virtual_cpus": "3" }));
    let at = format!("/clusters/{}", id(&cluster));
    provider(&server, "POST", &format!("{at}/databases"), r#"{"name":"a.b-c"}"#).ok();
    let edited = provider(&server, "PATCH", &format!("{at}/databases/%61%2Eb%2Dc"), r#"{"newName":"d"}"#);
    assert_eq!(edited.text("/name"), "d", "names in paths are decoded");
    let odd = provider(&server, "DELETE", &format!("{at}/databases/a%2Fb%20c%3Fd%25e%23%C3%A9"), "");
    odd.refused(404);
    for query in ["paginationLimit=1", "pagination.limit=0", "nonsense=1", "pagination.limit=100000"] {
        provider(&server, "GET", &format!("/clusters?{query}"), "").ok();
    }
    let parent = PLAIN
        .replace(r#""serverless""#, r#""parent_id":"6f5e9d3a-0d9c-4d6f-8d5e-3a1b2c3d4e5f","serverless""#);
    let refused = provider(&server, "POST", "/clusters", &parent);
    assert_eq!(refused.refused(400), "invalid argument: the parent must exist");
}

#[test]
fn connection_strings_and_the_certificate() {
    let server = simulated();
    let cluster = create(&server, BASIC);
    let at = format!("/clusters/{}", id(&cluster));
    let answer = provider(
        &server,
        "GET",
        &format!("{at}/connection-string?database=app-db&os=LINUX&sql_user=maxroach"),
        "",
    );
    let params = &answer.ok()["params"];
    assert_eq!((&params["Database"], &params["Username"]), (&json!("app-db"), &json!("maxroach")));
    assert_eq!(params["Port"], server.sql_address().port().to_string());
    let string = answer.text("/connection_string");
    assert!(
        string.starts_with("postgresql://maxroach@") && string.contains("sslmode=verify-full"),
        "{string}"
    );
    let bare = provider(&server, "GET", &format!("{at}/connection-string"), "");
    assert!(
        !bare.text("/connection_string").contains('@') && bare.text("/params/Database") == "defaultdb",
        "{bare}"
    );
    let certificate = server.anonymous().unversioned().raw("GET", &format!("{at}/cert")).send();
    assert!(
        certificate.status == 200 && certificate.bytes.starts_with(b"-----BEGIN CERTIFICATE-----"),
        "{certificate}"
    );
}

/// The provider repeats a call that fails with any 5xx status, including 501, for two hours. It does not
/// repeat a call that fails with 404.
#[test]
fn unimplemented_operations_of_the_newest_version_return_404() {
    let server = simulated();
    let cluster = id(&create(&server, BASIC));
    let account = id(&server.get("/service-accounts").ok()["service_accounts"][0]);
    for (method, path) in NOT_BUILT {
        let path = path.replace("{cluster}", &cluster).replace("{id}", &account);
        let body = if matches!(method, "POST" | "PATCH") { r#"{"type":"WIZ"}"# } else { "" };
        let missing = format!("path /api/v1{path} does not exist");
        assert_eq!(provider(&server, method, &path, body).refused(404), missing);
        // The same holds for every other method, and for unauthenticated callers.
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(provider(&server, method, &path, "").refused(404), missing, "{method}");
        }
        assert_eq!(provider(&server.anonymous(), method, &path, body).refused(404), missing);
        let answer = server.with_version("2024-09-16").raw(method, &format!("/api/v1{path}")).send();
        assert_eq!(answer.refused(404), missing);
    }
}
