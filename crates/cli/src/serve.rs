//! `ootheca serve` and `ootheca gateway`: their flags.

use crate::{
    failure::Result,
    run::{Reloader, run},
    settings_args::SettingsArgs,
};
use clap::{Args, ValueEnum};
use ootheca_server::{GatewayProcess, Server, Settings, logging};
use serde::{Serialize, Serializer};
use std::net::SocketAddr;

/// Flags of `serve`. A flag that is absent doesn't override the environment, the file, or the default.
#[derive(Args, Serialize)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    #[serde(flatten)]
    settings: SettingsArgs,
    /// Address of the Cloud API and the console [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// Address of the SQL gateway [default: 127.0.0.1:26257]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_listen: Option<SocketAddr>,
    /// How clusters run [default: postgres]
    #[arg(long, value_enum)]
    #[serde(rename = "engine_kind", skip_serializing_if = "Option::is_none")]
    engine: Option<EngineArg>,
    /// Where to store metadata, such as postgres://user@host/db [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Take over a store that another engine owns; the data of its clusters is not moved
    #[arg(long)]
    #[serde(skip)]
    adopt_store: bool,
    /// Leave the SQL servers running on exit; the next start adopts them
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    detach: bool,
    /// Allow an API address other than loopback without TLS, for example behind a proxy with TLS
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    insecure_listen: bool,
    /// Let clients advance the clock through the API, to test automation; not for production
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    test_clock: bool,
    /// Don't run the SQL gateway in this process; run `ootheca gateway` instead
    #[arg(long)]
    #[serde(rename = "gateway", serialize_with = "disabled", skip_serializing_if = "std::ops::Not::not")]
    no_gateway: bool,
    /// Replace the server that runs on the same data directory, without refusing a connection
    #[arg(long)]
    #[serde(skip)]
    take_over: bool,
}

/// Serializes a flag as `enabled = false` in a table of settings.
fn disabled<S: Serializer>(_: &bool, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map([("enabled", false)])
}

/// Flags of `gateway`.
#[derive(Args, Serialize)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    #[serde(flatten)]
    settings: SettingsArgs,
    /// Address that SQL clients connect to [default: 127.0.0.1:26257]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sql_listen: Option<SocketAddr>,
    /// Address that serves /metrics without authentication [default: metrics are not served]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip)]
    metrics_listen: Option<SocketAddr>,
    /// Replace the gateway that runs on the same data directory, without refusing a connection
    #[arg(long)]
    #[serde(skip)]
    take_over: bool,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EngineArg {
    /// One PostgreSQL server per cluster
    Postgres,
    /// No SQL servers; only the API, for testing tools
    Simulated,
}

/// Runs the server until it is stopped or replaced.
pub(crate) fn serve(args: &ServeArgs) -> Result<()> {
    logging::start()?;
    let load = || args.settings.load(args);
    let reloader = reloader(&load)?;
    let settings = Settings { adopt_store: args.adopt_store, ..reloader.current.clone() };
    run::<Server>(settings, args.take_over, reloader)
}

/// Runs the gateway until it is stopped or replaced.
pub(crate) fn gateway(args: &GatewayArgs) -> Result<()> {
    logging::start()?;
    let load = || args.settings.load_offline(args);
    let reloader = reloader(&load)?;
    run::<GatewayProcess>((reloader.current.clone(), args.metrics_listen), args.take_over, reloader)
}

fn reloader(load: &dyn Fn() -> Result<Settings>) -> Result<Reloader<'_>> {
    let current = load()?;
    logging::set_filter(&current.log)?;
    Ok(Reloader { current, load })
}
