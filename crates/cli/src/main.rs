//! `ootheca`: one binary that turns any machine into a database cloud.

use clap::{Args, Parser, Subcommand, ValueEnum};
use ootheca_engine::{InstanceReport, postgres};
use ootheca_model::{Error, Result, effect};
use ootheca_server::{Server, Settings, settings};
use serde::Serialize;
use std::{io::IsTerminal, net::SocketAddr, path::PathBuf, process::ExitCode};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
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
    /// Show what really runs: each SQL server, its version, process and folder.
    Debug(DebugArgs),
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
        Command::Debug(args) => debug(&args),
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
    let filter = EnvFilter::try_from_env("OOTHECA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
    let settings = Settings::load(args.config.as_deref(), args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::internal("can not start the runtime").because(error))?;
    runtime.block_on(run(settings))
}

async fn run(settings: Settings) -> Result<()> {
    let hurry = hurry_after_signals()?;
    let mut signals = hurry.subscribe();
    let server = Server::start(settings).await?;
    greet(&server);
    effect::arm();
    let _ = signals.wait_for(|count| *count >= 1).await;
    eprintln!("stopping; a second signal is faster");
    let (send, receive) = watch::channel(false);
    tokio::spawn(async move {
        let _ = signals.wait_for(|count| *count >= 2).await;
        let _ = send.send(true);
        std::future::pending::<()>().await;
    });
    server.stop(receive).await;
    Ok(())
}

/// Counts SIGTERM and SIGINT.
fn hurry_after_signals() -> Result<watch::Sender<u32>> {
    let failed = |error| Error::internal("can not listen for signals").because(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let count = watch::Sender::new(0);
    let sender = count.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(count)
}

fn greet(server: &Server) {
    let key = server.data_dir().join("admin-api-key");
    let (api, sql) = (server.listen, server.sql_listen);
    eprintln!("\nOotheca is ready.");
    eprintln!("  Cloud API    http://{api}");
    eprintln!("  SQL gateway  {sql} (TLS)");
    let fresh = if server.admin_key.is_some() { ", just made: keep it secret" } else { "" };
    eprintln!("  API key      in {}{fresh}", key.display());
    eprintln!(
        "\nTry:\n  curl -H \"Authorization: Bearer $(cat {})\" http://{api}/api/v1/clusters\n",
        key.display()
    );
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
