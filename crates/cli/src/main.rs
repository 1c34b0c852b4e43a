//! `ootheca`: one binary that turns any machine into a database cloud, and the command line for it.

mod api;
mod client;
mod complete;
mod connection;
mod demo;
mod doctor;
mod failure;
mod output;
mod profiles;
mod resolve;
mod run;
mod serve;
mod talk;
mod verbs;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Result;
use output::print;
use std::process::ExitCode;
use verbs::{
    Noun, admin, allowlist, api_key, audit, cluster, database, debug, events, folder, jwt_issuer, login,
    organization, person, region, role, service_account, user,
};

/// A self-hosted Cloud API in which every cluster is a real SQL server.
#[derive(Parser)]
#[command(name = "ootheca", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the Cloud API, the SQL gateway and the SQL servers.
    Serve(serve::ServeArgs),
    /// Run the SQL gateway alone, beside `serve --no-gateway`.
    Gateway(serve::GatewayArgs),
    /// Clusters: make, show, change and delete them, and open SQL shells.
    #[command(visible_alias = "clusters")]
    Cluster(Noun<cluster::Verb>),
    /// SQL users of a cluster.
    #[command(visible_alias = "users")]
    User(Noun<user::Verb>),
    /// Databases of a cluster.
    #[command(visible_alias = "databases")]
    Database(Noun<database::Verb>),
    /// Networks that may connect to a cluster.
    Allowlist(Noun<allowlist::Verb>),
    /// Folders that clusters lie in.
    #[command(visible_alias = "folders")]
    Folder(Noun<folder::Verb>),
    /// Programs that may call the API.
    #[command(visible_alias = "service-accounts")]
    ServiceAccount(Noun<service_account::Verb>),
    /// What service accounts call the API with.
    #[command(visible_alias = "api-keys")]
    ApiKey(Noun<api_key::Verb>),
    /// Who may do what, and where.
    #[command(visible_alias = "roles")]
    Role(Noun<role::Verb>),
    /// People of the organization.
    Person(Noun<person::Verb>),
    /// Whose tokens are accepted beside API keys.
    JwtIssuer(Noun<jwt_issuer::Verb>),
    /// The organization of your key.
    #[command(visible_alias = "org")]
    Organization(Noun<organization::Verb>),
    /// Show where clusters may be.
    Regions(region::RegionsArgs),
    /// What changes, as it changes.
    Events(Noun<events::Verb>),
    /// Call any operation of the API, with a flag for each of its parameters.
    Api(api::ApiArgs),
    /// Store a server and a key for it, so that other commands need neither.
    Login(login::LoginArgs),
    /// Forget a stored server and its key.
    Logout(login::LogoutArgs),
    /// Show who the key speaks for.
    Whoami(login::WhoamiArgs),
    /// Show the servers that `login` stored.
    Profiles(login::ProfilesArgs),
    /// Show what really runs: each SQL server, its version, process and folder.
    Debug(debug::DebugArgs),
    /// Try it: a temporary server with a cluster, a SQL user and a psql prompt, all gone on exit.
    Demo(demo::DemoArgs),
    /// Look whether a server can run on this machine, and say what to do where it can not.
    Doctor(doctor::DoctorArgs),
    /// Show and prove the audit log: who did what.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// What the owner of this machine may do without a key: the first person, recovery.
    #[command(subcommand)]
    Admin(admin::Verb),
    /// Print completions for a shell.
    Completions(complete::CompletionsArgs),
    /// Print the manual page, or write a page for every command.
    Man(complete::ManArgs),
    /// Print the default settings, with a sentence for each.
    Settings,
    /// Print the OpenAPI document.
    Openapi,
}

fn main() -> ExitCode {
    let as_json = asks_for_json();
    if as_json {
        talk::hush();
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(as_json),
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(args) => Ok(serve::serve(&args)?),
        Command::Gateway(args) => Ok(serve::gateway(&args)?),
        Command::Cluster(noun) => cluster::run(&noun.context()?, noun.verb),
        Command::User(noun) => user::run(&noun.context()?, noun.verb),
        Command::Database(noun) => database::run(&noun.context()?, noun.verb),
        Command::Allowlist(noun) => allowlist::run(&noun.context()?, noun.verb),
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
        Command::Settings => print(ootheca_server::settings::DEFAULTS),
        Command::Openapi => print(&format!("{:#}\n", ootheca_server::openapi())),
    }
}

/// Whether the caller reads JSON, so that errors are JSON too. Asked of the words themselves: every verb
/// has flags of its own.
fn asks_for_json() -> bool {
    let words: Vec<String> = std::env::args().skip(1).take_while(|word| word != "--").collect();
    words.iter().any(|word| word == "--json" || word == "--output=json")
        || words.windows(2).any(|pair| pair == ["--output", "json"])
}
