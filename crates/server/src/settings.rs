//! Settings, in order of precedence from low to high: the default file, a configuration file, the
//! environment, and the command line.

pub mod reload;

use crate::logging;
use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Value},
};
use ipnet::IpNet;
use ootheca_engine::{launcher, postgres};
use ootheca_model::{Error, Result, catalog::Catalog};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::Path, path::PathBuf, time::Duration};

/// The default file, which describes every setting.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// Environment variables with our prefix that are not settings, including those of the tests and of the
/// command line.
const NOT_SETTINGS: [&str; 9] = [
    "admin_api_key",
    "api_key",
    "ca_file",
    "config",
    "console_required",
    "contract",
    "crash_after_effect",
    "profile",
    "server",
];

/// Former names of sections, and their new names. They work until the next release.
const FORMER_SECTIONS: [(&str, &str); 1] = [("catalogue", "catalog")];

/// Former names of settings of the gateway, and their new names. They work until the next release.
const FORMER_GATEWAY: [(&str, &str); 1] = [("reuse_seconds", "pool_idle_seconds")];

/// The former name of the rate limit mode `refuse`.
const FORMER_REFUSE: &str = "always";

/// Accepts settings under their former names, with a warning.
struct FormerNames<P>(P);

impl<P: Provider> Provider for FormerNames<P> {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        let mut data = self.0.data()?;
        for settings in data.values_mut() {
            rename(settings, "", &FORMER_SECTIONS);
            if let Some(Value::Dict(_, gateway)) = settings.get_mut("gateway") {
                rename(gateway, "gateway.", &FORMER_GATEWAY);
            }
            if let Some(Value::Dict(_, limit)) = settings.get_mut("rate_limit")
                && limit.get("mode").and_then(Value::as_str) == Some(FORMER_REFUSE)
            {
                tracing::warn!(
                    "rate_limit.mode = \"always\" is now \"refuse\"; the old name will not work in the next release"
                );
                limit.insert("mode".to_owned(), "refuse".into());
            }
        }
        Ok(data)
    }
}

fn rename(settings: &mut Dict, prefix: &str, names: &[(&str, &str)]) {
    for (old, new) in names {
        if let Some(value) = settings.remove(*old) {
            tracing::warn!(
                setting = format!("{prefix}{old}"),
                renamed = format!("{prefix}{new}"),
                "a setting was renamed; the old name will not work in the next release"
            );
            settings.entry((*new).to_owned()).or_insert(value);
        }
    }
}

/// The engine that runs the SQL servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// A PostgreSQL server for every cluster.
    Postgres,
    /// No processes.
    Simulated,
}

/// All settings, which `config/default.toml` describes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub insecure_listen: bool,
    pub trusted_proxies: Vec<IpNet>,
    pub sql_listen: SocketAddr,
    pub store: String,
    /// Takes the store from the engine that owns it. For one start only.
    #[serde(skip)]
    pub adopt_store: bool,
    pub engine_kind: EngineKind,
    pub detach: bool,
    pub log: String,
    pub drain_seconds: u64,
    pub create_wait_seconds: u64,
    pub test_clock: bool,
    pub public_url: String,
    pub http: HttpSettings,
    pub tls: TlsSettings,
    pub console: ConsoleSettings,
    pub sessions: SessionSettings,
    pub organization: OrganizationSettings,
    pub gateway: GatewaySettings,
    pub engine: EngineSettings,
    pub backups: BackupSettings,
    pub scale_to_zero: ScaleToZeroSettings,
    pub metering: MeteringSettings,
    pub samples: SamplesSettings,
    pub events: EventsSettings,
    pub rate_limit: RateLimitSettings,
    pub catalog: Catalog,
}

/// The organization that is created on the first start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationSettings {
    pub name: String,
    pub label: String,
    pub people: Vec<String>,
}

/// The listener of the API and the console.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub header_seconds: u64,
    pub body_seconds: u64,
}

/// HTTPS for the API and the console.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub self_signed: bool,
}

impl TlsSettings {
    /// Whether the API is served over TLS.
    pub fn enabled(&self) -> bool {
        self.self_signed || !self.certificate.as_os_str().is_empty()
    }

    /// `https`, or `http` without TLS.
    pub fn scheme(&self) -> &'static str {
        if self.enabled() { "https" } else { "http" }
    }

    fn check(&self) -> Result<()> {
        match (self.certificate.as_os_str().is_empty(), self.key.as_os_str().is_empty()) {
            (true, false) => Err(Error::invalid("tls.certificate", "is required, because tls.key is set")),
            (false, true) => Err(Error::invalid("tls.key", "is required, because tls.certificate is set")),
            (false, false) if self.self_signed => {
                Err(Error::invalid("tls.self_signed", "must be false, because tls.certificate is set"))
            }
            _ => Ok(()),
        }
    }
}

/// The console at `/`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleSettings {
    pub enabled: bool,
}

/// Sessions of people.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSettings {
    pub idle_minutes: u64,
    pub longest_hours: u64,
    pub link_hours: u64,
}

/// The SQL gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySettings {
    pub enabled: bool,
    pub domain: String,
    pub host: String,
    pub port: u16,
    pub handshake_seconds: u64,
    pub max_connections: usize,
    pub max_connections_per_cluster: usize,
    pub max_unauthenticated_connections: usize,
    pub max_unauthenticated_connections_per_address: usize,
    pub pool_idle_seconds: u64,
    pub pool_lifetime_seconds: u64,
    pub proxy_protocol: bool,
    pub threads: usize,
}

/// The engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    pub pool_size: usize,
    pub user: String,
    pub uid_range: String,
    pub sandbox: SandboxMode,
    pub sandbox_paths: Vec<PathBuf>,
    pub programs: Vec<PathBuf>,
    pub shared_buffers: String,
    pub max_connections: u32,
    pub simulated_dir: PathBuf,
    pub disk_reserve_mib: u64,
    pub memory_percent: u32,
    pub max_nodes: u32,
}

/// Whether SQL servers run in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// As far as the kernel supports it.
    Auto,
    /// The same, but clusters can't have several nodes where that would reduce it.
    Strict,
    /// They are started without one.
    Off,
}

/// Backups.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSettings {
    pub enabled: bool,
    pub url: String,
}

/// When BASIC clusters are suspended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleToZeroSettings {
    pub idle_seconds: u64,
}

/// Metering.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeteringSettings {
    pub tick_seconds: u64,
    pub early_tick_mib: u64,
}

/// Samples for charts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplesSettings {
    pub enabled: bool,
    pub seconds: u64,
}

/// The stream of events.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSettings {
    pub retention_days: u32,
}

/// The rate limit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    pub mode: RateLimitMode,
    pub requests_per_second: u32,
    pub burst: u32,
}

/// What happens to calls beyond the rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitMode {
    /// `Pace`, or `Never` if the engine is simulated.
    Auto,
    /// They wait for their turn, and are refused if that would take too long.
    Pace,
    /// They are refused.
    Refuse,
    /// There is no limit.
    Never,
}

impl RateLimitMode {
    /// The mode for an engine, which is not `Auto`.
    #[must_use]
    pub fn resolve(self, engine: EngineKind) -> Self {
        match (self, engine) {
            (Self::Auto, EngineKind::Postgres) => Self::Pace,
            (Self::Auto, EngineKind::Simulated) => Self::Never,
            (mode, _) => mode,
        }
    }
}

impl Settings {
    /// Reads all sources. `overrides` are the settings of the command line, by name.
    pub fn load(file: Option<&Path>, overrides: &impl Serialize) -> Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            if !file.is_file() {
                return Err(Error::invalid("config", format!("the file {} does not exist", file.display())));
            }
            figment = figment.merge(FormerNames(Toml::file_exact(file)));
        }
        let environment = Env::prefixed("OOTHECA_").ignore(&NOT_SETTINGS).split("__");
        let figment = figment.merge(FormerNames(environment)).merge(Serialized::defaults(overrides));
        let mut settings: Settings = figment.extract().map_err(|error| {
            let lines: Vec<String> = error.into_iter().map(|error| error.to_string()).collect();
            Error::invalid("settings", lines.join("; "))
        })?;
        if settings.data_dir.as_os_str().is_empty() {
            settings.data_dir = platform_data_dir()?;
        }
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        self.tls.check()?;
        if !self.listen.ip().is_loopback() && !self.tls.enabled() && !self.insecure_listen {
            let rule = format!(
                "{} is not a loopback address and the API uses plain HTTP: set tls.certificate and tls.key, or tls.self_signed; or put a proxy with TLS in front of it and set --insecure-listen",
                self.listen
            );
            return Err(Error::invalid("listen", rule));
        }
        logging::parse_filter(&self.log)?;
        let limit = &self.rate_limit;
        for (name, value) in [("requests_per_second", limit.requests_per_second), ("burst", limit.burst)] {
            if value == 0 {
                let rule = "must be at least 1; rate_limit.mode = \"never\" sets no limit";
                return Err(Error::invalid(&format!("rate_limit.{name}"), rule));
            }
        }
        let gateway = &self.gateway;
        for (name, value) in [
            ("max_connections", gateway.max_connections),
            ("max_connections_per_cluster", gateway.max_connections_per_cluster),
            ("max_unauthenticated_connections", gateway.max_unauthenticated_connections),
            (
                "max_unauthenticated_connections_per_address",
                gateway.max_unauthenticated_connections_per_address,
            ),
        ] {
            if value == 0 {
                return Err(Error::invalid(&format!("gateway.{name}"), "must be at least 1"));
            }
        }
        if !(10..=120).contains(&self.samples.seconds) {
            return Err(Error::invalid("samples.seconds", "must be from 10 to 120"));
        }
        if !(1..=100).contains(&self.engine.memory_percent) {
            return Err(Error::invalid("engine.memory_percent", "must be from 1 to 100"));
        }
        if !(1..=9).contains(&self.engine.max_nodes) {
            return Err(Error::invalid("engine.max_nodes", "must be from 1 to 9"));
        }
        if !self.backups.url.is_empty() {
            ootheca_backups::check_url(&self.backups.url)?;
        }
        self.catalog.check()
    }

    /// A one-time sign-in link. The token is after the `#`, which browsers do not send.
    pub fn link(&self, token: &str) -> String {
        let listen = self.listen_url();
        let url = if self.public_url.is_empty() { &listen } else { self.public_url.trim_end_matches('/') };
        format!("{url}/link#{token}")
    }

    /// The URL of the API for clients on this machine: of the address in `listen`, unless the certificate is
    /// for another name.
    pub fn listen_url(&self) -> String {
        let (scheme, listen) = (self.tls.scheme(), self.listen);
        if self.tls.self_signed && listen.ip().is_unspecified() {
            format!("{scheme}://localhost:{}", listen.port())
        } else if self.tls.enabled() && !self.tls.self_signed && !self.public_url.is_empty() {
            self.public_url.trim_end_matches('/').to_owned()
        } else {
            format!("{scheme}://{listen}")
        }
    }

    /// How long open requests and sessions can take to end.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// The directory of the SQL servers.
    pub fn engine_folder(&self) -> PathBuf {
        self.data_dir.join("engine")
    }

    /// The settings of the engine that runs SQL servers in `folder`.
    pub fn postgres(&self, folder: PathBuf) -> postgres::Settings {
        let engine = &self.engine;
        postgres::Settings {
            folder,
            user: Some(engine.user.clone()),
            uid_range: engine.uid_range.clone(),
            launcher: match engine.sandbox {
                SandboxMode::Auto | SandboxMode::Strict => launcher::this_program(),
                SandboxMode::Off => None,
            },
            sandbox_strict: engine.sandbox == SandboxMode::Strict,
            sandbox_paths: engine.sandbox_paths.clone(),
            programs: engine.programs.clone(),
            pool_size: engine.pool_size,
            shared_buffers: engine.shared_buffers.clone(),
            max_connections: engine.max_connections,
            memory_percent: engine.memory_percent,
            max_nodes: engine.max_nodes,
            archive_wal: self.backups.enabled,
            disk_reserve_bytes: engine.disk_reserve_mib.saturating_mul(1 << 20),
            ..postgres::Settings::default()
        }
    }

    /// The directory of the simulated engine.
    pub fn simulated_folder(&self) -> PathBuf {
        let shared = &self.engine.simulated_dir;
        if shared.as_os_str().is_empty() { self.data_dir.join("simulated") } else { shared.clone() }
    }

    /// The URL of the repository of backups: the setting, or a directory in the data directory.
    pub fn backups_url(&self) -> String {
        if self.backups.url.is_empty() {
            format!("file://{}", self.data_dir.join("backups").display())
        } else {
            self.backups.url.clone()
        }
    }

    /// The URL of the store: the setting, or SQLite in the data directory.
    pub fn store_url(&self) -> String {
        if self.store.is_empty() {
            format!("sqlite:{}", self.data_dir.join("store.db").display())
        } else {
            self.store.clone()
        }
    }
}

/// The name of this machine; empty if it is unknown.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// For root, it is a directory that the unprivileged owner of the SQL servers can enter.
pub fn platform_data_dir() -> Result<PathBuf> {
    use etcetera::BaseStrategy;
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/ootheca"));
    }
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        Error::invalid("data_dir", "is required, because there is no home directory").because(error)
    })?;
    Ok(strategy.data_dir().join("ootheca"))
}

#[cfg(test)]
mod tests;
