//! `cockroach_maintenance_window`, `cockroach_version_deferral`, and `cockroach_blackout_window`.

use super::provider::{Api, Resource, text};
use serde_json::{Value, json};

pub(super) struct MaintenanceWindow;

impl Resource for MaintenanceWindow {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let seconds = |name: &str| format!("{}s", config[name]);
        let body = json!({
            "offset_duration": seconds("offset_duration"), "window_duration": seconds("window_duration"),
        });
        api.change("PUT", &path(config, "maintenance-window"), Some(&body));
        config.clone()
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        let shown = api.get(&path(state, "maintenance-window"));
        let seconds = |name| {
            let number = text(&shown, name).strip_suffix('s').and_then(|number| number.parse::<i64>().ok());
            number.unwrap_or_else(|| panic!("no seconds: {shown}"))
        };
        json!({
            "id": state["id"],
            "offset_duration": seconds("offset_duration"), "window_duration": seconds("window_duration"),
        })
    }

    fn update(&self, api: &Api, config: &Value, _state: &Value) -> Value {
        self.create(api, config)
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &path(state, "maintenance-window"), None);
    }

    fn imported(&self, id: &str) -> Value {
        json!({ "id": id })
    }
}

pub(super) struct VersionDeferral;

impl Resource for VersionDeferral {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let body = json!({ "deferral_policy": config["deferral_policy"] });
        api.change("PUT", &path(config, "version-deferral"), Some(&body));
        config.clone()
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        let shown = api.get(&path(state, "version-deferral"));
        json!({ "id": state["id"], "deferral_policy": shown["deferral_policy"] })
    }

    fn update(&self, api: &Api, config: &Value, _state: &Value) -> Value {
        self.create(api, config)
    }

    fn delete(&self, api: &Api, state: &Value) {
        let body = json!({ "deferral_policy": "NOT_DEFERRED" });
        api.change("PUT", &path(state, "version-deferral"), Some(&body));
    }

    fn imported(&self, id: &str) -> Value {
        json!({ "id": id })
    }
}

/// The path of what belongs to the cluster whose ID is that of the resource.
fn path(value: &Value, below: &str) -> String {
    format!("/clusters/{}/{below}", text(value, "id"))
}

pub(super) struct BlackoutWindow;

impl Resource for BlackoutWindow {
    fn create(&self, api: &Api, config: &Value) -> Value {
        let body = json!({ "start_time": config["start_time"], "end_time": config["end_time"] });
        blackout(&api.change("POST", &list(config), Some(&body)))
    }

    fn read(&self, api: &Api, state: &Value) -> Value {
        blackout(&api.get(&one(state)))
    }

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value {
        let mut body = json!({});
        for name in ["start_time", "end_time"] {
            if config[name] != state[name] {
                body[name] = config[name].clone();
            }
        }
        blackout(&api.change("PATCH", &one(state), Some(&body)))
    }

    fn delete(&self, api: &Api, state: &Value) {
        api.change("DELETE", &one(state), None);
    }

    fn import_id(&self, state: &Value) -> String {
        format!("{}:{}", text(state, "cluster_id"), text(state, "id"))
    }

    fn imported(&self, id: &str) -> Value {
        let (cluster, window) = id.split_once(':').expect("two parts");
        json!({ "id": window, "cluster_id": cluster })
    }
}

fn list(value: &Value) -> String {
    format!("/clusters/{}/blackout-windows", text(value, "cluster_id"))
}

fn one(state: &Value) -> String {
    format!("{}/{}", list(state), text(state, "id"))
}

/// The provider keeps times in UTC and in whole seconds.
fn blackout(shown: &Value) -> Value {
    let time = |name| {
        let time = text(shown, name);
        let utc = time.strip_suffix('Z').unwrap_or_else(|| panic!("not UTC: {shown}"));
        format!("{}Z", utc.split('.').next().unwrap_or(utc))
    };
    json!({
        "id": shown["id"], "cluster_id": shown["cluster_id"],
        "start_time": time("start_time"), "end_time": time("end_time"),
    })
}
