//! `ootheca restore`: restores clusters, databases, and tables from backups.

use super::{Context, backup::PartArgs, time, wait::WaitArgs};
use crate::{
    client::{Client, segment},
    failure::{Failure, Result},
    output::{self, Column},
    resolve, terminal,
};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use ootheca_model::Timestamp;
use serde_json::{Map, Value, json};

/// Verbs of `restore`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Replace the data and SQL users of a cluster with those of a backup or at a time, or add databases or tables
    Create(CreateArgs),
    /// List the restores into a cluster, newest first
    #[command(visible_alias = "ls")]
    List {
        /// Name or ID of the cluster
        cluster: String,
        #[command(flatten)]
        part: PartArgs,
    },
    /// Show a restore, and why it failed
    #[command(visible_alias = "get")]
    Show {
        /// Name or ID of the cluster that was restored
        cluster: String,
        /// ID of the restore, as shown by `list`
        id: String,
    },
}

/// Flags of `restore create`.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// Cluster to restore into, by name or ID; if its data is replaced and it isn't the one that was backed up, it must be
    /// empty
    #[arg(value_name = "DESTINATION")]
    destination: String,
    #[command(flatten)]
    backup: BackupArgs,
    #[command(flatten)]
    objects: ObjectArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// The data to restore: a backup, the newest backup of a cluster, or its data at a time.
#[derive(Args)]
#[group(required = true, multiple = true)]
pub(crate) struct BackupArgs {
    /// ID of the backup, as shown by `ootheca backup list`
    #[arg(long, visible_alias = "backup-id", value_name = "ID", conflicts_with_all = ["from", "at"])]
    backup: Option<String>,
    /// Restore the newest backup of this cluster, by name or ID; of a deleted cluster, by ID
    #[arg(long, visible_alias = "source-cluster-id", value_name = "CLUSTER")]
    from: Option<String>,
    /// Restore the data at this time, such as 2026-03-01T10:30:00Z, between the oldest and the newest backup; of the
    /// destination itself without --from
    #[arg(long, visible_alias = "point-in-time", value_name = "TIME", value_parser = time::rfc3339)]
    at: Option<Timestamp>,
}

/// What to restore; all data of the cluster by default.
#[derive(Args)]
pub(crate) struct ObjectArgs {
    /// Add only this database of the backup to an ADVANCED cluster; can be repeated
    #[arg(long = "database", value_name = "NAME")]
    databases: Vec<String>,
    /// Add only this table of the database; can be repeated
    #[arg(long = "table", value_name = "NAME", requires = "databases")]
    tables: Vec<String>,
    /// Schema of the tables [default: public]
    #[arg(long, value_name = "NAME", requires = "tables")]
    schema: Option<String>,
    /// Restore the database under another name
    #[arg(long, value_name = "NAME", requires = "databases")]
    new_db_name: Option<String>,
    /// Restore the tables into another database, which must exist
    #[arg(long, value_name = "NAME", requires = "tables")]
    into_db: Option<String>,
    /// Restore tables without their rows
    #[arg(long, requires = "databases")]
    schema_only: bool,
    /// Omit foreign keys to tables that aren't restored
    #[arg(long, requires = "tables")]
    skip_missing_foreign_keys: bool,
    /// Omit defaults whose sequences aren't restored
    #[arg(long, requires = "tables")]
    skip_missing_sequences: bool,
    /// Omit views of tables and views that aren't restored
    #[arg(long, requires = "tables")]
    skip_missing_views: bool,
    /// Type of the restore; the other flags imply it
    #[arg(long = "type", value_name = "TYPE", ignore_case = true, value_parser = PossibleValuesParser::new(["CLUSTER", "DATABASE", "TABLE"]))]
    kind: Option<String>,
}

const LIST: [Column; 6] = [
    Column::text("ID", "/id"),
    Column::by("STATUS", status),
    Column::text("SOURCE", "/source_cluster_name"),
    Column::by("AS OF", as_of),
    Column::time("CREATED AT", "/created_at"),
    Column::time("COMPLETED AT", "/completed_at"),
];
const DETAILS: [Column; 11] = [
    Column::text("ID", "/id"),
    Column::by("STATUS", status),
    Column::text("ERROR", "/client_error_message"),
    Column::text("TYPE", "/type"),
    Column::by("OBJECTS", objects),
    Column::text("DESTINATION", "/destination_cluster_name"),
    Column::text("SOURCE", "/source_cluster_name"),
    Column::text("BACKUP", "/backup_id"),
    Column::by("AS OF", as_of),
    Column::time("CREATED AT", "/created_at"),
    Column::time("COMPLETED AT", "/completed_at"),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let restores = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/restores");
    match verb {
        Verb::Create(args) => create(context, &args),
        Verb::List { cluster, part } => part.list(context, &restores(&cluster)?, "restores", &LIST),
        Verb::Show { cluster, id } => {
            let restore = context.client.get(&format!("{}/{}", restores(&cluster)?, segment(&id)))?;
            context.out.record(&restore, &DETAILS)
        }
    }
}

/// Creates a restore, after confirmation if it replaces data.
fn create(context: &Context, args: &CreateArgs) -> Result<()> {
    let destination = resolve::cluster(&context.client, &args.destination)?;
    let (name, restores) = (resolve::name(&destination), resolve::path(&destination, "/restores"));
    let body = body(&context.client, args)?;
    if body["type"] == "CLUSTER" {
        let which = args.backup.at.map_or_else(|| "of the backup".to_owned(), |time| format!("at {time}"));
        let question = format!("Replace all data and SQL users of cluster {name} with those {which}?");
        terminal::confirm(context.yes, &question)?;
    }
    let what = args.objects.what(name);
    let show = |restore: &Value| format!("ootheca restore show {name} {}", resolve::id(restore));
    let restore = args.wait.until_complete(
        &format!("restoring {what}…"),
        || context.client.post(&restores, &body),
        |restore| context.client.get(&format!("{restores}/{}", segment(resolve::id(restore)))),
        |restore| (restore["status"] == "PENDING").then(|| progress(restore)),
        show,
    )?;
    let command = show(&restore);
    match restore["status"].as_str() {
        Some("SUCCESS") => context.out.done(&format!("Restored {what}"), &restore, &DETAILS),
        Some("PENDING") => {
            context.out.record(&restore, &DETAILS)?;
            terminal::message(format!("\nThe restore is running. Check the progress with `{command}`"));
            Ok(())
        }
        _ => {
            let why = restore["client_error_message"].as_str().unwrap_or("unknown error");
            Err(Failure::failed(format!("could not restore {what}: {why}"))
                .hint(format!("the data of the cluster is unchanged; see `{command}`")))
        }
    }
}

/// The body of the request.
fn body(client: &Client, args: &CreateArgs) -> Result<Value> {
    let mut body = args.objects.body()?;
    if let Some(backup) = &args.backup.backup {
        body["backup_id"] = backup.as_str().into();
    }
    if let Some(source) = &args.backup.from {
        body["source_cluster_id"] = resolve::id(&resolve::cluster(client, source)?).into();
    }
    if let Some(time) = args.backup.at {
        body["point_in_time"] = time.to_string().into();
    }
    Ok(body)
}

impl ObjectArgs {
    /// What is restored, for messages.
    fn what(&self, cluster: &str) -> String {
        let (noun, names) = match (&self.databases[..], &self.tables[..]) {
            ([], _) => return format!("cluster {cluster}"),
            (databases, []) => ("database", databases),
            (_, tables) => ("table", tables),
        };
        let plural = if names.len() == 1 { "" } else { "s" };
        format!("{noun}{plural} {} into cluster {cluster}", names.join(", "))
    }

    fn kind(&self) -> String {
        match &self.kind {
            Some(kind) => kind.to_uppercase(),
            None if !self.tables.is_empty() => "TABLE".to_owned(),
            None if !self.databases.is_empty() => "DATABASE".to_owned(),
            None => "CLUSTER".to_owned(),
        }
    }

    /// The part of the body that says what is restored.
    fn body(&self) -> Result<Value> {
        let mut body = json!({ "type": self.kind() });
        let objects: Vec<Value> = match &self.databases[..] {
            [] => return Ok(body),
            databases if self.tables.is_empty() => {
                databases.iter().map(|database| json!({ "database": database })).collect()
            }
            [database] => self.tables.iter().map(|table| self.table(database, table)).collect(),
            _ => return Err(Failure::usage("--table requires a single --database")),
        };
        body["objects"] = objects.into();
        let options = self.options();
        if !options.is_empty() {
            body["restore_opts"] = options.into();
        }
        Ok(body)
    }

    fn table(&self, database: &str, table: &str) -> Value {
        let mut object = json!({ "database": database, "table": table });
        if let Some(schema) = &self.schema {
            object["schema"] = schema.as_str().into();
        }
        object
    }

    fn options(&self) -> Map<String, Value> {
        let names = [("new_db_name", &self.new_db_name), ("into_db", &self.into_db)];
        let flags = [
            ("schema_only", self.schema_only),
            ("skip_missing_foreign_keys", self.skip_missing_foreign_keys),
            ("skip_missing_sequences", self.skip_missing_sequences),
            ("skip_missing_views", self.skip_missing_views),
        ];
        let names = names.into_iter().filter_map(|(option, name)| Some((option, Value::from(name.clone()?))));
        let flags = flags.into_iter().filter(|(_, set)| *set).map(|(option, _)| (option, Value::from(true)));
        names.chain(flags).map(|(option, value)| (option.to_owned(), value)).collect()
    }
}

/// The databases or tables of a restore.
fn objects(restore: &Value) -> String {
    let name = |object: &Value| {
        let parts = ["database", "schema", "table"].into_iter().filter_map(|part| object[part].as_str());
        parts.collect::<Vec<_>>().join(".")
    };
    let objects = restore["objects"].as_array().into_iter().flatten();
    objects.map(name).collect::<Vec<_>>().join(", ")
}

/// The time of the data.
fn as_of(restore: &Value) -> String {
    let time = restore.get("point_in_time").unwrap_or(&restore["backup_end_time"]);
    output::time(time.as_str().unwrap_or_default())
}

/// The status, with the progress of a restore that is running.
fn status(restore: &Value) -> String {
    match restore["status"].as_str().unwrap_or_default() {
        "PENDING" => format!("PENDING ({})", progress(restore)),
        status => status.to_owned(),
    }
}

/// The progress in steps of five percent, because without a terminal each step is a line.
fn progress(restore: &Value) -> String {
    let complete = restore["completion_percent"].as_f64().unwrap_or_default();
    format!("{:.0}%", (complete * 20.0).floor() * 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(databases: &[&str], tables: &[&str]) -> ObjectArgs {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        ObjectArgs {
            databases: names(databases),
            tables: names(tables),
            schema: None,
            new_db_name: None,
            into_db: None,
            schema_only: false,
            skip_missing_foreign_keys: false,
            skip_missing_sequences: false,
            skip_missing_views: false,
            kind: None,
        }
    }

    #[test]
    fn the_flags_imply_the_type() {
        let body = |args: ObjectArgs| args.body().unwrap();
        assert_eq!(body(args(&[], &[])), json!({ "type": "CLUSTER" }));
        let databases = json!({ "type": "DATABASE", "objects": [{ "database": "a" }, { "database": "b" }] });
        assert_eq!(body(args(&["a", "b"], &[])), databases);
        let tables = ObjectArgs {
            schema: Some("s".to_owned()),
            into_db: Some("b".to_owned()),
            skip_missing_views: true,
            ..args(&["a"], &["t"])
        };
        let expected = json!({
            "type": "TABLE",
            "objects": [{ "database": "a", "schema": "s", "table": "t" }],
            "restore_opts": { "into_db": "b", "skip_missing_views": true },
        });
        assert_eq!(body(tables), expected);
        assert!(args(&["a", "b"], &["t"]).body().is_err());
        let explicit = ObjectArgs { kind: Some("database".to_owned()), ..args(&[], &[]) };
        assert_eq!(body(explicit), json!({ "type": "DATABASE" }));
    }

    #[test]
    fn messages_say_what_is_restored() {
        assert_eq!(args(&[], &[]).what("red-fox"), "cluster red-fox");
        assert_eq!(args(&["a"], &[]).what("red-fox"), "database a into cluster red-fox");
        assert_eq!(args(&["a"], &["t", "u"]).what("red-fox"), "tables t, u into cluster red-fox");
        let restore =
            json!({ "objects": [{ "database": "a" }, { "database": "b", "schema": "s", "table": "t" }] });
        assert_eq!((objects(&restore), objects(&json!({}))), ("a, b.s.t".to_owned(), String::new()));
    }

    #[test]
    fn the_time_of_the_data_is_that_of_the_request_or_of_the_backup() {
        let mut restore = json!({ "backup_end_time": "2026-03-01T10:00:00.000000Z" });
        assert_eq!(as_of(&restore), "2026-03-01 10:00:00Z");
        restore["point_in_time"] = "2026-03-01T10:30:00.000000Z".into();
        assert_eq!(as_of(&restore), "2026-03-01 10:30:00Z");
        assert_eq!(as_of(&json!({})), "");
    }

    #[test]
    fn the_status_of_a_running_restore_contains_its_progress() {
        let shown =
            |word: &str, complete: f64| status(&json!({ "status": word, "completion_percent": complete }));
        assert_eq!(shown("PENDING", 0.0), "PENDING (0%)");
        assert_eq!(shown("PENDING", 0.499), "PENDING (45%)");
        assert_eq!(shown("SUCCESS", 1.0), "SUCCESS");
        assert_eq!(shown("FAILED", 0.2), "FAILED");
    }
}
