//! `ootheca debug`: the SQL server instances on this machine.

use crate::{failure::Result, output::print, settings_args::SettingsArgs};
use clap::Args;
use ootheca_engine::{InstanceReport, postgres};

/// Flags of `debug`.
#[derive(Args)]
pub(crate) struct DebugArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists the instances. The server can be running or stopped.
pub(crate) fn debug(args: &DebugArgs) -> Result<()> {
    let settings = args.settings.load_offline(&args.settings)?;
    let reports = postgres::report(&settings.engine_folder())?;
    if args.json {
        let rows: Vec<serde_json::Value> = reports.iter().map(report_json).collect();
        return print(&format!("{:#}\n", serde_json::Value::Array(rows)));
    }
    let mut text = format!(
        "{:<14} {:<38} {:>5} {:<18} {:>8}  {}\n",
        "INSTANCE", "CLUSTER", "EPOCH", "ENGINE", "PID", "DATA"
    );
    for report in &reports {
        let cluster = report.cluster.map_or_else(|| "(spare)".to_owned(), |id| id.to_string());
        let pid = report.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        // Only a cluster whose data was replaced has another one.
        let epoch = if report.epoch == 0 { "-".to_owned() } else { report.epoch.to_string() };
        let row = format!(
            "{:<14} {cluster:<38} {epoch:>5} {:<18} {pid:>8}  {}\n",
            report.instance,
            report.engine,
            report.data.display()
        );
        text.push_str(&row);
    }
    print(&text)
}

fn report_json(report: &InstanceReport) -> serde_json::Value {
    serde_json::json!({
        "instance": report.instance,
        "cluster": report.cluster.map(|id| id.to_string()),
        "epoch": report.epoch,
        "engine": report.engine,
        "pid": report.pid,
        "data": report.data,
    })
}
