//! The flags of `cluster create` for a clone: a cluster that begins with the data of another one.

use super::Context;
use crate::{
    failure::{Failure, Result},
    resolve,
    verbs::time,
};
use clap::Args;
use ootheca_model::Timestamp;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Which data of the cluster `--from` a clone begins with, and what is changed in it.
#[derive(Args, Default)]
pub(super) struct DataArgs {
    /// Begin with this backup of the cluster, as shown by `ootheca backup list`, instead of its present data
    #[arg(long, visible_alias = "backup-id", value_name = "ID", requires = "from", conflicts_with = "at")]
    backup: Option<String>,
    /// Begin with its data at this time, such as 2026-03-01T10:30:00Z, between its oldest and its newest backup
    #[arg(long, visible_alias = "point-in-time", value_name = "TIME", requires = "from", value_parser = time::rfc3339)]
    at: Option<Timestamp>,
    /// Run the SQL in this file, or in standard input (-), before anything can connect to the cluster, for example to
    /// remove personal data
    #[arg(long, value_name = "FILE", requires = "from")]
    masking_sql: Option<PathBuf>,
    /// Database in which the SQL runs [default: defaultdb]
    #[arg(long, value_name = "DATABASE", requires = "masking_sql")]
    masking_database: Option<String>,
}

impl DataArgs {
    /// The member `restore_from` of the request, for a source by name or ID.
    pub(super) fn restore_from(&self, context: &Context, source: &str) -> Result<Value> {
        let masking = self.masking_sql.as_deref().map(read_sql).transpose()?;
        let source = resolve::cluster(&context.client, source)?;
        Ok(self.member(resolve::id(&source), masking))
    }

    fn member(&self, source: &str, masking: Option<String>) -> Value {
        let mut member = json!({ "source_cluster_id": source });
        let optional = [
            ("backup_id", self.backup.clone()),
            ("point_in_time", self.at.map(|time| time.to_string())),
            ("masking_sql", masking),
            ("masking_database", self.masking_database.clone()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                member[name] = value.into();
            }
        }
        member
    }
}

/// Reads SQL from a file, or from standard input if it is `-`.
fn read_sql(file: &Path) -> Result<String> {
    let standard_input = file == Path::new("-");
    let source = if standard_input { "standard input".to_owned() } else { file.display().to_string() };
    let failed =
        |error: io::Error| Failure::usage(format!("--masking-sql: could not read {source}: {error}"));
    let mut text = String::new();
    let read = match standard_input {
        true => io::stdin().read_to_string(&mut text),
        false => File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(failed)?;
    // Without this, a clone would be created unmasked if the command before a pipe failed.
    if text.trim().is_empty() {
        return Err(Failure::usage(format!("--masking-sql: {source} is empty")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    const SOURCE: &str = "6f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f11";

    #[test]
    fn a_clone_of_the_present_names_only_its_source() {
        assert_eq!(DataArgs::default().member(SOURCE, None), json!({ "source_cluster_id": SOURCE }));
    }

    #[test]
    fn a_clone_of_the_past_names_a_backup_or_a_time() {
        let backup = DataArgs { backup: Some("some-backup".to_owned()), ..DataArgs::default() };
        let expected = json!({ "source_cluster_id": SOURCE, "backup_id": "some-backup" });
        assert_eq!(backup.member(SOURCE, None), expected);
        let at = DataArgs { at: Some(Timestamp(1_772_361_000_000_000)), ..DataArgs::default() };
        assert_eq!(at.member(SOURCE, None)["point_in_time"], "2026-03-01T10:30:00.000000Z");
    }

    #[test]
    fn masking_sql_can_have_a_database() {
        let data = DataArgs { masking_database: Some("shop".to_owned()), ..DataArgs::default() };
        let expected = json!({
            "source_cluster_id": SOURCE, "masking_sql": "DELETE FROM people", "masking_database": "shop",
        });
        assert_eq!(data.member(SOURCE, Some("DELETE FROM people".to_owned())), expected);
    }

    #[test]
    fn masking_sql_is_read_as_it_is_and_is_not_empty() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let refused = |path: &Path| read_sql(path).unwrap_err().message;
        assert!(refused(file.path()).ends_with(" is empty"), "{}", refused(file.path()));
        let text = " UPDATE people SET name = 'ü';\n";
        file.write_all(text.as_bytes()).unwrap();
        assert_eq!(read_sql(file.path()).unwrap(), text);
        fs::write(file.path(), b"SELECT '\xff'").unwrap();
        assert!(refused(file.path()).starts_with("--masking-sql: could not read "));
        assert!(refused(Path::new("/nonexistent")).contains("/nonexistent"));
    }
}
