//! The requests that the provider sends for each resource, compared with those that the tests send.

use super::{
    cluster::Cluster,
    configuration::{Variables, configuration},
    contents::{Database, SqlUser},
    nothing,
    provider::{Provider, RELEASES, Release, text},
    restores::{Restore, newest},
    windows::{BlackoutWindow, MaintenanceWindow, VersionDeferral},
};
use crate::{
    backups::shared::{HOUR, boot, now, take_backup},
    support::{advance, column, id, in_days, simulated},
};
use ootheca_testkit::Engine;
use serde_json::{Value, json};

/// The first `terraform apply` of the configuration of `docs/terraform.md`.
const CREATE: &str = r#"
POST /folders {"labels":{"team":"shop"},"name":"production","parent_id":"root"}
POST /folders {"name":"analytics","parent_id":"{folder.production}"}
POST /clusters {"name":"shop-sandbox","provider":"GCP","spec":{"delete_protection":"DISABLED","labels":{"env":"sandbox"},"plan":"BASIC","serverless":{"regions":["us-central1"],"usage_limits":{"request_unit_limit":"50000000","storage_mib_limit":"5120"}}}}
GET /clusters/{cluster.sandbox}
GET /clusters/{cluster.sandbox}/backups-config
POST /clusters {"name":"shop-production","provider":"AWS","spec":{"delete_protection":"DISABLED","parent_id":"{folder.production}","plan":"STANDARD","serverless":{"primary_region":"us-east-1","regions":["us-east-1","us-west-2"],"upgrade_type":"MANUAL","usage_limits":{"provisioned_virtual_cpus":"2"},"with_empty_ip_allowlist":true}}}
GET /clusters/{cluster.shop}
PATCH /clusters/{cluster.shop}/backups-config {"enabled":true,"frequency_minutes":240,"retention_days":7}
POST /clusters {"name":"shop-reports","provider":"GCP","spec":{"dedicated":{"cidr_range":"172.28.0.0/16","cockroach_version":"v25.2","hardware":{"machine_spec":{"num_virtual_cpus":4},"storage_gib":15},"network_visibility":"PRIVATE","region_nodes":{"us-east1":1},"supports_cluster_virtualization":false},"delete_protection":"DISABLED","parent_id":"{folder.analytics}","plan":"ADVANCED"}}
GET /clusters/{cluster.reports}
GET /clusters/{cluster.reports}/backups-config
GET /clusters/{cluster.shop}
POST /clusters/{cluster.shop}/sql-users {"name":"app","password":"correct horse battery"}
GET /clusters/{cluster.shop}
POST /clusters/{cluster.shop}/databases {"name":"orders"}
POST /clusters/{cluster.shop}/networking/allowlist {"cidr_ip":"203.0.113.0","cidr_mask":24,"name":"office","sql":true,"ui":false}
PUT /clusters/{cluster.reports}/maintenance-window {"offset_duration":"172800s","window_duration":"21600s"}
PUT /clusters/{cluster.reports}/version-deferral {"deferral_policy":"DEFERRAL_60_DAYS"}
POST /clusters/{cluster.reports}/blackout-windows {"end_time":"{end}","start_time":"{start}"}
POST /service-accounts {"description":"Deploys the shop","name":"deploy","roles":[]}
POST /api-keys {"name":"deploy","service_account_id":"{service_account.deploy}"}
GET /roles/{service_account.deploy}
PUT /roles/{service_account.deploy} {"roles":[{"name":"ORG_MEMBER","resource":{"id":"","type":"ORGANIZATION"}},{"name":"CLUSTER_OPERATOR_WRITER","resource":{"id":"{folder.production}","type":"FOLDER"}}]}
POST /service-accounts {"description":"","name":"analyst","roles":[]}
GET /roles/{service_account.analyst}
POST /roles/{service_account.analyst}/CLUSTER/{cluster.reports}/CLUSTER_DEVELOPER
"#;

/// The refresh of all resources, before each plan and after an import.
const READ: &str = "
GET /folders/{folder.production}
GET /folders/{folder.analytics}
GET /clusters/{cluster.sandbox}
GET /clusters/{cluster.sandbox}/backups-config
GET /clusters/{cluster.shop}
GET /clusters/{cluster.shop}/backups-config
GET /clusters/{cluster.reports}
GET /clusters/{cluster.reports}/backups-config
GET /clusters/{cluster.shop}/sql-users?pagination.limit=500&pagination.page=
GET /clusters/{cluster.shop}/databases?pagination.limit=500&pagination.page=
GET /clusters/{cluster.shop}/networking/allowlist?pagination.limit=500&pagination.page=
GET /clusters/{cluster.reports}/maintenance-window
GET /clusters/{cluster.reports}/version-deferral
GET /clusters/{cluster.reports}/blackout-windows/{blackout_window.freeze}
GET /service-accounts/{service_account.deploy}
GET /api-keys/{api_key.deploy}
GET /roles/{service_account.deploy}
GET /service-accounts/{service_account.analyst}
GET /roles/{service_account.analyst}
";

/// The data sources, which a plan and an apply read.
const READ_DATA: &str = "
GET /clusters/{cluster.shop}/connection-string?database=orders&os=LINUX&sql_user=app
GET /organization
";

/// The changes of an apply that updates each resource.
const UPDATE: &str = r#"
PATCH /folders/{folder.production} {"labels":{},"name":"production","parent_id":"root"}
PATCH /clusters/{cluster.sandbox} {"labels":{"env":"sandbox"},{parent}"plan":"BASIC","serverless":{"primary_region":"","regions":["us-central1"],"usage_limits":{"request_unit_limit":"100000000","storage_mib_limit":"5120"}}}
PATCH /clusters/{cluster.shop} {"delete_protection":"ENABLED","parent_id":"{folder.production}","plan":"STANDARD","serverless":{"primary_region":"us-east-1","regions":["us-east-1","us-west-2"],"usage_limits":{"provisioned_virtual_cpus":"4"}}}
PATCH /clusters/{cluster.shop}/backups-config {"frequency_minutes":1440}
PATCH /clusters/{cluster.reports} {"dedicated":{"hardware":{"machine_spec":{"num_virtual_cpus":8},"storage_gib":15}},"parent_id":"{folder.analytics}","plan":"ADVANCED"}
PUT /clusters/{cluster.shop}/sql-users/app/password {"password":"another long password"}
PATCH /clusters/{cluster.shop}/databases/orders {"name":"","new_name":"sales"}
PATCH /clusters/{cluster.shop}/networking/allowlist/203.0.113.0/24 {"name":"branch","sql":true,"ui":false}
PUT /clusters/{cluster.reports}/maintenance-window {"offset_duration":"0s","window_duration":"21600s"}
PUT /clusters/{cluster.reports}/version-deferral {"deferral_policy":"FIXED_DEFERRAL"}
PATCH /clusters/{cluster.reports}/blackout-windows/{blackout_window.freeze} {"end_time":"{later}"}
PATCH /service-accounts/{service_account.deploy} {"description":"Deploys the shop","name":"deployer"}
PATCH /api-keys/{api_key.deploy} {"name":"deployer"}
PUT /roles/{service_account.deploy} {"roles":[{"name":"ORG_MEMBER","resource":{"id":"","type":"ORGANIZATION"}},{"name":"CLUSTER_ADMIN","resource":{"id":"{folder.production}","type":"FOLDER"}}]}
"#;

/// The changes of an apply that changes no hardware, so that every computed attribute must stay as it is.
const UPDATE_WITHOUT_HARDWARE: &str = r#"
PATCH /clusters/{cluster.shop} {"delete_protection":"DISABLED","parent_id":"{folder.production}","plan":"STANDARD","serverless":{"primary_region":"us-east-1","regions":["us-east-1","us-west-2"],"usage_limits":{"provisioned_virtual_cpus":"4"}}}
PATCH /clusters/{cluster.reports} {"dedicated":{"hardware":{{iops}"machine_spec":{"num_virtual_cpus":8},"storage_gib":15}},"labels":{"env":"reports"},"parent_id":"{folder.analytics}","plan":"ADVANCED"}
"#;

const DESTROY: &str = r#"
DELETE /roles/{service_account.analyst}/CLUSTER/{cluster.reports}/CLUSTER_DEVELOPER
DELETE /service-accounts/{service_account.analyst}
PUT /roles/{service_account.deploy} {"roles":null}
DELETE /api-keys/{api_key.deploy}
DELETE /service-accounts/{service_account.deploy}
DELETE /clusters/{cluster.reports}/blackout-windows/{blackout_window.freeze}
PUT /clusters/{cluster.reports}/version-deferral {"deferral_policy":"NOT_DEFERRED"}
DELETE /clusters/{cluster.reports}/maintenance-window
DELETE /clusters/{cluster.shop}/networking/allowlist/203.0.113.0/24
DELETE /clusters/{cluster.shop}/databases/sales
DELETE /clusters/{cluster.shop}/sql-users/app
DELETE /clusters/{cluster.reports}
DELETE /clusters/{cluster.shop}
DELETE /clusters/{cluster.sandbox}
DELETE /folders/{folder.analytics}
DELETE /folders/{folder.production}
"#;

/// The requests in a text, with the computed attributes that the release repeats.
fn expected(text: &str, release: &Release) -> Vec<String> {
    let repeated = |attribute: &'static str| if release.repeats_computed { attribute } else { "" };
    let text = text.replace("{parent}", repeated(r#""parent_id":"root","#));
    let text = text.replace("{iops}", repeated(r#""disk_iops":450,"#));
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn requests_for_the_configuration_are_those_of_the_provider() {
    for release in RELEASES {
        apply_import_and_destroy(release);
    }
}

fn apply_import_and_destroy(release: &'static Release) {
    let server = simulated();
    let mut terraform = Provider::new(&server, release);
    let mut values = Variables::default();
    terraform.name(&values.freeze_start, "start");
    terraform.name(&values.freeze_end, "end");
    terraform.apply(|terraform| configuration(terraform, &values));
    let sent = terraform.requests();
    assert_eq!(terraform.named(&sent), expected(&[CREATE, READ_DATA].concat(), release));
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());
    let sent = terraform.requests();
    assert_eq!(terraform.named(&sent), expected(&[READ, READ_DATA].concat(), release));

    values.update_all();
    terraform.name(&values.freeze_end, "later");
    terraform.apply(|terraform| configuration(terraform, &values));
    let sent = terraform.changes();
    assert_eq!(terraform.named(&sent), expected(UPDATE, release));
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());

    values.delete_protection = false;
    values.reports_labels = json!({ "env": "reports" });
    terraform.apply(|terraform| configuration(terraform, &values));
    let sent = terraform.changes();
    assert_eq!(terraform.named(&sent), expected(UPDATE_WITHOUT_HARDWARE, release));
    assert_eq!(terraform.plan(|terraform| configuration(terraform, &values)), nothing());
    assert_eq!(terraform.changes(), nothing(), "a plan changes nothing");

    terraform.import_all();
    let reads = terraform.requests();
    assert_eq!(terraform.named(&reads), expected(READ, release));
    terraform.destroy();
    let sent = terraform.requests();
    assert_eq!(terraform.named(&sent), expected(DESTROY, release));
    for read in reads {
        let answer = server.get(read.trim_start_matches("GET "));
        let gone = answer.body["state"] == "DELETED" || answer.body["roles"] == json!([]);
        assert!(gone || answer.status == 404, "{answer}");
    }
}

/// Recorded from release 1.22 of the provider.
const RECORDED: &str = r#"
POST /clusters {"name":"demo-basic","provider":"GCP","spec":{"delete_protection":"DISABLED","labels":{"env":"dev"},"plan":"BASIC","serverless":{"regions":["us-central1"],"usage_limits":{"request_unit_limit":"10000000000","storage_mib_limit":"102400"}}}}
POST /clusters/{cluster.demo}/sql-users {"name":"maxroach","password":"hunter2hunter2"}
PATCH /clusters/{cluster.demo} {"delete_protection":"ENABLED","labels":{},{parent}"plan":"BASIC","serverless":{"primary_region":"","regions":["us-central1"],"usage_limits":{}}}
POST /clusters/{cluster.demo}/databases {"name":"app-db"}
PATCH /clusters/{cluster.demo} {"delete_protection":"DISABLED","labels":{},{parent}"plan":"BASIC","serverless":{"primary_region":"","regions":["us-central1"],"usage_limits":{}}}
PATCH /clusters/{cluster.demo}/databases/app-db {"name":"","new_name":"app-db2"}
DELETE /clusters/{cluster.demo}/databases/app-db2
DELETE /clusters/{cluster.demo}/sql-users/maxroach
DELETE /clusters/{cluster.demo}
"#;

#[test]
fn requests_for_a_basic_cluster_are_those_of_the_provider() {
    for release in RELEASES {
        send_recorded(release);
    }
}

fn send_recorded(release: &'static Release) {
    let server = simulated();
    let mut terraform = Provider::new(&server, release);
    let cluster = |terraform: &mut Provider, limits: Value, labels: Value, protection: Option<bool>| {
        let config = json!({
            "name": "demo-basic", "cloud_provider": "GCP", "plan": "BASIC", "labels": labels,
            "serverless": { "usage_limits": limits }, "regions": [{ "name": "us-central1" }],
            "delete_protection": protection,
        });
        terraform.resource(&Cluster, "cockroach_cluster.demo", config)
    };
    let limits = json!({ "request_unit_limit": 10_000_000_000_i64, "storage_mib_limit": 102_400 });
    terraform.apply(|terraform| {
        let cluster = cluster(terraform, limits, json!({ "env": "dev" }), None);
        let user = json!({ "cluster_id": cluster["id"], "name": "maxroach", "password": "hunter2hunter2" });
        terraform.resource(&SqlUser, "cockroach_sql_user.demo", user);
    });
    for (protection, name) in [(true, "app-db"), (false, "app-db2")] {
        terraform.apply(|terraform| {
            let cluster = cluster(terraform, Value::Null, json!({}), Some(protection));
            let database = json!({ "cluster_id": cluster["id"], "name": name });
            terraform.resource(&Database, "cockroach_database.demo", database);
        });
    }
    terraform.destroy();
    let sent = terraform.changes();
    assert_eq!(terraform.named(&sent), expected(RECORDED, release));
}

/// Recorded from release 1.22 of the provider, with other times.
const RECORDED_WINDOWS: &str = r#"
PUT /clusters/{cluster.demo}/maintenance-window {"offset_duration":"1010s","window_duration":"101010s"}
PUT /clusters/{cluster.demo}/version-deferral {"deferral_policy":"DEFERRAL_60_DAYS"}
POST /clusters/{cluster.demo}/blackout-windows {"end_time":"{end}","start_time":"{start}"}
PUT /clusters/{cluster.demo}/version-deferral {"deferral_policy":"FIXED_DEFERRAL"}
PATCH /clusters/{cluster.demo}/blackout-windows/{blackout_window.demo} {"end_time":"{later}"}
DELETE /clusters/{cluster.demo}/blackout-windows/{blackout_window.demo}
PUT /clusters/{cluster.demo}/version-deferral {"deferral_policy":"NOT_DEFERRED"}
DELETE /clusters/{cluster.demo}/maintenance-window
"#;

#[test]
fn requests_for_windows_are_those_of_the_provider() {
    for release in RELEASES {
        send_recorded_windows(release);
    }
}

fn send_recorded_windows(release: &'static Release) {
    let server = simulated();
    let mut terraform = Provider::new(&server, release);
    let cluster = id(&server.create_cluster("demo-advanced", "ADVANCED"));
    let (start, end, later) = (in_days(8), in_days(9), in_days(10));
    for (value, name) in [(&cluster, "cluster.demo"), (&start, "start"), (&end, "end"), (&later, "later")] {
        terraform.name(value, name);
    }
    let configuration = |terraform: &mut Provider, policy: &str, end: &str| {
        let window = json!({ "id": cluster, "offset_duration": 1010, "window_duration": 101_010 });
        terraform.resource(&MaintenanceWindow, "cockroach_maintenance_window.demo", window);
        let deferral = json!({ "id": cluster, "deferral_policy": policy });
        terraform.resource(&VersionDeferral, "cockroach_version_deferral.demo", deferral);
        let blackout = json!({ "cluster_id": cluster, "start_time": start, "end_time": end });
        terraform.resource(&BlackoutWindow, "cockroach_blackout_window.demo", blackout);
    };
    terraform.apply(|terraform| configuration(terraform, "DEFERRAL_60_DAYS", &end));
    terraform.apply(|terraform| configuration(terraform, "FIXED_DEFERRAL", &later));
    assert_eq!(terraform.import_all(), nothing());
    terraform.destroy();
    let sent = terraform.changes();
    assert_eq!(terraform.named(&sent), expected(RECORDED_WINDOWS, release));
}

#[test]
fn requests_for_restores_are_those_of_the_provider() {
    for release in RELEASES {
        send_recorded_restore(release);
    }
}

/// The request was recorded from release 1.22 of the provider.
fn send_recorded_restore(release: &'static Release) {
    let server = boot(Engine::Simulated);
    let mut terraform = Provider::new(&server, release);
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
    assert_eq!(terraform.changes(), [format!("POST /clusters/{cluster}/restores {body}")]);
}
