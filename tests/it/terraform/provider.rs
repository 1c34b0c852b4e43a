//! A client that calls the API as the official Terraform provider does, and keeps the state of its resources.

use ootheca_testkit::{Client, Ootheca};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    mem,
};

/// A release of the provider.
pub(super) struct Release {
    user_agent: &'static str,
    cc_version: &'static str,
    cc_client: Option<&'static str>,
    /// Whether an update repeats the computed attributes `parent_id` and `disk_iops` in its request.
    pub(super) repeats_computed: bool,
}

/// Release 1.22.0.
pub(super) static OLDER: Release = Release {
    user_agent: "terraform-provider-cockroach",
    cc_version: "2024-09-16",
    cc_client: None,
    repeats_computed: false,
};

/// Release 1.23.1.
pub(super) static NEWEST: Release = Release {
    user_agent: "terraform-provider-cockroach/1.23.1 terraform/1.13.0",
    cc_version: "2026-09-15",
    cc_client: Some("terraform"),
    repeats_computed: true,
};

pub(super) static RELEASES: [&Release; 2] = [&OLDER, &NEWEST];

/// The API, as a release calls it.
pub(super) struct Api {
    client: Client,
    pub(super) release: &'static Release,
    /// What was sent, as `METHOD path body`.
    requests: RefCell<Vec<String>>,
}

impl Api {
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Value {
        self.send("GET", path, None)
    }

    /// Requests a change. Returns the response.
    #[track_caller]
    pub(super) fn change(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.send(method, path, body.map(Value::to_string))
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: Option<String>) -> Value {
        let line = [method, path, body.as_deref().unwrap_or_default()].join(" ");
        self.requests.borrow_mut().push(line.trim_end().to_owned());
        let mut request = self
            .client
            .raw(method, &format!("/api/v1{path}"))
            .header("user-agent", self.release.user_agent)
            .header("accept", "application/json")
            .header("accept-encoding", "gzip");
        if let Some(name) = self.release.cc_client {
            request = request.header("cc-client", name);
        }
        // A request without a body has no content type either.
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(format!("{body}\n"));
        }
        let answer = request.send();
        assert_eq!(answer.header("cc-version"), Some(self.release.cc_version), "{answer}");
        answer.ok().clone()
    }
}

/// A type of resource. States and configurations are objects with the attributes of the provider.
pub(super) trait Resource {
    fn create(&self, api: &Api, config: &Value) -> Value;

    /// Reads a resource again. Panics if it doesn't exist.
    fn read(&self, api: &Api, state: &Value) -> Value;

    fn update(&self, api: &Api, config: &Value, state: &Value) -> Value;

    fn delete(&self, api: &Api, state: &Value);

    /// The argument of `terraform import` for a resource.
    fn import_id(&self, state: &Value) -> String {
        text(state, "id")
    }

    /// What is known after `terraform import`, before the resource is read.
    fn imported(&self, id: &str) -> Value;

    /// Pointers to the attributes that have to change for the configuration.
    fn differences(&self, config: &Value, state: &Value) -> Vec<String> {
        differences(config, state)
    }

    /// Pointers to computed attributes that this update must not change, unless they are configured.
    fn pinned(&self, _config: &Value, _state: &Value) -> Vec<String> {
        vec!["/id".to_owned()]
    }

    /// Computed attributes that can change at any time, which plans nothing.
    fn volatile(&self) -> &'static [&'static str] {
        &[]
    }
}

struct Managed {
    kind: &'static dyn Resource,
    address: String,
    state: Value,
}

/// The provider, with the state of one Terraform configuration.
pub(super) struct Provider {
    api: Api,
    /// The resources in the order of their creation.
    resources: Vec<Managed>,
    /// Values in requests that differ in each run, such as IDs, and what replaces them.
    names: Vec<(String, String)>,
    /// The data sources by address.
    data: BTreeMap<String, Value>,
    /// Whether changes are made, or only planned.
    applies: bool,
    /// The changes of this run.
    actions: Vec<String>,
}

impl Provider {
    pub(super) fn new(server: &Ootheca, release: &'static Release) -> Self {
        let client = server.client().with_version(release.cc_version);
        let api = Api { client, release, requests: RefCell::default() };
        Self {
            api,
            resources: Vec::new(),
            names: Vec::new(),
            data: BTreeMap::new(),
            applies: false,
            actions: Vec::new(),
        }
    }

    /// `terraform apply`. Returns what was changed.
    pub(super) fn apply(&mut self, configuration: impl FnOnce(&mut Self)) -> Vec<String> {
        self.run(true, configuration)
    }

    /// `terraform plan`. Returns what would be changed.
    pub(super) fn plan(&mut self, configuration: impl FnOnce(&mut Self)) -> Vec<String> {
        self.run(false, configuration)
    }

    fn run(&mut self, applies: bool, configuration: impl FnOnce(&mut Self)) -> Vec<String> {
        self.applies = applies;
        configuration(self);
        mem::take(&mut self.actions)
    }

    /// The requests since the last call, as `METHOD path body`. A read that was polled is contained once.
    pub(super) fn requests(&self) -> Vec<String> {
        let mut requests = self.api.requests.take();
        requests.dedup_by(|next, last| next == last && next.starts_with("GET "));
        requests
    }

    /// The requests since the last call, without reads.
    pub(super) fn changes(&self) -> Vec<String> {
        let mut requests = self.api.requests.take();
        requests.retain(|request| !request.starts_with("GET "));
        requests
    }

    /// Lets `named` replace a value by its name in braces.
    pub(super) fn name(&mut self, value: &str, name: &str) {
        self.names.push((value.to_owned(), format!("{{{name}}}")));
    }

    /// The requests with names instead of the values that differ in each run. The name of an ID is the address
    /// of its resource, such as `{cluster.shop}`.
    pub(super) fn named(&self, requests: &[String]) -> Vec<String> {
        let named = |request: &String| {
            self.names.iter().fold(request.clone(), |line, (value, name)| line.replace(value, name))
        };
        requests.iter().map(named).collect()
    }

    /// A resource of the configuration. Returns its state.
    #[track_caller]
    pub(super) fn resource(&mut self, kind: &'static dyn Resource, address: &str, config: Value) -> Value {
        let Some(at) = self.resources.iter().position(|managed| managed.address == address) else {
            assert!(self.applies, "{address} does not exist");
            let state = kind.create(&self.api, &config);
            self.consistent(kind, address, &config, &state);
            self.actions.push(format!("create {address}"));
            if let Some(id) = state["id"].as_str() {
                self.name(id, address.trim_start_matches("cockroach_"));
            }
            self.resources.push(Managed { kind, address: address.to_owned(), state: state.clone() });
            return state;
        };
        let before = self.refresh(at);
        let differences = kind.differences(&config, &before);
        if differences.is_empty() {
            return before;
        }
        self.actions.push(format!("update {address} {}", differences.join(" ")));
        if !self.applies {
            return before;
        }
        let after = kind.update(&self.api, &config, &before);
        self.consistent(kind, address, &config, &after);
        for pointer in kind.pinned(&config, &before) {
            let known = before.pointer(&pointer);
            if known.is_some() && config.pointer(&pointer).is_none_or(Value::is_null) {
                assert_eq!(after.pointer(&pointer), known, "{address}{pointer} changed in an update");
            }
        }
        self.resources[at].state = after.clone();
        after
    }

    /// A data source of the configuration, which must never change.
    #[track_caller]
    pub(super) fn data(&mut self, address: &str, path: &str) -> Value {
        let mut read = self.api.get(path);
        // The provider reads the first page only, and keeps no token.
        read.as_object_mut().expect("an object").remove("pagination");
        let known = self.data.entry(address.to_owned()).or_insert_with(|| read.clone());
        assert_eq!(*known, read, "{address} changed");
        read
    }

    /// Reads a resource that has not changed since it was last read or written.
    #[track_caller]
    fn refresh(&mut self, at: usize) -> Value {
        let managed = &mut self.resources[at];
        let read = managed.kind.read(&self.api, &managed.state);
        let volatile = managed.kind.volatile();
        let drift = changed(&managed.state, &read, volatile);
        assert!(drift.is_empty(), "{} changed: {drift:?}: {} is now {read}", managed.address, managed.state);
        managed.state = read.clone();
        read
    }

    /// Terraform refuses a result that differs from the configuration.
    #[track_caller]
    fn consistent(&self, kind: &dyn Resource, address: &str, config: &Value, state: &Value) {
        let wrong = kind.differences(config, state);
        assert!(wrong.is_empty(), "{address}: {wrong:?} inconsistent after apply: {config} became {state}");
    }

    /// Forgets all resources and imports them. Returns the attributes that the API doesn't return, or that
    /// only an import reads.
    #[track_caller]
    pub(super) fn import_all(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for managed in &mut self.resources {
            let id = managed.kind.import_id(&managed.state);
            let read = managed.kind.read(&self.api, &managed.kind.imported(&id));
            let differs = changed(&managed.state, &read, managed.kind.volatile());
            found.extend(differs.iter().map(|pointer| format!("{}{pointer}", managed.address)));
            managed.state = read;
        }
        found
    }

    /// `terraform destroy`. Returns the addresses of the resources, as they were created.
    #[track_caller]
    pub(super) fn destroy(&mut self) -> Vec<String> {
        let resources = mem::take(&mut self.resources);
        for managed in resources.iter().rev() {
            managed.kind.delete(&self.api, &managed.state);
        }
        resources.into_iter().map(|managed| managed.address).collect()
    }
}

/// Pointers to the configured attributes that have another value in the state. The others are computed.
pub(super) fn differences(config: &Value, state: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(config, state, "", &mut found);
    found
}

fn compare(config: &Value, state: &Value, at: &str, found: &mut Vec<String>) {
    // The members of these are all configured.
    let whole = ["/labels", "/usage_limits"].iter().any(|name| at.ends_with(name));
    match (config, state) {
        (Value::Null, _) => {}
        (Value::Object(members), Value::Object(held)) if !whole => {
            for (name, value) in members {
                compare(value, held.get(name).unwrap_or(&Value::Null), &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(items), Value::Array(held)) if at == "/roles" => {
            if set(items) != set(held) {
                found.push(at.to_owned());
            }
        }
        (Value::Array(items), Value::Array(held)) if items.len() == held.len() => {
            for (n, (item, held)) in items.iter().zip(held).enumerate() {
                compare(item, held, &format!("{at}/{n}"), found);
            }
        }
        _ if config == state => {}
        _ => found.push(at.to_owned()),
    }
}

fn set(items: &[Value]) -> BTreeSet<String> {
    items.iter().map(Value::to_string).collect()
}

/// Pointers to the attributes that differ between two states.
fn changed(before: &Value, after: &Value, volatile: &[&str]) -> Vec<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten(before, "", &mut old);
    flatten(after, "", &mut new);
    let all: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = all.into_iter().filter(|pointer| old.get(*pointer) != new.get(*pointer));
    differs.filter(|pointer| !volatile.contains(&pointer.as_str())).cloned().collect()
}

fn flatten(value: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                flatten(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() && at != "/roles" => {
            for (n, value) in items.iter().enumerate() {
                flatten(value, &format!("{at}/{n}"), found);
            }
        }
        Value::Null => {}
        other => drop(found.insert(at.to_owned(), other.clone())),
    }
}

/// A string attribute.
#[track_caller]
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}")).to_owned()
}

/// Finds the item with these members in a list, which is read in pages.
#[track_caller]
pub(super) fn find(api: &Api, path: &str, list: &str, wanted: &Value) -> Value {
    let mut page = String::new();
    loop {
        let answer = api.get(&format!("{path}?pagination.limit=500&pagination.page={page}"));
        let items = answer[list].as_array().unwrap_or_else(|| panic!("no list: {answer}"));
        if let Some(item) = items.iter().find(|item| differences(wanted, item).is_empty()) {
            return item.clone();
        }
        page = text(&answer["pagination"], "next_page");
        assert!(!page.is_empty(), "{path} does not list {wanted}");
    }
}
