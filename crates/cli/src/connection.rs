//! Which server, and which key. The first source that names either decides; a key is never sent to a
//! server that another source named, unless that source names the same server.
//!
//! Sources in their order: flags, `OOTHECA_…`, `COCKROACH_…`, the profile, the server of this machine.

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

/// The file in the data folder that says where the server listens.
pub(crate) const ADDRESS_FILE: &str = "api-address";

/// Which server, and which key.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConnectionArgs {
    /// The server, such as <https://cloud.example.com> [env: OOTHECA_SERVER, COCKROACH_SERVER]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) server: Option<String>,
    /// A key for that server; others on this machine may see it [env: OOTHECA_API_KEY, COCKROACH_API_KEY]
    #[arg(long, global = true, value_name = "KEY", help_heading = "Global options")]
    pub(crate) api_key: Option<String>,
    /// What `ootheca login` stored under this name
    #[arg(long, global = true, conflicts_with_all = ["server", "api_key"], value_name = "NAME", help_heading = "Global options")]
    pub(crate) profile: Option<String>,
    /// The data folder of this machine's server, for its address and its key [env: OOTHECA_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// A server and a key, from one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pair {
    server: Option<String>,
    key: Option<String>,
}

/// All that is known, by source.
#[derive(Default)]
struct Sources {
    flags: Pair,
    ootheca: Pair,
    cockroach: Pair,
    wanted: Option<String>,
    profiles: Profiles,
    /// The server of this machine, which is looked for only where it is needed.
    local: Option<PathBuf>,
    /// Whether its folder was named by a flag.
    insists: bool,
}

/// A client of the server that is meant.
pub(crate) fn connect(args: &ConnectionArgs) -> Result<Client> {
    let (server, key) = choose(&sources(args)?, &local)?;
    Ok(Client::new(&server, Some(key)))
}

/// The address of a server as it is compared and called.
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
    let right = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '/', '?', '#', ' ']));
    if !right || url.parse::<ureq::http::Uri>().is_err() {
        let message =
            format!("server {text:?}: must be http:// or https:// with a host, and a port if need be");
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
        wanted: args.profile.clone(),
        profiles: Profiles::load()?,
        local: data_dir.or_else(|| ootheca_server::settings::platform_data_dir().ok()),
        insists: args.data_dir.is_some(),
    })
}

/// What the data folder of this machine's server says.
type Local<'a> = &'a dyn Fn(&Path) -> Result<(String, String)>;

fn choose(sources: &Sources, local: Local<'_>) -> Result<(String, String)> {
    if let Some(name) = &sources.wanted {
        return named(&sources.profiles, name);
    }
    let no_folder = || Failure::usage("there is no home folder: --data-dir names the server's data folder");
    let folder = || sources.local.as_deref().ok_or_else(no_folder);
    let named = [
        ("--server", "--api-key", &sources.flags),
        ("OOTHECA_SERVER", "OOTHECA_API_KEY", &sources.ootheca),
        ("COCKROACH_SERVER", "COCKROACH_API_KEY", &sources.cockroach),
    ];
    if sources.insists && sources.flags == Pair::default() {
        return local(folder()?);
    }
    for (server_name, key_name, pair) in named {
        match (&pair.server, &pair.key) {
            (Some(server), Some(key)) => return Ok((address(server)?, key.clone())),
            (Some(server), None) => return key_for(&address(server)?, server_name, key_name, sources, local),
            // A key for a server that those clients know without being told: it is not ours.
            (None, Some(_)) if key_name == "COCKROACH_API_KEY" => {}
            (None, Some(_)) => {
                let message = format!("{key_name} is given, but not the server that it is for");
                return Err(Failure::usage(message).hint(format!("name it with {server_name}")));
            }
            (None, None) => {}
        }
    }
    if let Some((_, profile)) = sources.profiles.current() {
        return Ok((address(&profile.server)?, profile.api_key.clone()));
    }
    local(folder()?)
}

fn named(profiles: &Profiles, name: &str) -> Result<(String, String)> {
    let Some(Profile { server, api_key }) = profiles.profiles.get(name) else {
        let known: Vec<&str> = profiles.profiles.keys().map(String::as_str).collect();
        let hint = match known.as_slice() {
            [] => format!("`ootheca login --profile {name}` makes it"),
            known => format!("there are: {}", known.join(", ")),
        };
        return Err(Failure::new(Exit::NotFound, format!("there is no profile {name:?}")).hint(hint));
    };
    Ok((address(server)?, api_key.clone()))
}

/// A key that some source has for just that server.
fn key_for(
    server: &str,
    server_name: &str,
    key_name: &str,
    sources: &Sources,
    local: Local<'_>,
) -> Result<(String, String)> {
    let same = |other: &str| address(other).is_ok_and(|other| other == server);
    let variables = [&sources.ootheca, &sources.cockroach];
    let variables =
        variables.into_iter().filter_map(|pair| Some((pair.server.as_ref()?, pair.key.as_ref()?)));
    let profiles = sources.profiles.profiles.values().map(|profile| (&profile.server, &profile.api_key));
    if let Some((_, key)) = variables.chain(profiles).find(|(other, _)| same(other)) {
        return Ok((server.to_owned(), key.clone()));
    }
    let here = sources.local.as_deref().and_then(|folder| local(folder).ok());
    if let Some((_, key)) = here.filter(|(other, _)| same(other)) {
        return Ok((server.to_owned(), key));
    }
    let message = format!("{server_name} names {server}, but there is no key for it");
    Err(Failure::usage(message)
        .hint(format!("give one with {key_name}, or `ootheca login --server {server}`")))
}

/// The server that runs on a data folder, and the key in it.
fn local(folder: &Path) -> Result<(String, String)> {
    let shown = folder.display();
    let missing = |what: String| {
        Failure::new(Exit::Unreachable, what).hint(
            "`ootheca serve` starts one; `ootheca login --server URL` takes one elsewhere; `ootheca demo` shows how it looks",
        )
    };
    // The socket answers only while a server runs there: whoever has its port after it gets no key.
    if UnixStream::connect(folder.join("control.sock")).is_err() {
        return Err(missing(format!("no server is named, and none runs here on {shown}")));
    }
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).map(|text| text.trim().to_owned());
        text.map_err(|error| missing(format!("{}: {error}", folder.join(name).display())))
    };
    Ok((address(&read(ADDRESS_FILE)?)?, read("admin-api-key")?))
}

#[cfg(test)]
mod tests;
