//! The filters of the list of service accounts.

use crate::support::{PROGRAM, column, id};
use ootheca_testkit::{Client, ServerBuilder, postgres::TemporaryPostgres};

fn names(client: &Client, query: &str) -> Vec<String> {
    column(&client.get(&format!("/service-accounts?{query}")).ok()["service_accounts"], "name")
}

fn filters(launch: ServerBuilder) {
    let server = launch.boot();
    let cluster = id(&server.create_cluster("some-cluster", "BASIC"));
    for (name, held) in [
        ("Build Ärger", vec!["AUDITOR".to_owned()]),
        ("build robot", vec![format!("CLUSTER_DATA_ACCESSOR@{cluster}"), "BILLING_VIEWER".to_owned()]),
        ("deploy robot", vec!["BILLING_VIEWER".to_owned()]),
        ("idle", Vec::new()),
    ] {
        server.new_account(name, &held.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let all = names(&server, "");
    assert_eq!(all.len(), 5, "{all:?}");
    for everyone in ["service_account_name=&roles=", "roles=ORG_MEMBER", "serviceAccountName="] {
        assert_eq!(names(&server, everyone), all, "{everyone}");
    }
    let by_name = [
        ("service_account_name=BUILD", &["Build Ärger", "build robot"][..]),
        ("service_account_name=%C3%A4RGER", &["Build Ärger"]),
        ("service_account_name=robot", &["build robot", "deploy robot"]),
        ("service_account_name=buildrobot", &[]),
        ("service_account_name=%25", &[]),
    ];
    let by_role = [
        ("roles=AUDITOR", &["Build Ärger"][..]),
        ("roles=CLUSTER_DATA_ACCESSOR", &["build robot"]),
        ("roles=AUDITOR&roles=CLUSTER_DATA_ACCESSOR", &["Build Ärger", "build robot"]),
        ("roles=BILLING_VIEWER&service_account_name=Deploy", &["deploy robot"]),
        ("roles=METRICS_VIEWER", &[]),
    ];
    for (query, expected) in by_name.into_iter().chain(by_role) {
        assert_eq!(names(&server, query), expected, "{query}");
    }
    let refused = server.get("/service-accounts?roles=AUDITOR&roles=EMPEROR");
    assert!(refused.refused(400).starts_with("invalid argument: roles: must be one of ORG_MEMBER, "));

    // A page has the requested size, and its token is bound to the filters.
    let query = "roles=BILLING_VIEWER&roles=AUDITOR&pagination.limit=1&pagination.page=";
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/service-accounts?{query}{token}"));
        seen.extend(column(&page.ok()["service_accounts"], "name"));
        token = page.text("/pagination/next_page");
        if token.is_empty() {
            break;
        }
        let other = server.get(&format!("/service-accounts?roles=AUDITOR&pagination.page={token}"));
        assert!(other.refused(400).contains("other parameters"), "{other}");
    }
    // The first account, which has ORG_ADMIN, reads billing only as billing coordinator.
    assert_eq!(seen, ["Build Ärger", "build robot", "deploy robot"]);
}

#[test]
fn service_accounts_are_filtered_by_name_and_role() {
    filters(ServerBuilder::new(PROGRAM));
}

#[test]
fn service_accounts_are_filtered_in_postgresql() {
    let postgres = TemporaryPostgres::start();
    filters(ServerBuilder::new(PROGRAM).store(&postgres.url()));
}
