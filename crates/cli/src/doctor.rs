//! `ootheca doctor`: checks whether this machine can run a server.
//!
//! `collect` gathers facts without interpreting them. `diagnose` is a pure function from facts to findings.

mod collect;
mod diagnose;

use crate::{
    failure::{Failure, Result},
    output::print,
    settings_args::SettingsArgs,
    terminal,
};
use anstyle::AnsiColor;
use clap::Args;
use diagnose::{Finding, Verdict};
use serde::Serialize;
use std::{fmt::Write, net::SocketAddr};

/// Flags of `doctor`: the same as those that the server is started with.
#[derive(Args, Serialize)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    #[serde(flatten)]
    settings: SettingsArgs,
    /// Address of the Cloud API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Address of the SQL gateway [default: 127.0.0.1:26257]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_listen: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// Runs all checks and prints the findings. Fails if a server can't run.
pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let settings = args.settings.load_offline(args)?;
    let findings = diagnose::diagnose(&collect::collect(&settings));
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    print(&if args.json { json(&findings, failed == 0) } else { text(&findings) })?;
    match (failed, warned) {
        (0, 0) => terminal::message("All checks passed."),
        (0, warned) => terminal::message(format!("A server can run on this machine. Warnings: {warned}")),
        (failed, _) => {
            let message =
                format!("a server can't run on this machine yet (failures: {failed}, warnings: {warned})");
            return Err(Failure::failed(message));
        }
    }
    Ok(())
}

fn json(findings: &[Finding], healthy: bool) -> String {
    format!("{:#}\n", serde_json::json!({ "healthy": healthy, "findings": findings }))
}

fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let (color, word) = match finding.verdict {
            Verdict::Ok => (AnsiColor::Green, "ok"),
            Verdict::Warn => (AnsiColor::Yellow, "warn"),
            Verdict::Fail => (AnsiColor::Red, "fail"),
        };
        let style = color.on_default().bold();
        let _ = writeln!(text, "{style}{word:<4}{style:#}  {:<width$}  {}", finding.check, finding.detail);
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "      {:<width$}  → {advice}", "");
        }
    }
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        _ => text,
    }
}
