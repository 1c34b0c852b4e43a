//! `ootheca login`, `ootheca logout`, `ootheca whoami`, and `ootheca profiles`.

use super::{GlobalArgs, role};
use crate::{
    client::{Client, segment},
    connection,
    failure::{Exit, Failure, Result},
    output::{Column, Out, OutputArgs},
    profiles::{DEFAULT, Profile, Profiles},
    terminal,
};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Flags of `login`.
#[derive(Args)]
pub(crate) struct LoginArgs {
    /// Address of the server, such as <https://cloud.example.com> [default: prompt]
    #[arg(long, value_name = "URL", env = "OOTHECA_SERVER")]
    server: Option<String>,
    /// PEM file with the certificate authority of an https:// server [default: those of this machine]
    #[arg(long, value_name = "FILE", env = "OOTHECA_CA_FILE", hide_env_values = true)]
    ca_file: Option<PathBuf>,
    /// Name of the profile
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    profile: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `logout`.
#[derive(Args)]
pub(crate) struct LogoutArgs {
    /// Profile to remove [default: the current one]
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    profile: Option<String>,
    /// Remove all profiles
    #[arg(long)]
    all: bool,
}

/// Flags of `whoami`.
#[derive(Args)]
pub(crate) struct WhoamiArgs {
    #[command(flatten)]
    global: GlobalArgs,
}

/// Flags of `profiles`.
#[derive(Args)]
pub(crate) struct ProfilesArgs {
    /// Switch to this profile
    #[arg(long, value_name = "NAME")]
    use_profile: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

const IDENTITY: [Column; 4] = [
    Column::text("SERVER", "/server"),
    Column::text("ORGANIZATION", "/organization/name"),
    Column::text("ORGANIZATION ID", "/organization/id"),
    Column::text("PROFILE", "/profile"),
];

/// Stores a server and an API key, once the server has accepted the key.
pub(crate) fn login(args: &LoginArgs) -> Result<()> {
    let server = match &args.server {
        Some(server) => server.clone(),
        None => terminal::ask("Server", "http://127.0.0.1:8080")?,
    };
    let server = connection::address(&server)?;
    let api_key = terminal::password("API key")?;
    let ca_file = args.ca_file.as_deref().map(absolute).transpose()?;
    let client = Client::new(&server, Some(api_key.clone()), ca_file.as_deref())?;
    let organization = client.get("/api/v1/organization")?;
    let mut profiles = Profiles::load()?;
    profiles.profiles.insert(args.profile.clone(), Profile { server: server.clone(), api_key, ca_file });
    profiles.current = Some(args.profile.clone());
    profiles.save()?;
    let identity = json!({ "server": server, "profile": args.profile, "organization": organization });
    Out { format: args.output.format() }.done(&format!("Logged in to {server}"), &identity, &IDENTITY)
}

/// A path that is the same in every working directory.
fn absolute(file: &Path) -> Result<PathBuf> {
    std::path::absolute(file)
        .map_err(|cause| Failure::usage(format!("invalid path {}: {cause}", file.display())))
}

/// Removes a profile.
pub(crate) fn logout(args: &LogoutArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    if args.all {
        profiles = Profiles::default();
        profiles.save()?;
        terminal::message(
            "Removed all profiles. The API keys remain valid until they are deleted on their servers.",
        );
        return Ok(());
    }
    let Some(name) = args.profile.clone().or(profiles.current.clone()) else {
        return Err(Failure::new(Exit::NotFound, "not logged in"));
    };
    let Some(removed) = profiles.profiles.remove(&name) else {
        return Err(Failure::new(Exit::NotFound, format!("profile {name:?} not found")));
    };
    if profiles.current.as_ref() == Some(&name) {
        profiles.current = profiles.profiles.keys().next().cloned();
    }
    profiles.save()?;
    terminal::message(format!(
        "Removed profile {name}. Its API key remains valid until it is deleted on {}.",
        removed.server
    ));
    if let Some((name, profile)) = profiles.current() {
        terminal::message(format!("The current profile is now {name} ({}).", profile.server));
    }
    Ok(())
}

/// Shows the service account of the API key and its roles, as far as the key can read them.
pub(crate) fn whoami(args: &WhoamiArgs) -> Result<()> {
    let context = args.global.context()?;
    let client = &context.client;
    let organization = client.get("/api/v1/organization")?;
    // Reading API keys and service accounts requires a role that the key might not have.
    let key = client.key_id().and_then(|id| client.get(&format!("/api/v1/api-keys/{}", segment(id))).ok());
    let account = key.as_ref().and_then(|key| key["service_account_id"].as_str());
    let account =
        account.and_then(|id| client.get(&format!("/api/v1/service-accounts/{}", segment(id))).ok());
    let identity = json!({
        "server": client.server(),
        "organization": organization,
        "api_key": key,
        "service_account": account,
    });
    context.out.record(&identity, &WHOAMI)
}

const WHOAMI: [Column; 7] = [
    Column::text("SERVER", "/server"),
    Column::text("ORGANIZATION", "/organization/name"),
    Column::text("ORGANIZATION ID", "/organization/id"),
    Column::text("API KEY", "/api_key/name"),
    Column::text("SERVICE ACCOUNT", "/service_account/name"),
    Column::text("SERVICE ACCOUNT ID", "/service_account/id"),
    Column::by("ROLES", |identity| role::held(&identity["service_account"]["roles"])),
];

const PROFILES: [Column; 3] =
    [Column::text("NAME", "/name"), Column::text("SERVER", "/server"), Column::text("CURRENT", "/current")];

/// Lists the profiles, without their API keys.
pub(crate) fn profiles(args: &ProfilesArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    if let Some(name) = &args.use_profile {
        if !profiles.profiles.contains_key(name) {
            return Err(Failure::new(Exit::NotFound, format!("profile {name:?} not found")));
        }
        profiles.current = Some(name.clone());
        profiles.save()?;
    }
    let current = profiles.current.as_deref();
    let rows = profiles.profiles.iter().map(
        |(name, profile)| json!({ "name": name, "server": profile.server, "current": current == Some(name) }),
    );
    let rows: Vec<Value> = rows.collect();
    Out { format: args.output.format() }.table(&PROFILES, &rows)
}
