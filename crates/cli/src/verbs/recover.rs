//! `ootheca recover`: prepares a new data directory from the repository of backups of a lost installation.

use crate::{
    failure::{Failure, Result},
    output::{self, print, printable},
    runtime,
    settings_args::SettingsArgs,
    terminal::{self, notice},
};
use clap::Args;
use ootheca_model::Timestamp;
use ootheca_server::recovery::{Recovered, recover};
use serde::{Serialize, Serializer};
use std::{fs, path::PathBuf};

/// Flags of `recover`.
#[derive(Args, Serialize)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    #[serde(flatten)]
    settings: SettingsArgs,
    /// Repository of the backups, such as s3://my-bucket/ootheca or file:///mnt/backups [default: the setting backups.url]
    #[arg(long, value_name = "URL")]
    #[serde(rename = "backups", serialize_with = "in_backups", skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// File with the recovery key [default: prompt, or standard input without a terminal]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    key_file: Option<PathBuf>,
    /// Store in PostgreSQL into which a backup of its own was restored before [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Use the newest copy of the control store until this time, such as 2026-03-01T10:30:00Z [default: the newest]
    #[arg(long, value_name = "TIME")]
    #[serde(skip)]
    until: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// Serializes a flag as `url` in a table of settings.
fn in_backups<S: Serializer>(url: &Option<String>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map([("url", url)])
}

/// Runs the command.
pub(crate) fn run(args: &RecoverArgs) -> Result<()> {
    let settings = args.settings.load_offline(args)?;
    let key = match &args.key_file {
        Some(file) => fs::read_to_string(file)
            .map_err(|error| Failure::failed(format!("could not read {}: {error}", file.display())))?,
        None => terminal::password("Recovery key")?,
    };
    let (url, data_dir) = (settings.backups_url(), settings.data_dir.display().to_string());
    let is_in_postgres = !settings.store_url().starts_with("sqlite:");
    let recovered = runtime::current_thread()?.block_on(recover(settings, &key, args.until))?;
    if args.json {
        return output::json(&serde_json::json!(recovered));
    }
    let time = recovered.control_store;
    let (what, store) = match is_in_postgres {
        false => ("the control store", ""),
        true => ("the files of the data directory", " and this store"),
    };
    notice(format!("Recovered {what} as of {time} into {data_dir}."));
    print(&table(&recovered))?;
    notice(format!(
        "The next start of the server on this data directory, with backups.url = \"{url}\"{store}, restores these \
         backups. The lost server must no longer run."
    ));
    Ok(())
}

fn table(recovered: &Recovered) -> String {
    let mut text = format!("{:<38} {:<22} {}\n", "ID", "NAME", "BACKUP");
    for cluster in &recovered.clusters {
        let backup =
            cluster.backup.map_or_else(|| "none; the data is lost".to_owned(), |time| time.to_string());
        text.push_str(&format!("{:<38} {:<22} {backup}\n", cluster.id.to_string(), printable(&cluster.name)));
    }
    text
}
