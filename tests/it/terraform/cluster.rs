//! `cockroach_cluster`: its requests, and its state as the provider derives it from responses.

use super::provider::{self, Api, Resource, text};
use ootheca_testkit::eventually;
use serde_json::{Map, Value, json};

/// Attributes that no update changes.
const PINNED: [&str; 12] = [
    "id",
    "creator_id",
    "cockroach_version",
    "plan",
    "parent_id",
    "delete_protection",
    "backup_config",
    "serverless/routing_id",
    "serverless/upgrade_type",
    "dedicated/storage_gib",
    "dedicated/private_network_visibility",
    "dedicated/cidr_range",
];

/// Attributes of a region that no update changes.
const PINNED_IN_REGIONS: [&str; 6] =
    ["sql_dns", "ui_dns", "internal_dns", "private_endpoint_dns", "node_count", "s3_vpc_endpoint_id"];

pub(super) struct Cluster;

impl Resource for Cluster {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let mut spec = picked(config, &["plan", "labels", "parent_id"]);
        spec.insert("delete_protection".to_owned(), protection(&config["delete_protection"]));
        if config["serverless"].is_object() {
            spec.insert("serverless".to_owned(), new_serverless(config));
        } else {
            spec.insert("dedicated".to_owned(), new_dedicated(config));
        }
        let body = json!({ "name": config["name"], "provider": config["cloud_provider"], "spec": spec });
        let made = api.change("POST", "/clusters", Some(&body));
        // After a 404, the provider would lose track of the cluster.
        let cluster = ready(api, &text(&made, "id"));
        let path = backups_path(&cluster);
        let backups = match &config["backup_config"] {
            Value::Null => api.get(&path),
            wanted => api.change("PATCH", &path, Some(wanted)),
        };
        load(&cluster, &backups, config)
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        let cluster = api.get(&format!("/clusters/{}", text(state, "id")));
        assert_ne!(cluster["state"], "DELETED", "{cluster}");
        let backups = api.get(&backups_path(&cluster));
        load(&cluster, &backups, state)
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let path = format!("/clusters/{}", text(state, "id"));
        let mut body = picked(config, &["labels", "parent_id"]);
        if api.release.repeats_computed {
            body.entry("parent_id").or_insert_with(|| state["parent_id"].clone());
        }
        let plan = if config["plan"].is_null() { &state["plan"] } else { &config["plan"] };
        body.insert("plan".to_owned(), plan.clone());
        let protected = &config["delete_protection"];
        if !protected.is_null() && *protected != state["delete_protection"] {
            body.insert("delete_protection".to_owned(), protection(protected));
        }
        if config["serverless"].is_object() {
            body.insert("serverless".to_owned(), changed_serverless(config, state));
        } else {
            body.insert("dedicated".to_owned(), changed_dedicated(api, config, state));
        }
        api.change("PATCH", &path, Some(&Value::Object(body)));
        let cluster = ready(api, &text(state, "id"));

        let (wanted, known) = (&config["backup_config"], &state["backup_config"]);
        let members = wanted.as_object().into_iter().flatten();
        let changed: Map<String, Value> = members
            .filter(|(name, value)| known[name.as_str()] != **value)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let backups = if changed.is_empty() {
            known.clone()
        } else {
            api.change("PATCH", &backups_path(&cluster), Some(&Value::Object(changed)))
        };
        load(&cluster, &backups, config)
    }

    fn delete(&self, api: &Api, state: &Value) {
        assert_eq!(state["delete_protection"], false, "the provider does not try to delete {state}");
        api.change("DELETE", &format!("/clusters/{}", text(state, "id")), None);
    }

    fn imported(&self, id: &str) -> Value {
        json!({ "id": id })
    }

    fn differences(&self, config: &Value, state: &Value) -> Vec<String> {
        let mut found = provider::differences(config, state);
        let limits = |cluster: &Value| cluster["serverless"]["usage_limits"].clone();
        if limits(config).is_null() && !limits(state).is_null() {
            found.push("/serverless/usage_limits".to_owned());
        }
        // Machines are attributes of the regions or of the whole cluster. An import reads both.
        let regions = state["regions"].as_array().into_iter().flatten().enumerate();
        for (n, region) in regions.filter(|_| !has_machines(&config["regions"])) {
            let machine = picked(region, &["num_virtual_cpus", "machine_type"]);
            found.extend(machine.keys().map(|name| format!("/regions/{n}/{name}")));
        }
        found
    }

    fn pinned(&self, config: &Value, state: &Value) -> Vec<String> {
        let mut names = PINNED.map(str::to_owned).to_vec();
        if config["plan"].is_null() || config["plan"] == state["plan"] {
            names.push("account_id".to_owned());
        }
        if !resizes(config, state) {
            names.extend(["dedicated/memory_gib", "dedicated/machine_type"].map(str::to_owned));
            if !grows(config, state) {
                names.push("dedicated/disk_iops".to_owned());
            }
        }
        // A region that is removed has no attributes any more.
        let count = |cluster: &Value| cluster["regions"].as_array().map_or(0, Vec::len);
        for n in 0..count(config).min(count(state)) {
            names.extend(PINNED_IN_REGIONS.map(|name| format!("regions/{n}/{name}")));
        }
        names.iter().map(|name| format!("/{name}")).collect()
    }

    fn volatile(&self) -> &'static [&'static str] {
        &["/operation_status"]
    }
}

fn backups_path(cluster: &Value) -> String {
    format!("/clusters/{}/backups-config", text(cluster, "id"))
}

/// Polls a cluster until it is CREATED.
fn ready(api: &Api, id: &str) -> Value {
    eventually("the cluster is CREATED", || {
        let cluster = api.get(&format!("/clusters/{id}"));
        let failed = ["CREATION_FAILED", "DELETED"].iter().any(|state| cluster["state"] == *state);
        assert!(!failed, "{cluster}");
        (cluster["state"] == "CREATED").then_some(cluster)
    })
}

/// The members that have a value.
fn picked(value: &Value, names: &[&str]) -> Map<String, Value> {
    let members = names.iter().map(|name| ((*name).to_owned(), value[*name].clone()));
    members.filter(|(_, value)| !value.is_null()).collect()
}

fn protection(config: &Value) -> Value {
    if *config == true { "ENABLED".into() } else { "DISABLED".into() }
}

fn region_names(config: &Value) -> Value {
    let regions = config["regions"].as_array().into_iter().flatten();
    regions.map(|region| region["name"].clone()).collect()
}

/// The primary region; empty if none is configured.
fn primary_region(config: &Value) -> String {
    let regions = config["regions"].as_array().into_iter().flatten();
    let mut primaries = regions.filter(|region| region["primary"] == true);
    primaries.next().map(|region| text(region, "name")).unwrap_or_default()
}

/// Limits in the format of the API, where numbers of 64 bits are strings.
fn limits(config: &Value) -> Value {
    let members = config.as_object().into_iter().flatten();
    members.map(|(name, limit)| (name.clone(), limit.to_string())).collect()
}

fn new_serverless(config: &Value) -> Value {
    let block = &config["serverless"];
    let mut body = picked(block, &["upgrade_type"]);
    body.insert("regions".to_owned(), region_names(config));
    let primary = primary_region(config);
    if !primary.is_empty() {
        body.insert("primary_region".to_owned(), primary.into());
    }
    if block["usage_limits"].is_object() {
        body.insert("usage_limits".to_owned(), limits(&block["usage_limits"]));
    }
    if block["with_empty_ip_allowlist"] == true {
        body.insert("with_empty_ip_allowlist".to_owned(), true.into());
    }
    body.into()
}

fn changed_serverless(config: &Value, state: &Value) -> Value {
    let upgrade_type = &config["serverless"]["upgrade_type"];
    let mut body = json!({
        "primary_region": primary_region(config),
        "regions": region_names(config),
        "usage_limits": limits(&config["serverless"]["usage_limits"]),
    });
    if !upgrade_type.is_null() && *upgrade_type != state["serverless"]["upgrade_type"] {
        body["upgrade_type"] = upgrade_type.clone();
    }
    body
}

/// Whether the machines are attributes of the regions.
fn has_machines(regions: &Value) -> bool {
    let mut regions = regions.as_array().into_iter().flatten();
    regions.any(|region| !picked(region, &["num_virtual_cpus", "machine_type"]).is_empty())
}

/// The machines of the regions in a request.
fn region_machines(config: &Value) -> Value {
    let regions = config["regions"].as_array().into_iter().flatten();
    let machine = |region: &Value| Value::from(picked(region, &["num_virtual_cpus", "machine_type"]));
    regions.map(|region| (text(region, "name"), machine(region))).collect()
}

fn region_nodes(regions: &Value) -> Value {
    let regions = regions.as_array().into_iter().flatten();
    regions.map(|region| (text(region, "name"), region["node_count"].clone())).collect()
}

fn new_dedicated(config: &Value) -> Value {
    let block = &config["dedicated"];
    let mut hardware = picked(block, &["storage_gib", "disk_iops"]);
    let mut body = picked(block, &["cidr_range"]);
    body.extend(picked(config, &["cockroach_version"]));
    if has_machines(&config["regions"]) {
        body.insert("region_machine_specs".to_owned(), region_machines(config));
    } else {
        let machine = picked(block, &["num_virtual_cpus", "machine_type"]);
        hardware.insert("machine_spec".to_owned(), machine.into());
    }
    // This member has no zero value in the provider, so it is always sent.
    hardware.entry("storage_gib").or_insert_with(|| 0.into());
    body.insert("hardware".to_owned(), hardware.into());
    body.insert("region_nodes".to_owned(), region_nodes(&config["regions"]));
    if block["private_network_visibility"] == true {
        body.insert("network_visibility".to_owned(), "PRIVATE".into());
    }
    let virtualized = block["supports_cluster_virtualization"] == true;
    body.insert("supports_cluster_virtualization".to_owned(), virtualized.into());
    body.into()
}

fn changed_dedicated(api: &Api, config: &Value, state: &Value) -> Value {
    let (block, known) = (&config["dedicated"], &state["dedicated"]);
    let mut body = Map::new();
    let mut hardware = picked(block, &["storage_gib", "disk_iops"]);
    hardware.entry("storage_gib").or_insert_with(|| known["storage_gib"].clone());
    if api.release.repeats_computed && !resizes(config, state) && !grows(config, state) {
        hardware.entry("disk_iops").or_insert_with(|| known["disk_iops"].clone());
    }
    if has_machines(&config["regions"]) {
        body.insert("region_machine_specs".to_owned(), region_machines(config));
    } else {
        let machine = picked(block, &["num_virtual_cpus", "machine_type"]);
        hardware.insert("machine_spec".to_owned(), machine.into());
    }
    body.insert("hardware".to_owned(), hardware.into());
    let nodes = region_nodes(&config["regions"]);
    if nodes != region_nodes(&state["regions"]) {
        api.get(&format!("/clusters/{}", text(state, "id")));
        body.insert("region_nodes".to_owned(), nodes);
    }
    body.into()
}

/// Whether an update changes machines.
fn resizes(config: &Value, state: &Value) -> bool {
    let machine = |value: &Value| picked(value, &["num_virtual_cpus", "machine_type"]);
    let differ = |config: &Value, state: &Value| {
        machine(config).iter().any(|(name, value)| state[name.as_str()] != *value)
    };
    let regions = config["regions"].as_array().into_iter().flatten();
    let mut regions = regions.zip(state["regions"].as_array().into_iter().flatten());
    differ(&config["dedicated"], &state["dedicated"]) || regions.any(|(config, state)| differ(config, state))
}

/// Whether an update changes the storage.
fn grows(config: &Value, state: &Value) -> bool {
    let wanted = &config["dedicated"]["storage_gib"];
    !wanted.is_null() && *wanted != state["dedicated"]["storage_gib"]
}

/// The state of a cluster. `plan` is the configuration or the previous state, or only an ID in an import.
fn load(cluster: &Value, backups: &Value, plan: &Value) -> Value {
    let full_version = text(cluster, "cockroach_version");
    let parts: Vec<&str> = full_version.split('.').collect();
    assert_eq!(parts.len(), 3, "{full_version}");
    let mut state = json!({
        "id": cluster["id"], "name": cluster["name"], "cloud_provider": cluster["cloud_provider"],
        "cockroach_version": parts[..2].join("."), "full_version": full_version,
        "account_id": cluster["account_id"], "plan": cluster["plan"], "state": cluster["state"],
        "creator_id": cluster["creator_id"], "operation_status": cluster["operation_status"],
        "upgrade_status": cluster["upgrade_status"], "parent_id": cluster["parent_id"],
        "labels": cluster["labels"], "delete_protection": cluster["delete_protection"] == "ENABLED",
        "regions": regions(&cluster["regions"], &plan["regions"]),
        "backup_config": picked(backups, &["enabled", "frequency_minutes", "retention_days"]),
    });
    let config = &cluster["config"];
    if config["serverless"].is_object() {
        state["serverless"] = serverless(&config["serverless"], &plan["serverless"]);
    } else {
        let hardware = ["machine_type", "num_virtual_cpus", "storage_gib", "memory_gib", "disk_iops"];
        let mut block = picked(&config["dedicated"], &hardware);
        assert_eq!(block.len(), hardware.len(), "{cluster}");
        let private = cluster["network_visibility"] == "PRIVATE";
        block.insert("private_network_visibility".to_owned(), private.into());
        block.insert("cidr_range".to_owned(), text(cluster, "cidr_range").into());
        block.extend(picked(&plan["dedicated"], &["supports_cluster_virtualization"]));
        state["dedicated"] = block.into();
    }
    state
}

fn serverless(block: &Value, plan: &Value) -> Value {
    let mut state = picked(block, &["routing_id", "upgrade_type"]);
    // The API doesn't return this attribute.
    state.extend(picked(plan, &["with_empty_ip_allowlist"]));
    if let Some(limits) = block["usage_limits"].as_object() {
        let number = |name: &String| text(&block["usage_limits"], name).parse::<i64>().expect("a number");
        let limits: Value = limits.keys().map(|name| (name.clone(), number(name))).collect();
        state.insert("usage_limits".to_owned(), limits);
    } else if plan["usage_limits"].is_object() {
        // No limits and an empty object mean the same.
        state.insert("usage_limits".to_owned(), json!({}));
    }
    state.into()
}

/// The regions in the order of the configuration. Others are not managed here, unless this is an import.
fn regions(shown: &Value, plan: &Value) -> Value {
    let mut shown = shown.as_array().expect("regions").clone();
    assert!(shown.is_sorted_by_key(|region| text(region, "name")), "{shown:?}");
    let planned = plan.as_array().cloned().unwrap_or_default();
    let place = |region: &Value| planned.iter().position(|other| other["name"] == region["name"]);
    shown.retain(|region| planned.is_empty() || place(region).is_some());
    shown.sort_by_key(place);
    let state = shown.iter().map(|region| {
        let mut state = picked(
            region,
            &["name", "sql_dns", "ui_dns", "internal_dns", "private_endpoint_dns", "node_count"],
        );
        assert_eq!(state.len(), 6, "{region}");
        state.insert("primary".to_owned(), (region["primary"] == true).into());
        let endpoint = region["s3_vpc_endpoint_id"].as_str().unwrap_or_default();
        state.insert("s3_vpc_endpoint_id".to_owned(), endpoint.into());
        if planned.is_empty() || has_machines(plan) {
            state.extend(picked(region, &["num_virtual_cpus", "machine_type"]));
        }
        Value::from(state)
    });
    state.collect()
}
