//! Two organizations in one store never see each other, regardless of the roles of their callers.

use crate::support::{self, PASSWORD, id, simulated};
use ootheca_api::operations::{Method, Operation, Scope, TABLE};
use ootheca_model::{
    Organization, OrganizationId, PrincipalId, Role, ServiceAccount, Timestamp, identity::normal_grants,
};
use ootheca_server::{documents, identity::api_key::Secret, ids::fresh_id};
use ootheca_store::{Batch, Kind, Query, Row, Store};
use ootheca_testkit::{Answer, Client, Ootheca};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Direct access to the store of a server.
pub(crate) struct Rows {
    pub(crate) runtime: Runtime,
    pub(crate) store: Arc<dyn Store>,
}

impl Rows {
    pub(crate) fn open(server: &Ootheca) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let address = format!("sqlite:{}", server.data_dir().join("store.db").display());
        let store = runtime.block_on(ootheca_store::open(&address)).expect("the store");
        Self { runtime, store }
    }

    fn of(&self, kind: Kind, organization: Option<OrganizationId>) -> Vec<Row> {
        let query = Query { organization, ..Query::all(kind) };
        self.runtime.block_on(self.store.list(&query)).expect("rows")
    }

    /// All rows of an organization, except those that the server writes itself about its clusters and keys.
    fn all(&self, organization: OrganizationId) -> Vec<Row> {
        let noted =
            [Kind::Meter, Kind::UsageHour, Kind::UsageMonth, Kind::SqlCatalog, Kind::SqlCatalogBucket];
        let kinds = Kind::ALL.iter().filter(|kind| !noted.contains(kind));
        let rows = kinds.flat_map(|kind| self.of(*kind, Some(organization)));
        rows.map(|row| if row.kind == Kind::ApiKey { without_last_use(row) } else { row }).collect()
    }

    /// Creates a second organization in the same way as the first. Returns the key of its administrator.
    pub(crate) fn found(&self, label: &str) -> (OrganizationId, String) {
        let organization: Organization =
            documents::decode(self.of(Kind::Organization, None).remove(0)).expect("an organization").value;
        let admin: ServiceAccount =
            documents::decode(self.of(Kind::ServiceAccount, None).remove(0)).expect("an account").value;
        let new = OrganizationId(fresh_id());
        let organization =
            Organization { id: new, name: label.to_owned(), label: label.to_owned(), ..organization };
        let id = PrincipalId(fresh_id());
        let grants = normal_grants(admin.grants.iter().copied());
        let account = ServiceAccount { organization: new, id, grants, ..admin };
        let secret = Secret::random();
        let batch = Batch::server("test")
            .with(documents::insert(&organization).expect("a row"))
            .with(documents::insert(&account).expect("a row"))
            .with(documents::insert(&secret.key("admin", &account, account.created_at)).expect("a row"));
        self.runtime.block_on(self.store.commit(batch, Timestamp(1))).expect("commit");
        (new, secret.reveal())
    }
}

fn without_last_use(row: Row) -> Row {
    let mut document: Value = serde_json::from_str(&row.document).expect("a document");
    document.as_object_mut().expect("an object").remove("last_used_at");
    Row { document: document.to_string(), revision: 0, updated_at: row.created_at, ..row }
}

/// One organization: its administrator and its resources.
struct Side {
    organization: OrganizationId,
    admin: Client,
    /// A part of the name of each of its resources.
    mark: &'static str,
    folder: String,
    cluster: String,
    account: String,
    key: String,
    /// IDs that the other side never sends.
    hidden: Vec<String>,
}

impl Side {
    fn new(organization: OrganizationId, admin: Client, mark: &'static str) -> Self {
        let folder = |name: &str, parent: &str| {
            let body = json!({ "name": format!("{mark} {name}"), "parent_id": parent });
            admin.post("/folders", body).text("/resource_id")
        };
        let cluster = |name: &str, parent: &str| {
            let spec = json!({ "serverless": { "regions": ["us-central1"] }, "parent_id": parent });
            let name = format!("{mark}-{name}");
            id(admin
                .post("/clusters", json!({ "name": name, "provider": "GCP", "plan": "BASIC", "spec": spec }))
                .ok())
        };
        let account = |name: &str| {
            let account =
                id(admin.post("/service-accounts", json!({ "name": format!("{mark} {name}") })).ok());
            let body = json!({ "name": format!("{mark} {name}"), "service_account_id": account });
            let key = admin.post("/api-keys", body).text("/api_key/id");
            (account, key)
        };
        let (one, two) = (folder("one", "root"), folder("two", "root"));
        let inner = folder("inner", &one);
        let (first, second) = (cluster("first", &inner), cluster("second", "root"));
        let at = format!("/clusters/{first}");
        let user = json!({ "name": format!("{mark}_user"), "password": PASSWORD });
        admin.post(&format!("{at}/sql-users"), user).ok();
        admin.post(&format!("{at}/databases"), json!({ "name": format!("{mark}_database") })).ok();
        let entry =
            json!({ "cidr_ip": "203.0.113.0", "cidr_mask": 24, "name": mark, "sql": true, "ui": true });
        admin.post(&format!("{at}/networking/allowlist"), entry).ok();
        let (robot, key) = account("robot");
        let (other, other_key) = account("other robot");
        admin.request("POST", &format!("/roles/{robot}/FOLDER/{one}/CLUSTER_ADMIN")).send().ok();
        let hidden = vec![two, one, second, other, other_key];
        Self { organization, admin, mark, folder: inner, cluster: first, account: robot, key, hidden }
    }

    /// A caller of this side with these roles.
    fn caller(&self, roles: &[Role]) -> Client {
        let roles = roles.iter().map(|role| json!({ "name": role, "resource": { "type": "ORGANIZATION" } }));
        let body = json!({ "name": "caller", "roles": roles.collect::<Vec<_>>() });
        let account = id(self.admin.post("/service-accounts", body).ok());
        let key = self.admin.post("/api-keys", json!({ "name": "caller", "service_account_id": account }));
        self.admin.with_key(&key.text("/secret"))
    }

    /// Calls an operation with the IDs of `other` in every parameter.
    fn reach(client: &Client, row: &Operation, other: &Side) -> Answer {
        let fill = |name: &str| match name {
            "cluster_id" | "destination_cluster_id" | "resource_id" => other.cluster.as_str(),
            "folder_id" => &other.folder,
            "id" if row.path.contains("api-keys") => &other.key,
            "cidr_ip" => "203.0.113.0",
            "cidr_mask" => "24",
            "resource_type" => "CLUSTER",
            "role_name" => "CLUSTER_DEVELOPER",
            "name" => "somebody",
            _ => &other.account,
        };
        let path = support::path(row, |name| fill(name).to_owned());
        // With an invalid cursor, because a stream would not end.
        let query = format!("?cursor=none&service_account_id={}&show_inactive=true&count=100", other.account);
        let path = if row.method == Method::Get { path + &query } else { path };
        let request = client.raw(row.method.name(), &path);
        if row.has_body { request.json(&other.temptation()).send() } else { request.send() }
    }

    /// A body with the IDs of this side in every member that any operation reads.
    fn temptation(&self) -> Value {
        let cluster = json!({ "type": "CLUSTER", "id": self.cluster });
        let folder = json!({ "type": "FOLDER", "id": self.folder });
        json!({
            "name": "intruder", "new_name": "intruder", "password": PASSWORD, "provider": "GCP",
            "parent_id": self.folder, "service_account_id": self.account, "description": "",
            "spec": { "plan": "BASIC", "serverless": { "regions": ["us-central1"] }, "parent_id": self.folder },
            "roles": [
                { "name": "CLUSTER_DEVELOPER", "resource": cluster },
                { "name": "CLUSTER_DEVELOPER", "resource": folder },
            ],
            "cidr_ip": "198.51.100.0", "cidr_mask": 24, "sql": true, "ui": true,
            "restore_from": { "source_cluster_id": self.cluster },
            "source_cluster_id": self.cluster, "primary_cluster_id": self.cluster, "standby_cluster_id": self.cluster,
        })
    }
}

/// The part of a response that discloses something of `other`, if any.
fn leak(answer: &Answer, other: &Side) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.bytes).to_lowercase();
    let secrets = other.hidden.iter().map(String::as_str).chain([other.mark]);
    secrets.map(str::to_lowercase).find(|secret| text.contains(secret))
}

#[test]
fn two_organizations_in_one_store_never_see_each_other() {
    let mut server = simulated();
    server.terminate();
    let rows = Rows::open(&server);
    let first = rows.of(Kind::Organization, None)[0].organization;
    let (second, key) = rows.found("berta");
    server.start();
    let admin = server.client().clone();
    let sides = [Side::new(second, admin.with_key(&key), "berta"), Side::new(first, admin, "anton")];
    // The check finds a leak: responses to its own administrator contain the IDs.
    for side in &sides {
        let reads = TABLE.iter().filter(|row| row.implemented && row.method == Method::Get);
        let told = reads.filter(|row| leak(&Side::reach(&side.admin, row, side), side).is_some()).count();
        assert!(told >= 10, "only {told} responses contain IDs");
    }
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let roles = prop::sample::subsequence(Role::ALL, 0..=Role::ALL.len());
    let checked = runner.run(&(roles, any::<bool>()), |(roles, swapped)| {
        let (own, other) = if swapped { (&sides[1], &sides[0]) } else { (&sides[0], &sides[1]) };
        let before = rows.all(other.organization);
        // All roles at once are always included.
        for roles in [roles.as_slice(), Role::ALL] {
            let client = own.caller(roles);
            for row in &TABLE {
                let answer = Side::reach(&client, row, other);
                prop_assert_eq!(leak(&answer, other), None, "{}: {}", row.name, answer);
                let one = matches!(row.scope, Scope::Cluster(_) | Scope::Folder(_));
                prop_assert!(!one || answer.status != 200, "{}: {answer}", row.name);
            }
        }
        prop_assert_eq!(before, rows.all(other.organization));
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}
