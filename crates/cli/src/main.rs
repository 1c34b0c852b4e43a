//! `ootheca`: one binary that turns any machine into a database cloud, and the command line for it.

mod client;
mod connection;
mod failure;
mod output;
mod profiles;
mod resolve;
mod run;
mod serve;
mod talk;
mod verbs;

use clap::{Parser, Subcommand};
use failure::Result;
use output::print;
use std::process::ExitCode;
use verbs::{Noun, admin, audit, cluster, debug, login};

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
    Serve(serve::ServeArgs),
    /// Run the SQL gateway alone, beside `serve --no-gateway`.
    Gateway(serve::GatewayArgs),
    /// Clusters: make, show, change and delete them, and open SQL shells.
    #[command(visible_alias = "clusters")]
    Cluster(Noun<cluster::Verb>),
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
    /// Prove the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// What the owner of this machine may do without a key: the first person, recovery.
    #[command(subcommand)]
    Admin(admin::Verb),
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
