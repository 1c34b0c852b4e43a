//! `ootheca serve` and `ootheca gateway`: their flags.

use crate::run::run;
use clap::{Args, ValueEnum};
use ootheca_model::Result;
use ootheca_server::{GatewayProcess, Server, Settings};
use serde::{Serialize, Serializer};
use std::{io::IsTerminal, net::SocketAddr, path::PathBuf};
use tracing_subscriber::EnvFilter;

/// Flags of `serve`; those left out come from the environment, the file, the defaults.
#[derive(Args, Serialize)]
pub(crate) struct ServeArgs {
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
    /// Take the store from the engine that owns it; its clusters' data does not come along
    #[arg(long)]
    #[serde(skip)]
    adopt_store: bool,
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
pub(crate) struct GatewayArgs {
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
pub(crate) enum EngineArg {
    /// A PostgreSQL server for every cluster
    Postgres,
    /// No processes: the same API, for testing tools
    Simulated,
}

/// Runs it to its end.
pub(crate) fn serve(args: &ServeArgs) -> Result<()> {
    start_log();
    let mut settings = Settings::load(args.config.as_deref(), args)?;
    settings.adopt_store = args.adopt_store;
    run::<Server>(settings, args.take_over)
}

/// Runs it to its end.
pub(crate) fn gateway(args: &GatewayArgs) -> Result<()> {
    start_log();
    let settings = Settings::load(args.config.as_deref(), args)?;
    run::<GatewayProcess>((settings, args.metrics_listen), args.take_over)
}

fn start_log() {
    let filter = EnvFilter::try_from_env("OOTHECA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
}
