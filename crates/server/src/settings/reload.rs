//! What a running server takes over when its settings are read again.

use super::Settings;
use serde_json::Value;
use std::collections::BTreeMap;

/// Settings, and sections of them, that can change while a server runs.
const LIVE: [&str; 2] = ["log", "rate_limit"];

/// The names of the settings that differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// They have their new values.
    pub changed: Vec<String>,
    /// They keep their previous values until the next start.
    pub kept: Vec<String>,
}

impl Settings {
    /// Takes over from `new` what can change while a server runs.
    pub fn reload(&mut self, new: &Self) -> Reload {
        let (before, after) = (self.values(), new.values());
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        let differing = names.filter(|name| before.get(*name) != after.get(*name)).cloned();
        let is_live = |name: &String| LIVE.contains(&name.split('.').next().unwrap_or_default());
        let (changed, kept) = differing.partition(is_live);
        self.log.clone_from(&new.log);
        self.rate_limit.clone_from(&new.rate_limit);
        Reload { changed, kept }
    }

    /// All settings by their names, such as `gateway.port`.
    fn values(&self) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        flatten("", serde_json::to_value(self).unwrap_or_default(), &mut values);
        values
    }
}

fn flatten(name: &str, value: Value, values: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                flatten(&name, value, values);
            }
        }
        value => drop(values.insert(name.to_owned(), value)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::settings::RateLimitMode;
    use serde_json::json;

    fn load(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ootheca.toml");
        std::fs::write(&file, text).unwrap();
        Settings::load(Some(&file), &json!({ "data_dir": "/nowhere" })).unwrap()
    }

    #[test]
    fn a_reload_changes_some_settings_and_names_the_others() {
        let mut settings = load("");
        assert_eq!(settings.reload(&load("")), Reload::default());
        let new = load(
            "drain_seconds = 9\nlog = \"debug\"\n[gateway]\nport = 7\n[rate_limit]\nmode = \"refuse\"\nburst = 3\n",
        );
        let reload = settings.reload(&new);
        assert_eq!(reload.changed, ["log", "rate_limit.burst", "rate_limit.mode"]);
        assert_eq!(reload.kept, ["drain_seconds", "gateway.port"]);
        assert_eq!((settings.log.as_str(), settings.rate_limit.burst), ("debug", 3));
        assert_eq!(settings.rate_limit.mode, RateLimitMode::Refuse);
        assert_eq!((settings.drain_seconds, settings.gateway.port), (5, 0));
        let again = settings.reload(&new);
        assert_eq!((again.changed.len(), again.kept.len()), (0, 2), "still not in effect");
    }

    #[test]
    fn every_live_setting_is_taken_over() {
        let (mut settings, all) = (load(""), load("").values());
        for name in LIVE {
            assert!(all.keys().any(|key| key == name || key.starts_with(&format!("{name}."))), "{name}");
        }
        let mut new = settings.clone();
        new.log = "trace".to_owned();
        new.rate_limit.requests_per_second = 77;
        settings.reload(&new);
        assert_eq!(settings.values(), new.values());
    }
}
