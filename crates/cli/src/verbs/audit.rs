//! `ootheca audit`: proves the audit log.

use super::audit_log::{self, ListArgs, TailArgs};
use crate::{
    failure::{Failure, Result},
    output::print,
};
use clap::{Args, Subcommand};
use ootheca_model::Error;
use ootheca_server::Settings;
use ootheca_store::{Anchor, AuditCheck, ChainReport, verify_audit};
use serde::Serialize;
use std::path::PathBuf;

/// What can be done with the audit log.
#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Show who did what
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show each entry as it is written, until interrupted
    Tail(TailArgs),
    /// Prove that no entry was changed, removed or reordered; beside a running server too.
    Verify(VerifyArgs),
}

/// Flags of `audit verify`.
#[derive(Args, Serialize)]
pub(crate) struct VerifyArgs {
    /// The data folder of a server, running or not [default: the platform's folder for data]
    #[arg(long, env = "OOTHECA_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Where rows are kept: postgres://… [default: SQLite in the data folder]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// The file with settings that the server has
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// The address of the API is the server's business.
    #[arg(skip = true)]
    insecure_listen: bool,
    /// A head that was shown and noted earlier: it must still be there
    #[arg(long, value_name = "NUMBER:HASH")]
    #[serde(skip)]
    anchor: Vec<Anchor>,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// Runs the command; an error says that the log is not whole.
pub(crate) fn run(command: &AuditCommand) -> Result<()> {
    let args = match command {
        AuditCommand::List(args) => return audit_log::list(args),
        AuditCommand::Tail(args) => return audit_log::tail(args),
        AuditCommand::Verify(args) => args,
    };
    let settings = Settings::load(args.config.as_deref(), args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::internal("can not start the runtime").because(error))?;
    let check = runtime.block_on(verify_audit(&settings.store_url(), &args.anchor))?;
    print(&if args.json { json(&check) } else { text(&check) })?;
    if check.is_whole() { Ok(()) } else { Err(Failure::failed("the audit log is not whole")) }
}

fn json(check: &AuditCheck) -> String {
    let mut value = serde_json::json!(check);
    value["whole"] = check.is_whole().into();
    format!("{value:#}\n")
}

fn text(check: &AuditCheck) -> String {
    let mut text: String = check.chains.iter().map(chain).collect();
    for anchor in &check.lost_anchors {
        text.push_str(&format!("anchor {anchor}: no chain holds it; the log was cut or written anew\n"));
    }
    text.push_str(if check.is_whole() { "whole\n" } else { "NOT WHOLE\n" });
    text
}

fn chain(chain: &ChainReport) -> String {
    let ChainReport { organization, entries, outcomes, older, head, faults } = chain;
    let mut text = format!("organization {organization}: {entries} entries, {outcomes} outcomes");
    if *older > 0 {
        text.push_str(&format!(", {older} entries from before the chain"));
    }
    text.push('\n');
    if let Some(head) = head {
        text.push_str(&format!("  head {head}\n"));
    }
    for fault in faults {
        let entry = fault.entry.as_ref().map(|id| format!(" (entry {id})")).unwrap_or_default();
        text.push_str(&format!("  link {}{entry}: {}\n", fault.sequence, fault.message));
    }
    text
}
