//! `ootheca login`, `logout`, `whoami`, `profiles`: which servers are known here.

use super::GlobalArgs;
use crate::{
    client::{Client, segment},
    connection,
    failure::{Exit, Failure, Result},
    output::{Column, Out, OutputArgs},
    profiles::{DEFAULT, Profile, Profiles},
    talk,
};
use clap::Args;
use serde_json::{Value, json};

/// Flags of `login`.
#[derive(Args)]
pub(crate) struct LoginArgs {
    /// The server, such as <https://cloud.example.com> [default: it is asked for]
    #[arg(long, value_name = "URL", env = "OOTHECA_SERVER")]
    server: Option<String>,
    /// The name to store it under
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    profile: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Flags of `logout`.
#[derive(Args)]
pub(crate) struct LogoutArgs {
    /// The profile to forget [default: the one in use]
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    profile: Option<String>,
    /// Forget all
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
    /// Use this one where none is named
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

/// Stores a server and a key, once the server has accepted it.
pub(crate) fn login(args: &LoginArgs) -> Result<()> {
    let server = match &args.server {
        Some(server) => server.clone(),
        None => talk::ask("server", "http://127.0.0.1:8080")?,
    };
    let server = connection::address(&server)?;
    let api_key = talk::password("API key")?;
    let organization = Client::new(&server, Some(api_key.clone())).get("/api/v1/organization")?;
    let mut profiles = Profiles::load()?;
    profiles.profiles.insert(args.profile.clone(), Profile { server: server.clone(), api_key });
    profiles.current = Some(args.profile.clone());
    profiles.save()?;
    let answer = json!({ "server": server, "profile": args.profile, "organization": organization });
    Out { format: args.output.format() }.done(&format!("Logged in to {server}"), &answer, &IDENTITY)
}

/// Forgets a server and its key.
pub(crate) fn logout(args: &LogoutArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    if args.all {
        profiles = Profiles::default();
        profiles.save()?;
        talk::say("all profiles are forgotten; their keys still work until they are deleted there");
        return Ok(());
    }
    let Some(name) = args.profile.clone().or(profiles.current.clone()) else {
        return Err(Failure::new(Exit::NotFound, "nobody is logged in"));
    };
    let Some(gone) = profiles.profiles.remove(&name) else {
        return Err(Failure::new(Exit::NotFound, format!("there is no profile {name:?}")));
    };
    if profiles.current.as_ref() == Some(&name) {
        profiles.current = profiles.profiles.keys().next().cloned();
    }
    profiles.save()?;
    talk::say(format!(
        "the profile {name} is forgotten; its key still works on {} until it is deleted there",
        gone.server
    ));
    if let Some((name, profile)) = profiles.current() {
        talk::say(format!("from now on {name} is used: {}", profile.server));
    }
    Ok(())
}

/// Shows who the key speaks for, as far as it may know.
pub(crate) fn whoami(args: &WhoamiArgs) -> Result<()> {
    let context = args.global.context()?;
    let client = &context.client;
    let organization = client.get("/api/v1/organization")?;
    // To see keys and accounts is a right of its own.
    let key = client.key_id().and_then(|id| client.get(&format!("/api/v1/api-keys/{}", segment(id))).ok());
    let account = key.as_ref().and_then(|key| key["service_account_id"].as_str());
    let account =
        account.and_then(|id| client.get(&format!("/api/v1/service-accounts/{}", segment(id))).ok());
    let answer = json!({
        "server": client.server(),
        "organization": organization,
        "api_key": key,
        "service_account": account,
    });
    context.out.record(&answer, &WHOAMI)
}

const WHOAMI: [Column; 7] = [
    Column::text("SERVER", "/server"),
    Column::text("ORGANIZATION", "/organization/name"),
    Column::text("ORGANIZATION ID", "/organization/id"),
    Column::text("API KEY", "/api_key/name"),
    Column::text("SERVICE ACCOUNT", "/service_account/name"),
    Column::text("SERVICE ACCOUNT ID", "/service_account/id"),
    Column::by("ROLES", roles),
];

fn roles(answer: &Value) -> String {
    let grants = answer.pointer("/service_account/roles").and_then(Value::as_array);
    let role = |grant: &Value| {
        let word = |pointer: &str| grant.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match (word("/resource/type"), word("/resource/id")) {
            ("" | "ORGANIZATION", _) => word("/name").to_owned(),
            (kind, id) => format!("{} on {} {id}", word("/name"), kind.to_lowercase()),
        }
    };
    grants.map(|grants| grants.iter().map(role).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

const PROFILES: [Column; 3] =
    [Column::text("NAME", "/name"), Column::text("SERVER", "/server"), Column::text("CURRENT", "/current")];

/// Shows the servers that are known here, without their keys.
pub(crate) fn profiles(args: &ProfilesArgs) -> Result<()> {
    let mut profiles = Profiles::load()?;
    if let Some(name) = &args.use_profile {
        if !profiles.profiles.contains_key(name) {
            return Err(Failure::new(Exit::NotFound, format!("there is no profile {name:?}")));
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
