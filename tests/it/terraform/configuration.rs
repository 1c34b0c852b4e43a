//! The configuration of `docs/terraform.md`.

use super::{
    cluster::Cluster,
    contents::{AllowList, Database, SqlUser},
    identity::{ApiKey, Folder, RoleGrant, RoleGrants, ServiceAccount},
    provider::{Provider, Resource, text},
    windows::{BlackoutWindow, MaintenanceWindow, VersionDeferral},
};
use crate::support::{PASSWORD, in_days};
use serde_json::{Value, json};

/// The values that the tests change. The default ones are those of `docs/terraform.md`.
pub(super) struct Variables {
    pub(super) request_unit_limit: i64,
    pub(super) virtual_cpus: i64,
    pub(super) node_cpus: i64,
    pub(super) storage_gib: i64,
    pub(super) backup_minutes: i64,
    pub(super) delete_protection: bool,
    /// Absent after an import, because the provider can't set it then.
    pub(super) empty_allowlist: Option<bool>,
    pub(super) labels: Value,
    /// Labels of the cluster `reports`, which has none at first.
    pub(super) reports_labels: Value,
    pub(super) password: &'static str,
    pub(super) database: &'static str,
    pub(super) network: &'static str,
    /// In seconds.
    pub(super) maintenance_offset: i64,
    pub(super) deferral: &'static str,
    pub(super) freeze_start: String,
    pub(super) freeze_end: String,
    pub(super) name: &'static str,
    pub(super) role: &'static str,
}

impl Default for Variables {
    fn default() -> Self {
        Self {
            request_unit_limit: 50_000_000,
            virtual_cpus: 2,
            node_cpus: 4,
            storage_gib: 15,
            backup_minutes: 240,
            delete_protection: false,
            empty_allowlist: Some(true),
            labels: json!({ "team": "shop" }),
            reports_labels: Value::Null,
            password: PASSWORD,
            database: "orders",
            network: "office",
            maintenance_offset: 172_800,
            deferral: "DEFERRAL_60_DAYS",
            freeze_start: in_days(10),
            freeze_end: in_days(12),
            name: "deploy",
            role: "CLUSTER_OPERATOR_WRITER",
        }
    }
}

impl Variables {
    /// Changes every resource that can be updated.
    pub(super) fn update_all(&mut self) {
        self.request_unit_limit *= 2;
        self.virtual_cpus = 4;
        self.node_cpus = 8;
        self.backup_minutes = 1440;
        self.delete_protection = true;
        self.labels = json!({});
        self.password = "another long password";
        self.database = "sales";
        self.network = "branch";
        self.maintenance_offset = 0;
        self.deferral = "FIXED_DEFERRAL";
        self.freeze_end = in_days(11);
        self.name = "deployer";
        self.role = "CLUSTER_ADMIN";
    }
}

/// Creates the resources that don't exist, updates the others, and reads the data sources.
pub(super) fn configuration(terraform: &mut Provider, v: &Variables) {
    let mut resource =
        |kind: &'static dyn Resource, address: &str, config: Value| terraform.resource(kind, address, config);
    let config = json!({ "name": "production", "parent_id": "root", "labels": v.labels });
    let production = resource(&Folder, "cockroach_folder.production", config);
    let config = json!({ "name": "analytics", "parent_id": production["id"] });
    let analytics = resource(&Folder, "cockroach_folder.analytics", config);

    let limits = json!({ "request_unit_limit": v.request_unit_limit, "storage_mib_limit": 5120 });
    let config = json!({
        "name": "shop-sandbox", "cloud_provider": "GCP", "plan": "BASIC",
        "serverless": { "usage_limits": limits },
        "regions": [{ "name": "us-central1" }],
        "labels": { "env": "sandbox" },
    });
    resource(&Cluster, "cockroach_cluster.sandbox", config);
    let config = json!({
        "name": "shop-production", "cloud_provider": "AWS", "plan": "STANDARD",
        "parent_id": production["id"],
        "serverless": {
            "usage_limits": { "provisioned_virtual_cpus": v.virtual_cpus },
            "upgrade_type": "MANUAL",
            "with_empty_ip_allowlist": v.empty_allowlist,
        },
        "regions": [{ "name": "us-east-1", "primary": true }, { "name": "us-west-2" }],
        "delete_protection": v.delete_protection,
        "backup_config": {
            "enabled": true, "frequency_minutes": v.backup_minutes, "retention_days": 7,
        },
    });
    let shop = resource(&Cluster, "cockroach_cluster.shop", config);
    let config = json!({
        "name": "shop-reports", "cloud_provider": "GCP", "plan": "ADVANCED",
        "cockroach_version": "v25.2",
        "parent_id": analytics["id"],
        "dedicated": {
            "num_virtual_cpus": v.node_cpus, "storage_gib": v.storage_gib,
            "cidr_range": "172.28.0.0/16", "private_network_visibility": true,
        },
        "regions": [{ "name": "us-east1", "node_count": 1 }],
        "labels": v.reports_labels,
    });
    let reports = resource(&Cluster, "cockroach_cluster.reports", config);

    let config = json!({ "cluster_id": shop["id"], "name": "app", "password": v.password });
    resource(&SqlUser, "cockroach_sql_user.app", config);
    let config = json!({ "cluster_id": shop["id"], "name": v.database });
    resource(&Database, "cockroach_database.orders", config);
    let config = json!({
        "cluster_id": shop["id"], "name": v.network, "cidr_ip": "203.0.113.0", "cidr_mask": 24,
        "sql": true, "ui": false,
    });
    resource(&AllowList, "cockroach_allow_list.office", config);

    let config = json!({
        "id": reports["id"], "offset_duration": v.maintenance_offset, "window_duration": 21_600,
    });
    resource(&MaintenanceWindow, "cockroach_maintenance_window.reports", config);
    let config = json!({ "id": reports["id"], "deferral_policy": v.deferral });
    resource(&VersionDeferral, "cockroach_version_deferral.reports", config);
    let config = json!({
        "cluster_id": reports["id"], "start_time": v.freeze_start, "end_time": v.freeze_end,
    });
    resource(&BlackoutWindow, "cockroach_blackout_window.freeze", config);

    let config = json!({ "name": v.name, "description": "Deploys the shop" });
    let deploy = resource(&ServiceAccount, "cockroach_service_account.deploy", config);
    let config = json!({ "name": v.name, "service_account_id": deploy["id"] });
    resource(&ApiKey, "cockroach_api_key.deploy", config);
    let config = json!({ "user_id": deploy["id"], "roles": [
        { "role_name": "ORG_MEMBER", "resource_type": "ORGANIZATION", "resource_id": "" },
        { "role_name": v.role, "resource_type": "FOLDER", "resource_id": production["id"] },
    ]});
    resource(&RoleGrants, "cockroach_user_role_grants.deploy", config);
    let config = json!({ "name": "analyst" });
    let analyst = resource(&ServiceAccount, "cockroach_service_account.analyst", config);
    let config = json!({ "user_id": analyst["id"], "role": {
        "role_name": "CLUSTER_DEVELOPER", "resource_type": "CLUSTER", "resource_id": reports["id"],
    }});
    resource(&RoleGrant, "cockroach_user_role_grant.analyst", config);

    let query = format!("database={}&os=LINUX&sql_user=app", v.database);
    let string = format!("/clusters/{}/connection-string?{query}", text(&shop, "id"));
    let shown = terraform.data(&format!("data.cockroach_connection_string.{}", v.database), &string);
    let params = &shown["params"];
    assert_eq!((&params["Database"], &params["Username"]), (&json!(v.database), &json!("app")), "{shown}");
    assert!(params["Host"].is_string() && params["Port"].is_string(), "{shown}");
    let organization = terraform.data("data.cockroach_organization.this", "/organization");
    for name in ["id", "name", "label", "created_at"] {
        text(&organization, name);
    }
}
