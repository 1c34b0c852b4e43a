//! `ootheca audit`: lists and verifies the audit log.

use super::audit_log::{self, ListArgs, TailArgs};
use crate::{
    failure::{Failure, Result},
    output::print,
    runtime,
    settings_args::StoreArgs,
};
use clap::{Args, Subcommand};
use ootheca_store::{Anchor, AuditCheck, ChainReport, verify_audit};

/// Verbs of `audit`.
#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// List entries, newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Print new entries as they are written, until interrupted
    Tail(TailArgs),
    /// Verify that no entry was changed, removed, or reordered; the server can be running
    Verify(VerifyArgs),
}

/// Flags of `audit verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Head that an earlier run printed; it must still be in the chain; can be repeated
    #[arg(long, value_name = "NUMBER:HASH")]
    anchor: Vec<Anchor>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. Verification fails if the log isn't intact.
pub(crate) fn run(command: &AuditCommand) -> Result<()> {
    let args = match command {
        AuditCommand::List(args) => return audit_log::list(args),
        AuditCommand::Tail(args) => return audit_log::tail(args),
        AuditCommand::Verify(args) => args,
    };
    let settings = args.store.load_offline()?;
    let check = runtime::current_thread()?.block_on(verify_audit(&settings.store_url(), &args.anchor))?;
    print(&if args.json { json(&check) } else { text(&check) })?;
    if check.is_whole() { Ok(()) } else { Err(Failure::failed("the audit log is not intact")) }
}

fn json(check: &AuditCheck) -> String {
    let mut value = serde_json::json!(check);
    value["whole"] = check.is_whole().into();
    format!("{value:#}\n")
}

fn text(check: &AuditCheck) -> String {
    let mut text: String = check.chains.iter().map(chain).collect();
    for anchor in &check.lost_anchors {
        text.push_str(&format!("anchor {anchor}: not found; the log was truncated or rewritten\n"));
    }
    text.push_str(if check.is_whole() { "intact\n" } else { "NOT INTACT\n" });
    text
}

fn chain(chain: &ChainReport) -> String {
    let ChainReport { organization, entries, outcomes, older, head, faults } = chain;
    let mut text = format!("organization {organization}: {entries} entries, {outcomes} outcomes");
    if *older > 0 {
        text.push_str(&format!(", {older} entries older than the chain"));
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
