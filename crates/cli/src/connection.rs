//! Chooses the server and the API key. The first source that has either one decides. A key is only sent to
//! the server that its own source names.
//!
//! The sources, in order: flags, `OOTHECA_…`, `COCKROACH_…`, the current profile, the server on this machine.

use crate::{
    client::Client,
    failure::{Exit, Failure, Result},
    profiles::{Profile, Profiles},
};
use clap::Args;
use std::{
    env, fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

/// The file in the data directory that contains the address of the API.
pub(crate) const ADDRESS_FILE: &str = "api-address";
/// The file in the data directory with the certificate authority of the API, if it is the server's own.
pub(crate) const CA_FILE: &str = "api-ca.pem";

/// Flags that choose the server and the API key.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConnectionArgs {
    /// Address of the server, such as <https://cloud.example.com> [env: OOTHECA_SERVER, COCKROACH_SERVER]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// API key for that server; other users of this machine can see it in the process list [env: OOTHECA_API_KEY, COCKROACH_API_KEY]
    #[arg(long, global = true, value_name = "KEY", help_heading = "Global options")]
    pub(crate) api_key: Option<String>,
    /// PEM file with the certificate authority of an https:// server [default: those of this machine]
    #[arg(
        long,
        global = true,
        env = "OOTHECA_CA_FILE",
        hide_env_values = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// Profile stored by `ootheca login`
    #[arg(long, global = true, conflicts_with_all = ["server", "api_key"], value_name = "NAME", help_heading = "Global options")]
    pub(crate) profile: Option<String>,
    /// Data directory of a server on this machine, to read its address and key from [env: OOTHECA_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// A server and an API key from one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pair {
    server: Option<String>,
    key: Option<String>,
}

/// The values of all sources.
#[derive(Default)]
struct Sources {
    flags: Pair,
    ootheca: Pair,
    cockroach: Pair,
    profile: Option<String>,
    profiles: Profiles,
    /// Data directory of the server on this machine. Only read if no other source decides.
    data_dir: Option<PathBuf>,
    /// Whether a flag named that directory, so that it comes before the environment.
    data_dir_flag: bool,
}

/// A client for the chosen server.
pub(crate) fn connect(args: &ConnectionArgs) -> Result<Client> {
    let sources = sources(args)?;
    let (server, key) = choose(&sources, &local)?;
    let ca_file = args.ca_file.clone().or_else(|| stored_ca_file(&sources, &server));
    Client::new(&server, Some(key), ca_file.as_deref())
}

/// The certificate authority that was stored for this server: by `ootheca login`, or by the server on this
/// machine.
fn stored_ca_file(sources: &Sources, server: &str) -> Option<PathBuf> {
    let same = |other: &str| address(other).is_ok_and(|other| other == server);
    let profile = sources.profiles.profiles.values().find(|profile| same(&profile.server));
    let here = || {
        let data_dir = sources.data_dir.as_deref()?;
        let file = Some(data_dir.join(CA_FILE)).filter(|file| file.is_file());
        file.filter(|_| local(data_dir).is_ok_and(|(other, _)| same(&other)))
    };
    profile.and_then(|profile| profile.ca_file.clone()).or_else(here)
}

/// Normalizes the address of a server, so that addresses can be compared.
pub(crate) fn address(text: &str) -> Result<String> {
    let text = text.trim();
    let text = text.strip_suffix('/').unwrap_or(text);
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
    let url = match text.split_once("://") {
        Some(_) => text.to_owned(),
        None if is_loopback(&host(text)) => format!("http://{text}"),
        None => format!("https://{text}"),
    };
    let lower = url.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let valid = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '/', '?', '#', ' ']));
    if !valid || url.parse::<ureq::http::Uri>().is_err() {
        let message = format!(
            "invalid server address {text:?}: must be http:// or https://, a host, and optionally a port"
        );
        return Err(Failure::usage(message));
    }
    Ok(lower)
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.starts_with("127.")
}

fn sources(args: &ConnectionArgs) -> Result<Sources> {
    let variable = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    let pair = |prefix: &str| Pair {
        server: variable(&format!("{prefix}_SERVER")),
        key: variable(&format!("{prefix}_API_KEY")),
    };
    let data_dir = args.data_dir.clone().or_else(|| variable("OOTHECA_DATA_DIR").map(PathBuf::from));
    Ok(Sources {
        flags: Pair { server: args.server.clone(), key: args.api_key.clone() },
        ootheca: pair("OOTHECA"),
        cockroach: pair("COCKROACH"),
        profile: args.profile.clone(),
        profiles: Profiles::load()?,
        data_dir: data_dir.or_else(|| ootheca_server::settings::platform_data_dir().ok()),
        data_dir_flag: args.data_dir.is_some(),
    })
}

/// Reads the address and the key of a server from its data directory.
type ReadLocal<'a> = &'a dyn Fn(&Path) -> Result<(String, String)>;

fn choose(sources: &Sources, local: ReadLocal<'_>) -> Result<(String, String)> {
    if let Some(name) = &sources.profile {
        return named(&sources.profiles, name);
    }
    let unknown = || {
        Failure::usage("could not determine the home directory")
            .hint("name the server with --server, or its data directory with --data-dir")
    };
    let data_dir = || sources.data_dir.as_deref().ok_or_else(unknown);
    let named = [
        ("--server", "--api-key", &sources.flags),
        ("OOTHECA_SERVER", "OOTHECA_API_KEY", &sources.ootheca),
        ("COCKROACH_SERVER", "COCKROACH_API_KEY", &sources.cockroach),
    ];
    if sources.data_dir_flag && sources.flags == Pair::default() {
        return local(data_dir()?);
    }
    for (server_name, key_name, pair) in named {
        match (&pair.server, &pair.key) {
            (Some(server), Some(key)) => return Ok((address(server)?, key.clone())),
            (Some(server), None) => return key_for(&address(server)?, server_name, key_name, sources, local),
            // Clients that read this variable have a default server, so the key is probably for that one.
            (None, Some(_)) if key_name == "COCKROACH_API_KEY" => {}
            (None, Some(_)) => {
                let message = format!("{key_name} is set, but {server_name} is not");
                return Err(
                    Failure::usage(message).hint(format!("set {server_name} to the server of that key"))
                );
            }
            (None, None) => {}
        }
    }
    if let Some((_, profile)) = sources.profiles.current() {
        return Ok((address(&profile.server)?, profile.api_key.clone()));
    }
    local(data_dir()?)
}

fn named(profiles: &Profiles, name: &str) -> Result<(String, String)> {
    let Some(Profile { server, api_key, .. }) = profiles.profiles.get(name) else {
        let known: Vec<&str> = profiles.profiles.keys().map(String::as_str).collect();
        let hint = match known.as_slice() {
            [] => format!("create it with `ootheca login --profile {name}`"),
            known => format!("available profiles: {}", known.join(", ")),
        };
        return Err(Failure::new(Exit::NotFound, format!("profile {name:?} not found")).hint(hint));
    };
    Ok((address(server)?, api_key.clone()))
}

/// Finds the key for a server that was named without one: from a source that names the same server.
fn key_for(
    server: &str,
    server_name: &str,
    key_name: &str,
    sources: &Sources,
    local: ReadLocal<'_>,
) -> Result<(String, String)> {
    let same = |other: &str| address(other).is_ok_and(|other| other == server);
    let variables = [&sources.ootheca, &sources.cockroach];
    let variables =
        variables.into_iter().filter_map(|pair| Some((pair.server.as_ref()?, pair.key.as_ref()?)));
    let profiles = sources.profiles.profiles.values().map(|profile| (&profile.server, &profile.api_key));
    if let Some((_, key)) = variables.chain(profiles).find(|(other, _)| same(other)) {
        return Ok((server.to_owned(), key.clone()));
    }
    let here = sources.data_dir.as_deref().and_then(|data_dir| local(data_dir).ok());
    if let Some((_, key)) = here.filter(|(other, _)| same(other)) {
        return Ok((server.to_owned(), key));
    }
    let message = format!("{server_name} is {server}, but there is no API key for that server");
    Err(Failure::usage(message)
        .hint(format!("set {key_name}, or store a key with `ootheca login --server {server}`")))
}

/// The address and the admin key of the server that runs on a data directory.
fn local(data_dir: &Path) -> Result<(String, String)> {
    let shown = data_dir.display();
    let missing = |what: String| {
        Failure::new(Exit::Unreachable, what).hint(
            "start a server with `ootheca serve`, use another one with `ootheca login`, or try `ootheca demo`",
        )
    };
    // The socket only accepts connections while the server runs. Otherwise another process might have its
    // port by now and would receive the key.
    if UnixStream::connect(data_dir.join("control.sock")).is_err() {
        return Err(missing(format!("no server specified, and no server is running on {shown}")));
    }
    let read = |name: &str| {
        let text = fs::read_to_string(data_dir.join(name)).map(|text| text.trim().to_owned());
        text.map_err(|error| missing(format!("could not read {}: {error}", data_dir.join(name).display())))
    };
    Ok((address(&read(ADDRESS_FILE)?)?, read("admin-api-key")?))
}

#[cfg(test)]
mod tests;
