//! The official Terraform provider: the configuration of `docs/terraform.md`, applied, planned, updated,
//! imported, and destroyed with the requests that the provider sends, and with the state that it keeps.

mod cluster;
mod configuration;
mod contents;
mod identity;
mod provider;
mod restores;
mod windows;

use crate::{
    backups::shared::{HOUR, boot, now, take_backup},
    support::{PASSWORD, advance, column, id, in_days, real, simulated},
};
use cluster::Cluster;
use configuration::{Variables, configuration};
use contents::{Database, SqlUser};
use ootheca_testkit::{Engine, Ootheca};
use provider::{NEWEST, OLDER, Provider, Release, text};
use restores::{Restore, newest};
use serde_json::{Value, json};
use windows::{BlackoutWindow, MaintenanceWindow, VersionDeferral};

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

    values.request_unit_limit *= 2;
    values.virtual_cpus = 4;
    values.node_cpus = 8;
    values.backup_minutes = 1440;
    values.delete_protection = true;
    values.labels = json!({});
    values.password = "another long password";
    values.database = "sales";
    values.network = "branch";
    values.maintenance_offset = 0;
    values.deferral = "FIXED_DEFERRAL";
    values.freeze_end = in_days(11);
    values.name = "deployer";
    values.role = "CLUSTER_ADMIN";
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
    let server = simulated();
    let mut terraform = Provider::new(&server, &NEWEST);
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

/// Requests that were recorded from the provider.
#[test]
fn requests_are_those_of_the_provider() {
    let server = simulated();
    let mut terraform = Provider::new(&server, &OLDER);
    let cluster = |terraform: &mut Provider, limits: Value, labels: Value, protection: Option<bool>| {
        let config = json!({
            "name": "demo-basic", "cloud_provider": "GCP", "plan": "BASIC", "labels": labels,
            "serverless": { "usage_limits": limits }, "regions": [{ "name": "us-central1" }],
            "delete_protection": protection,
        });
        terraform.resource(&Cluster, "cockroach_cluster.demo", config)
    };
    let limits = json!({ "request_unit_limit": 10_000_000_000_i64, "storage_mib_limit": 102_400 });
    let mut at = String::new();
    terraform.apply(|terraform| {
        at = text(&cluster(terraform, limits, json!({ "env": "dev" }), None), "id");
        let user = json!({ "cluster_id": at, "name": "maxroach", "password": "hunter2hunter2" });
        terraform.resource(&SqlUser, "cockroach_sql_user.demo", user);
    });
    terraform.apply(|terraform| {
        cluster(terraform, Value::Null, json!({}), Some(true));
        let database = json!({ "cluster_id": at, "name": "app-db" });
        terraform.resource(&Database, "cockroach_database.demo", database);
    });
    terraform.apply(|terraform| {
        cluster(terraform, Value::Null, json!({}), Some(false));
        let database = json!({ "cluster_id": at, "name": "app-db2" });
        terraform.resource(&Database, "cockroach_database.demo", database);
    });
    terraform.destroy();
    let cluster = format!("/clusters/{at}");
    let expected = [
        r#"POST /clusters {"name":"demo-basic","provider":"GCP","spec":{"delete_protection":"DISABLED","labels":{"env":"dev"},"plan":"BASIC","serverless":{"regions":["us-central1"],"usage_limits":{"request_unit_limit":"10000000000","storage_mib_limit":"102400"}}}}"#.to_owned(),
        format!(r#"POST {cluster}/sql-users {{"name":"maxroach","password":"hunter2hunter2"}}"#),
        format!(r#"PATCH {cluster} {{"delete_protection":"ENABLED","labels":{{}},"plan":"BASIC","serverless":{{"primary_region":"","regions":["us-central1"],"usage_limits":{{}}}}}}"#),
        format!(r#"POST {cluster}/databases {{"name":"app-db"}}"#),
        format!(r#"PATCH {cluster} {{"delete_protection":"DISABLED","labels":{{}},"plan":"BASIC","serverless":{{"primary_region":"","regions":["us-central1"],"usage_limits":{{}}}}}}"#),
        format!(r#"PATCH {cluster}/databases/app-db {{"name":"","new_name":"app-db2"}}"#),
        format!("DELETE {cluster}/databases/app-db2"),
        format!("DELETE {cluster}/sql-users/maxroach"),
        format!("DELETE {cluster}"),
    ];
    assert_eq!(terraform.requests(), expected);
}

/// Requests that were recorded from the provider, with other times.
#[test]
fn requests_for_windows_are_those_of_the_provider() {
    let server = simulated();
    let mut terraform = Provider::new(&server, &OLDER);
    let cluster = id(&server.create_cluster("demo-advanced", "ADVANCED"));
    let (start, end, later) = (in_days(8), in_days(9), in_days(10));
    let configuration = |terraform: &mut Provider, policy: &str, end: &str| {
        let window = json!({ "id": cluster, "offset_duration": 1010, "window_duration": 101_010 });
        terraform.resource(&MaintenanceWindow, "cockroach_maintenance_window.demo", window);
        let deferral = json!({ "id": cluster, "deferral_policy": policy });
        terraform.resource(&VersionDeferral, "cockroach_version_deferral.demo", deferral);
        let blackout = json!({ "cluster_id": cluster, "start_time": start, "end_time": end });
        let blackout = terraform.resource(&BlackoutWindow, "cockroach_blackout_window.demo", blackout);
        id(&blackout)
    };
    let mut window = String::new();
    terraform.apply(|terraform| window = configuration(terraform, "DEFERRAL_60_DAYS", &end));
    terraform.apply(|terraform| drop(configuration(terraform, "FIXED_DEFERRAL", &later)));
    assert_eq!(terraform.import_all(), nothing());
    terraform.destroy();
    let cluster = format!("/clusters/{cluster}");
    let expected = [
        format!(
            r#"PUT {cluster}/maintenance-window {{"offset_duration":"1010s","window_duration":"101010s"}}"#
        ),
        format!(r#"PUT {cluster}/version-deferral {{"deferral_policy":"DEFERRAL_60_DAYS"}}"#),
        format!(r#"POST {cluster}/blackout-windows {{"end_time":"{end}","start_time":"{start}"}}"#),
        format!(r#"PUT {cluster}/version-deferral {{"deferral_policy":"FIXED_DEFERRAL"}}"#),
        format!(r#"PATCH {cluster}/blackout-windows/{window} {{"end_time":"{later}"}}"#),
        format!("DELETE {cluster}/blackout-windows/{window}"),
        format!(r#"PUT {cluster}/version-deferral {{"deferral_policy":"NOT_DEFERRED"}}"#),
        format!("DELETE {cluster}/maintenance-window"),
    ];
    assert_eq!(terraform.requests(), expected);
}

/// Requests that were recorded from the provider.
#[test]
fn requests_for_restores_are_those_of_the_provider() {
    let server = boot(Engine::Simulated);
    let mut terraform = Provider::new(&server, &OLDER);
    let cluster = id(&server.create_cluster("demo-standard", "STANDARD"));
    take_backup(&server, &cluster, HOUR);
    take_backup(&server, &cluster, 2 * HOUR);
    // The data source must not contain the backups that are taken later.
    advance(&server, 10);
    let now = now(&server);
    let (start, end) = ("2020-01-01T00:00:00Z", format!("{}Z", now.split('.').next().expect("seconds")));
    let backups = newest(&cluster, "backups", 2, start, &end);
    let configuration = |terraform: &mut Provider| {
        let listed = terraform.data("data.cockroach_backups.demo", &backups)["backups"].clone();
        let config = json!({
            "destination_cluster_id": cluster, "source_cluster_id": cluster, "type": "CLUSTER",
        });
        (terraform.resource(&Restore, "cockroach_restore.demo", config), listed)
    };
    let mut applied = (Value::Null, Value::Null);
    let actions = terraform.apply(|terraform| applied = configuration(terraform));
    let (restore, listed) = applied;
    assert_eq!(actions, ["create cockroach_restore.demo"]);
    assert_eq!(column(&listed, "id").len(), 2, "{listed}");
    assert!(text(&listed[0], "as_of_time") > text(&listed[1], "as_of_time"), "newest first: {listed}");
    assert_eq!(restore["backup_id"], listed[0]["id"], "the newest backup");
    assert_eq!(terraform.plan(|terraform| drop(configuration(terraform))), nothing());
    let restores = newest(&cluster, "restores", 2, start, &in_days(1));
    let shown = terraform.data("data.cockroach_restores.demo", &restores);
    assert_eq!(column(&shown["restores"], "id"), [id(&restore)]);
    assert_eq!(terraform.destroy(), ["cockroach_restore.demo"]);
    let body = format!(r#"{{"source_cluster_id":"{cluster}","type":"CLUSTER"}}"#);
    assert_eq!(terraform.requests(), [format!("POST /clusters/{cluster}/restores {body}")]);
}

#[test]
fn plans_of_a_cluster_can_be_changed() {
    let server = simulated();
    let mut terraform = Provider::new(&server, &NEWEST);
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
