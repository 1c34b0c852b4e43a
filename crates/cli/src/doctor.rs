//! `ootheca doctor`: whether this machine can run a server, and what to do where it can not.
//!
//! `look` sees what is there and thinks nothing; `judge` thinks and looks at nothing.

mod judge;
mod look;

use crate::{
    failure::{Failure, Result},
    output::print,
    talk,
};
use anstyle::AnsiColor;
use clap::Args;
use judge::{Finding, Verdict};
use ootheca_server::Settings;
use serde::Serialize;
use std::{fmt::Write, net::SocketAddr, path::PathBuf};

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

/// Looks, judges and prints; a failure where a server can not run.
pub(crate) fn run(args: &DoctorArgs) -> Result<()> {
    let settings = Settings::load(args.config.as_deref(), args)?;
    let findings = judge::judge(&look::look(&settings));
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
    print(&if args.json { json(&findings, failed == 0) } else { text(&findings) })?;
    match (failed, warned) {
        (0, 0) => talk::say("everything is fine"),
        (0, warned) => talk::say(format!("a server can run here; warnings: {warned}")),
        (failed, _) => {
            let message =
                format!("a server can not run here as it is; failures: {failed}, warnings: {warned}");
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
        let (colour, word) = match finding.verdict {
            Verdict::Ok => (AnsiColor::Green, "ok"),
            Verdict::Warn => (AnsiColor::Yellow, "warn"),
            Verdict::Fail => (AnsiColor::Red, "fail"),
        };
        let style = colour.on_default().bold();
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
