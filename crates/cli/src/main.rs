//! `ootheca`: one binary that turns any machine into a database cloud.

mod admin;
mod audit;
mod run;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ootheca_engine::{InstanceReport, postgres};
use ootheca_model::Result;
use ootheca_server::{GatewayProcess, Server, Settings, settings};
use run::run;
use serde::{Serialize, Serializer};
use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// A self-hosted Cloud API in which every cluster is a real SQL server.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the Cloud API, the SQL gateway and the SQL servers.
    Serve(ServeArgs),
    /// Run the SQL gateway alone, beside `serve --no-gateway`.
    Gateway(GatewayArgs),
    /// Show what really runs: each SQL server, its version, process and folder.
    Debug(DebugArgs),
    /// Prove the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// What the owner of this machine may do without a key: the first person, recovery.
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Print the default settings, with a sentence for each.
    Settings,
    /// Print the OpenAPI document.
    Openapi,
}

/// Flags of `serve`; those left out come from the environment, the file, the defaults.
#[derive(Args, Serialize)]
struct ServeArgs {
    /// Everything that the server keeps [default: the platform's folder for data]
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
    /// What runs the SQL servers [default: postgres]
    #[arg(long, value_enum)]
    #[serde(rename = "engine_kind", skip_serializing_if = "Option::is_none")]
    engine: Option<EngineArg>,
    /// Where rows are kept: postgres://… [default: SQLite in the data folder]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// A file with settings; `ootheca settings` prints them all
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Leave the SQL servers running at the end; the next start adopts them
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    detach: bool,
    /// Listen on an address that is not loopback, although the API speaks plain HTTP
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure_listen: bool,
    /// For testing automation: let time be advanced over the API
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test_clock: bool,
    /// Run no SQL gateway; `ootheca gateway` does
    #[arg(long)]
    #[serde(rename = "gateway", serialize_with = "disabled", skip_serializing_if = "std::ops::Not::not")]
    no_gateway: bool,
    /// Take the place of the server that runs on the data folder, without refusing a connection
    #[arg(long)]
    #[serde(skip)]
    take_over: bool,
}

/// The setting `enabled = false` of a table.
fn disabled<S: Serializer>(_: &bool, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map([("enabled", false)])
}

/// Flags of `gateway`.
#[derive(Args, Serialize)]
struct GatewayArgs {
    /// The data folder of the server [default: the platform's folder for data]
    #[arg(long, env = "OOTHECA_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Where SQL clients connect [default: 127.0.0.1:26257]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_listen: Option<SocketAddr>,
    /// The address of the API is the server's business.
    #[arg(skip = true)]
    insecure_listen: bool,
    /// Serve the gateway's figures at /metrics, to anybody who can connect [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip)]
    metrics_listen: Option<SocketAddr>,
    /// The file with settings that the server has
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Take the place of the gateway that runs on the data folder, without refusing a connection
    #[arg(long)]
    #[serde(skip)]
    take_over: bool,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum EngineArg {
    /// A PostgreSQL server for every cluster
    Postgres,
    /// No processes: the same API, for testing tools
    Simulated,
}

#[derive(Args, Serialize)]
struct DebugArgs {
    /// The data folder of a server, running or not [default: the platform's folder for data]
    #[arg(long, env = "OOTHECA_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Gateway(args) => gateway(&args),
        Command::Debug(args) => debug(&args),
        Command::Audit(command) => audit::run(&command),
        Command::Admin(verb) => admin::run(verb),
        Command::Settings => print(settings::DEFAULTS),
        Command::Openapi => print(&format!("{:#}\n", ootheca_server::openapi())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ootheca: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<()> {
    use std::io::Write;
    // A reader that closes the pipe early has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn serve(args: &ServeArgs) -> Result<()> {
    start_log();
    let settings = Settings::load(args.config.as_deref(), args)?;
    run::<Server>(settings, args.take_over)
}

fn gateway(args: &GatewayArgs) -> Result<()> {
    start_log();
    let settings = Settings::load(args.config.as_deref(), args)?;
    run::<GatewayProcess>((settings, args.metrics_listen), args.take_over)
}

fn start_log() {
    let filter = EnvFilter::try_from_env("OOTHECA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
}

fn debug(args: &DebugArgs) -> Result<()> {
    let settings = Settings::load(None, args)?;
    let reports = postgres::report(&settings.engine_folder())?;
    if args.json {
        let rows: Vec<serde_json::Value> = reports.iter().map(report_json).collect();
        return print(&format!("{:#}\n", serde_json::Value::Array(rows)));
    }
    let mut text =
        format!("{:<14} {:<38} {:<18} {:>8}  {}\n", "INSTANCE", "CLUSTER", "ENGINE", "PID", "DATA");
    for report in &reports {
        let cluster = report.cluster.map_or_else(|| "(spare)".to_owned(), |id| id.to_string());
        let pid = report.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let row = format!(
            "{:<14} {cluster:<38} {:<18} {pid:>8}  {}\n",
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
        "engine": report.engine,
        "pid": report.pid,
        "data": report.data,
    })
}
