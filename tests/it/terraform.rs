//! The official Terraform provider: the configuration of `docs/terraform.md`, applied, planned, updated,
//! imported, and destroyed with the requests that the provider sends, and with the state that it keeps.

mod cluster;
mod configuration;
mod contents;
mod identity;
mod provider;
mod requests;
mod restores;
mod windows;

use crate::support::{PASSWORD, column, id, real, simulated};
use cluster::Cluster;
use configuration::{Variables, configuration};
use contents::{Database, SqlUser};
use ootheca_testkit::Ootheca;
use provider::{NEWEST, OLDER, Provider, RELEASES, Release};
use serde_json::json;

fn nothing() -> Vec<String> {
    Vec::new()
}

/// Applies the configuration, and then all updates.
fn apply_plan_update_and_destroy(server: &Ootheca, release: &'static Release) {
    let mut terraform = Provider::new(server, release);
    let mut values = Variables::default();
    let created = terraform.apply(|terraform| configuration(terraform, &values));
    assert!(created.iter().all(|action| action.starts_with("create ")), "{created:?}");
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());

    values.update_all();
    let planned = terraform.plan(|terraform| configuration(terraform, &values));
    let expected = [
        "cockroach_folder.production /labels",
        "cockroach_cluster.sandbox /serverless/usage_limits",
        "cockroach_cluster.shop /backup_config/frequency_minutes /delete_protection /serverless/usage_limits",
        "cockroach_cluster.reports /dedicated/num_virtual_cpus",
        "cockroach_sql_user.app /password",
        "cockroach_database.orders /name",
        "cockroach_allow_list.office /name",
        "cockroach_maintenance_window.reports /offset_duration",
        "cockroach_version_deferral.reports /deferral_policy",
        "cockroach_blackout_window.freeze /end_time",
        "cockroach_service_account.deploy /name",
        "cockroach_api_key.deploy /name",
        "cockroach_user_role_grants.deploy /roles",
    ];
    assert_eq!(planned, expected.map(|change| format!("update {change}")));
    assert_eq!(terraform.apply(|terraform| configuration(terraform, &values)), planned);
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());

    values.delete_protection = false;
    values.storage_gib = 35;
    let planned = terraform.apply(|terraform| configuration(terraform, &values));
    let expected =
        ["cockroach_cluster.shop /delete_protection", "cockroach_cluster.reports /dedicated/storage_gib"];
    assert_eq!(planned, expected.map(|change| format!("update {change}")));
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());

    let addresses = terraform.destroy();
    assert_eq!(addresses.len(), created.len());
    for (path, list) in [("/clusters", "clusters"), ("/folders", "folders")] {
        assert_eq!(server.get(path).ok()[list], json!([]), "{path}");
    }
    let accounts = server.get("/service-accounts");
    assert_eq!(accounts.ok()["service_accounts"].as_array().map(Vec::len), Some(1), "{accounts}");
}

#[test]
fn a_plan_after_an_apply_is_empty() {
    apply_plan_update_and_destroy(&simulated(), &NEWEST);
}

#[test]
fn a_plan_after_an_apply_is_empty_on_postgresql() {
    apply_plan_update_and_destroy(&real(), &NEWEST);
}

#[test]
fn a_plan_after_an_apply_is_empty_in_the_release_before() {
    apply_plan_update_and_destroy(&simulated(), &OLDER);
}

#[test]
fn a_plan_after_an_import_only_contains_what_cannot_be_read() {
    for release in RELEASES {
        import_and_plan(release);
    }
}

fn import_and_plan(release: &'static Release) {
    let server = simulated();
    let mut terraform = Provider::new(&server, release);
    let mut values = Variables::default();
    terraform.apply(|terraform| configuration(terraform, &values));
    let differs = terraform.import_all();
    let expected = [
        "cockroach_cluster.shop/serverless/with_empty_ip_allowlist",
        "cockroach_cluster.reports/regions/0/machine_type",
        "cockroach_cluster.reports/regions/0/num_virtual_cpus",
        "cockroach_sql_user.app/password",
    ];
    assert_eq!(differs, expected);
    values.empty_allowlist = None;
    let expected = [
        "update cockroach_cluster.reports /regions/0/machine_type /regions/0/num_virtual_cpus",
        "update cockroach_sql_user.app /password",
    ];
    assert_eq!(terraform.apply(|terraform| configuration(terraform, &values)), expected);
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());
    terraform.destroy();
}

#[test]
fn the_documented_configuration_is_the_tested_one() {
    let server = simulated();
    let mut terraform = Provider::new(&server, &NEWEST);
    terraform.apply(|terraform| configuration(terraform, &Variables::default()));
    let mut tested = terraform.destroy();
    let page = include_str!("../../docs/terraform.md");
    let mut documented: Vec<String> = page
        .lines()
        .filter_map(|line| {
            let parts: Vec<&str> = line.strip_prefix("resource ")?.split('"').collect();
            Some(format!("{}.{}", parts.get(1)?, parts.get(3)?))
        })
        .collect();
    tested.sort();
    documented.sort();
    assert_eq!(tested, documented);
}

#[test]
fn plans_of_a_cluster_can_be_changed() {
    for release in RELEASES {
        change_plans(release);
    }
}

fn change_plans(release: &'static Release) {
    let server = simulated();
    let mut terraform = Provider::new(&server, release);
    let steps = [
        ("BASIC", json!({ "request_unit_limit": 50_000_000, "storage_mib_limit": 5120 })),
        ("BASIC", json!({})),
        ("STANDARD", json!({ "provisioned_virtual_cpus": 6 })),
        ("BASIC", json!({})),
    ];
    for (plan, limits) in steps {
        let config = json!({
            "name": "changing", "cloud_provider": "GCP", "plan": plan,
            "serverless": { "usage_limits": limits }, "regions": [{ "name": "us-central1" }],
        });
        let configuration = |terraform: &mut Provider| {
            terraform.resource(&Cluster, "cockroach_cluster.changing", config.clone());
        };
        assert_eq!(terraform.apply(configuration).len(), 1, "{plan}");
        assert_eq!(terraform.plan(configuration), nothing(), "{plan}");
    }
}

#[test]
fn machines_of_a_region_and_its_endpoint_on_aws() {
    let server = simulated();
    let mut terraform = Provider::new(&server, &NEWEST);
    let shown = |terraform: &mut Provider, name: &str, cpus: i64| {
        let config = json!({
            "name": name, "cloud_provider": "AWS", "plan": "ADVANCED",
            "dedicated": { "storage_gib": 15, "disk_iops": 500 },
            "regions": [{ "name": "us-east-1", "node_count": 1, "num_virtual_cpus": cpus }],
        });
        terraform.resource(&Cluster, &format!("cockroach_cluster.{name}"), config)["regions"][0].clone()
    };
    let mut seen = Vec::new();
    for cpus in [4, 8] {
        terraform.apply(|terraform| seen.push(shown(terraform, "mixed-one", cpus)));
        assert_eq!(terraform.plan(|terraform| drop(shown(terraform, "mixed-one", cpus))), nothing());
    }
    assert_eq!(column(&json!(seen), "machine_type"), ["m6i.xlarge", "m6i.2xlarge"]);
    terraform.apply(|terraform| seen.push(shown(terraform, "mixed-two", 4)));
    let endpoints = column(&json!(seen), "s3_vpc_endpoint_id");
    assert_eq!(endpoints[0], endpoints[1], "stable");
    assert_ne!(endpoints[0], endpoints[2], "one for each cluster");
    let digits = endpoints[0].strip_prefix("vpce-").expect("an ID of AWS");
    assert!(digits.len() == 17 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{digits}");
    let clusters = server.get("/clusters");
    assert_eq!(clusters.ok()["clusters"][0]["regions"][0]["disk_iops"], 500);
}

#[test]
fn nodes_and_regions_of_an_advanced_cluster_can_be_changed() {
    for release in RELEASES {
        change_nodes(release);
    }
}

fn change_nodes(release: &'static Release) {
    let server = simulated();
    let mut terraform = Provider::new(&server, release);
    let east = |nodes: i64| json!({ "name": "us-east1", "node_count": nodes });
    let west = json!({ "name": "us-west2", "node_count": 3 });
    let steps = [
        (4, json!([east(1)])),
        (4, json!([east(3)])),
        (8, json!([east(5)])),
        (8, json!([east(3), west])),
        (8, json!([east(3)])),
    ];
    for (cpus, regions) in steps {
        let config = json!({
            "name": "scaled-one", "cloud_provider": "GCP", "plan": "ADVANCED",
            "dedicated": { "storage_gib": 15, "num_virtual_cpus": cpus }, "regions": regions,
        });
        let configuration = |terraform: &mut Provider| {
            terraform.resource(&Cluster, "cockroach_cluster.scaled", config.clone());
        };
        assert_eq!(terraform.apply(configuration).len(), 1, "{regions}");
        assert_eq!(terraform.plan(configuration), nothing(), "{regions}");
    }
    terraform.destroy();
}

#[test]
fn the_configuration_works_with_postgresql() {
    let server = real();
    let mut terraform = Provider::new(&server, &NEWEST);
    let cluster = json!({
        "name": "shop-sandbox", "cloud_provider": "GCP", "plan": "BASIC",
        "serverless": { "usage_limits": {} }, "regions": [{ "name": "us-central1" }],
    });
    let configuration = |terraform: &mut Provider, password: &str, database: &str| {
        let cluster = terraform.resource(&Cluster, "cockroach_cluster.sandbox", cluster.clone());
        let user = json!({ "cluster_id": cluster["id"], "name": "app", "password": password });
        terraform.resource(&SqlUser, "cockroach_sql_user.app", user);
        let database = json!({ "cluster_id": cluster["id"], "name": database });
        terraform.resource(&Database, "cockroach_database.orders", database);
        id(&cluster)
    };
    let mut cluster_id = String::new();
    for (password, database) in [(PASSWORD, "orders"), ("another long password", "sales")] {
        terraform.apply(|terraform| cluster_id = configuration(terraform, password, database));
        let planned = terraform.plan(|terraform| drop(configuration(terraform, password, database)));
        assert_eq!(planned, nothing());
        let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
        assert_eq!(server.psql(&cluster_id, "app", password, &sql).ok(), "1");
    }
    terraform.destroy();
    server.get(&format!("/clusters/{cluster_id}/databases")).refused(404);
}
