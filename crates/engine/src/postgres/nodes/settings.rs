//! The settings of a node that change while its server runs. They are in `postgresql.auto.conf`, because those of the
//! command line can't change until a restart. SQL users can't write it.

use crate::{
    files::{blocking, write_for_owner},
    postgres::{
        context::EngineContext,
        instance::{Instance, STANDBY_SIGNAL},
        replication_user::{PASSFILE, write_node_files},
    },
};
use ootheca_model::{
    ClusterId, Result,
    names::REPLICATION_USER,
    node::{NodeId, Quorum},
};
use rustix::process::Signal;
use std::{fs, path::Path};

const FILE: &str = "postgresql.auto.conf";

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeSettings(String);

impl NodeSettings {
    /// Of a primary whose commits wait for this quorum.
    pub(super) fn of_primary(quorum: Option<&Quorum>) -> Self {
        let names = quorum.map(synchronous_standby_names);
        Self(names.map_or_else(String::new, |names| setting("synchronous_standby_names", &names)))
    }

    /// Of a standby with this data directory that follows the server with these sockets.
    pub(super) fn of_standby(node: NodeId, data: &Path, primary_sockets: &Path) -> Self {
        let parts = [
            ("host", primary_sockets.display().to_string()),
            ("port", "5432".to_owned()),
            ("user", REPLICATION_USER.to_owned()),
            ("application_name", node.to_string()),
            ("passfile", data.join(PASSFILE).display().to_string()),
            ("connect_timeout", "10".to_owned()),
        ];
        let connection: Vec<String> =
            parts.iter().map(|(name, value)| format!("{name}={}", connection_value(value))).collect();
        let lines = [
            setting("primary_conninfo", &connection.join(" ")),
            setting("primary_slot_name", &node.to_string()),
        ];
        Self(lines.concat())
    }

    /// Writes them, and applies them if the server runs. Returns whether they changed.
    pub(super) async fn apply(&self, instance: &Instance) -> Result<bool> {
        let (data, settings) = (instance.data(), self.clone());
        let changed = blocking(move || settings.write(&data)).await?;
        if changed && let Some(process) = &instance.state.borrow().process {
            process.signal(Signal::HUP);
        }
        Ok(changed)
    }

    /// Writes them for the next start. Returns whether they changed.
    pub(super) fn write(&self, data: &Path) -> Result<bool> {
        if fs::read_to_string(data.join(FILE)).is_ok_and(|present| present == self.0) {
            return Ok(false);
        }
        write_for_owner(data, FILE, self.0.as_bytes()).map(|()| true)
    }
}

/// Makes a data directory whose server does not run that of a standby.
pub(super) fn make_standby(
    context: &EngineContext,
    data: &Path,
    cluster: ClusterId,
    settings: &NodeSettings,
) -> Result<()> {
    write_node_files(context, data, cluster)?;
    settings.write(data)?;
    // Last: with it, the node counts as a standby.
    write_for_owner(data, STANDBY_SIGNAL, b"")
}

/// The value of the setting. A node has one server, so its name is unambiguous.
pub(super) fn synchronous_standby_names(quorum: &Quorum) -> String {
    let names: Vec<String> = quorum.standbys.iter().map(NodeId::to_string).collect();
    format!("ANY {} ({})", quorum.confirmations, names.join(", "))
}

/// A line of the settings file.
fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\\', r"\\").replace('\'', "''"))
}

/// A quoted value of a connection string.
pub(super) fn connection_value(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_waits_for_any_of_its_standbys() {
        let quorum = Quorum { standbys: vec![NodeId(2), NodeId(3)], confirmations: 1 };
        let NodeSettings(text) = NodeSettings::of_primary(Some(&quorum));
        assert_eq!(text, "synchronous_standby_names = 'ANY 1 (n2, n3)'\n");
        assert_eq!(NodeSettings::of_primary(None).0, "");
    }

    #[test]
    fn paths_are_quoted_for_libpq_and_for_the_settings_file() {
        let NodeSettings(text) = NodeSettings::of_standby(NodeId(2), Path::new("/it's"), Path::new("/a b"));
        let line = text.lines().next().expect("a line");
        assert!(line.starts_with("primary_conninfo = 'host=''/a b'' port=''5432'' "), "{line}");
        assert!(line.contains(r"passfile=''/it\\''s/ootheca-replication-passfile''"), "{line}");
        assert!(text.ends_with("\nprimary_slot_name = 'n2'\n"), "{text}");
    }
}
