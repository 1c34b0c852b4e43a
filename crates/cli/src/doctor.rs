//! `ootheca doctor`: whether this machine can run a server, and what to do where it can not.
//!
//! `look` sees what is there and thinks nothing; `judge` thinks and looks at nothing.

mod judge;
mod look;

use crate::print;
use clap::Args;
use judge::{Finding, Verdict};
use ootheca_model::Result;
use ootheca_server::Settings;
use serde::Serialize;
use std::{fmt::Write, io::IsTerminal, net::SocketAddr, path::PathBuf};

/// Flags of `doctor`: those that a server would be started with.
#[derive(Args, Serialize)]
pub(crate) struct DoctorArgs {
    /// The data folder that a server has or will have [default: the platform's folder for data]
    #[arg(long, env = "OOTHECA_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// The Cloud API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// The SQL gateway [default: 127.0.0.1:26257]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_listen: Option<SocketAddr>,
    /// Any address is looked at.
    #[arg(skip = true)]
    insecure_listen: bool,
    /// The file with settings that the server has
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// Looks, judges and prints; whether nothing failed.
pub(crate) fn run(args: &DoctorArgs) -> Result<bool> {
    let settings = Settings::load(args.config.as_deref(), args)?;
    let findings = judge::judge(&look::look(&settings));
    let healthy = findings.iter().all(|finding| finding.verdict != Verdict::Fail);
    print(&if args.json { json(&findings, healthy) } else { text(&findings) })?;
    Ok(healthy)
}

fn json(findings: &[Finding], healthy: bool) -> String {
    format!("{:#}\n", serde_json::json!({ "healthy": healthy, "findings": findings }))
}

fn text(findings: &[Finding]) -> String {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let (colour, word) = match finding.verdict {
            Verdict::Ok => ("32", "ok"),
            Verdict::Warn => ("33", "warn"),
            Verdict::Fail => ("31", "FAIL"),
        };
        let word = if colours { format!("\x1b[{colour}m{word:<4}\x1b[0m") } else { format!("{word:<4}") };
        let _ = writeln!(text, "{word}  {:<width$}  {}", finding.check, finding.detail);
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "      {:<width$}  → {advice}", "");
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    let summary = match (failed, warned) {
        (0, 0) => "Everything is fine.".to_owned(),
        (0, warned) => format!("A server can run here; warnings: {warned}."),
        (failed, warned) => format!("A server can not run here as it is. Failures: {failed}, warnings: {warned}."),
    };
    let _ = writeln!(text, "\n{summary}");
    text
}
