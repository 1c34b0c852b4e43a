//! `ootheca`: the server and its command line in one binary.

mod api;
mod client;
mod complete;
mod connection;
mod demo;
mod doctor;
mod failure;
mod files;
mod output;
mod profiles;
mod resolve;
mod run;
mod runtime;
mod serve;
mod settings_args;
mod signals;
mod terminal;
mod verbs;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Result;
use ootheca_engine::launcher;
use ootheca_server::logging;
use output::print;
use std::{process::ExitCode, time::Duration};
use verbs::{
    Noun, admin, allowlist, api_key, audit, backup, cluster, database, debug, events, folder, jwt_issuer,
    login, maintenance, organization, person, recover, region, restore, role, service_account, user,
};

/// About twice as fast as the allocator of the C library for the many small values of a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A self-hosted Cloud API in which every cluster is a real SQL server
#[derive(Parser)]
#[command(name = "ootheca", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the Cloud API, the SQL gateway, and the SQL servers
    Serve(serve::ServeArgs),
    /// Run the SQL gateway as a separate process, next to `serve --no-gateway`
    Gateway(serve::GatewayArgs),
    /// Manage clusters and open SQL shells
    #[command(visible_alias = "clusters")]
    Cluster(Noun<cluster::Verb>),
    /// Manage the SQL users of a cluster
    #[command(visible_alias = "users")]
    User(Noun<user::Verb>),
    /// Manage the databases of a cluster
    #[command(visible_alias = "databases")]
    Database(Noun<database::Verb>),
    /// Manage the networks that are allowed to connect to a cluster
    Allowlist(Noun<allowlist::Verb>),
    /// List the backups of clusters and manage their configuration
    #[command(visible_alias = "backups")]
    Backup(Noun<backup::Verb>),
    /// Restore clusters from backups
    #[command(visible_alias = "restores")]
    Restore(Noun<restore::Verb>),
    /// Manage recorded maintenance windows, version deferrals, and blackout windows; patches are not applied yet
    Maintenance(Noun<maintenance::Verb>),
    /// Manage folders
    #[command(visible_alias = "folders")]
    Folder(Noun<folder::Verb>),
    /// Manage service accounts
    #[command(visible_alias = "service-accounts")]
    ServiceAccount(Noun<service_account::Verb>),
    /// Manage the API keys of service accounts
    #[command(visible_alias = "api-keys")]
    ApiKey(Noun<api_key::Verb>),
    /// Manage the roles of users and service accounts
    #[command(visible_alias = "roles")]
    Role(Noun<role::Verb>),
    /// Look up users of the organization
    Person(Noun<person::Verb>),
    /// Manage JWT issuers
    JwtIssuer(Noun<jwt_issuer::Verb>),
    /// Show the organization
    #[command(visible_alias = "org")]
    Organization(Noun<organization::Verb>),
    /// List the available regions
    Regions(region::RegionsArgs),
    /// Follow changes as they happen
    Events(Noun<events::Verb>),
    /// Call any operation of the Cloud API
    Api(api::ApiArgs),
    /// Store a server address and an API key for it
    Login(login::LoginArgs),
    /// Remove a stored server address and API key
    Logout(login::LogoutArgs),
    /// Show which service account the API key belongs to
    Whoami(login::WhoamiArgs),
    /// List the stored profiles, or switch to another one
    Profiles(login::ProfilesArgs),
    /// List the SQL server instances on this machine
    Debug(debug::DebugArgs),
    /// Start a temporary server and open a psql prompt; everything is removed on exit
    Demo(demo::DemoArgs),
    /// Check whether this machine can run a server
    Doctor(doctor::DoctorArgs),
    /// List and verify the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Manage users and recover access on the server's machine, without an API key
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Recover a lost installation from its backups, into an empty data directory
    Recover(recover::RecoverArgs),
    /// Print a shell completion script
    Completions(complete::CompletionsArgs),
    /// Print the manual page, or write one for every command
    Man(complete::ManArgs),
    /// Print the default settings file
    Settings,
    /// Print the OpenAPI document
    Openapi,
}

fn main() -> ExitCode {
    if let Some(failed) = launcher::run() {
        return failed;
    }
    let json = json_requested();
    if json {
        terminal::set_quiet();
    }
    let code = match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    };
    // A server must exit even if its standard error is not read.
    logging::flush(Duration::from_secs(1));
    code
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(args) => serve::serve(&args),
        Command::Gateway(args) => serve::gateway(&args),
        Command::Cluster(noun) => cluster::run(&noun.context()?, noun.verb),
        Command::User(noun) => user::run(&noun.context()?, noun.verb),
        Command::Database(noun) => database::run(&noun.context()?, noun.verb),
        Command::Allowlist(noun) => allowlist::run(&noun.context()?, noun.verb),
        Command::Backup(noun) => backup::run(noun),
        Command::Restore(noun) => restore::run(&noun.context()?, noun.verb),
        Command::Maintenance(noun) => maintenance::run(&noun.context()?, noun.verb),
        Command::Folder(noun) => folder::run(&noun.context()?, noun.verb),
        Command::ServiceAccount(noun) => service_account::run(&noun.context()?, noun.verb),
        Command::ApiKey(noun) => api_key::run(&noun.context()?, noun.verb),
        Command::Role(noun) => role::run(&noun.context()?, noun.verb),
        Command::Person(noun) => person::run(&noun.context()?, noun.verb),
        Command::JwtIssuer(noun) => jwt_issuer::run(&noun.context()?, noun.verb),
        Command::Organization(noun) => organization::run(&noun.context()?, noun.verb),
        Command::Regions(args) => region::run(&args),
        Command::Events(noun) => events::run(&noun.context()?, noun.verb),
        Command::Api(args) => api::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => complete::completions(&args, Cli::command()),
        Command::Man(args) => complete::man(&args, Cli::command()),
        Command::Login(args) => login::login(&args),
        Command::Logout(args) => login::logout(&args),
        Command::Whoami(args) => login::whoami(&args),
        Command::Profiles(args) => login::profiles(&args),
        Command::Debug(args) => debug::debug(&args),
        Command::Audit(command) => audit::run(&command),
        Command::Admin(verb) => admin::run(verb),
        Command::Recover(args) => recover::run(&args),
        Command::Settings => print(ootheca_server::settings::DEFAULTS),
        Command::Openapi => print(&format!("{:#}\n", ootheca_server::openapi())),
    }
}

/// Whether the caller asked for JSON, so that errors are JSON as well. Reads the raw arguments because it
/// must also work if they can't be parsed.
fn json_requested() -> bool {
    let words: Vec<String> = std::env::args().skip(1).take_while(|word| word != "--").collect();
    words.iter().any(|word| word == "--json" || word == "--output=json")
        || words.windows(2).any(|pair| pair == ["--output", "json"])
}
