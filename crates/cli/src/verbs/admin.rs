//! `ootheca admin`: on the machine itself, whether the server runs or not.

use crate::{failure::Result, output::print};
use clap::{Args, Subcommand};
use ootheca_model::Error;
use ootheca_server::{
    Settings,
    gateway::control,
    identity::admin::{Command, Done, User},
};
use serde::Serialize;
use std::path::PathBuf;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Add a person; prints a link by which they come in once and choose a password
    CreateUser {
        /// E-mail address
        email: String,
        /// A role in the organization, such as ORG_ADMIN; may be given several times
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Print a link by which a person chooses a new password
    ResetPassword {
        /// E-mail address
        email: String,
        #[command(flatten)]
        place: Place,
    },
    /// Print a link by which you come in as the administrator, good once and for 15 minutes
    Link {
        #[command(flatten)]
        place: Place,
    },
    /// Show everybody who can come in
    ListUsers {
        #[command(flatten)]
        place: Place,
    },
    /// Print a new API key that may do everything, where the last one is lost
    NewKey {
        #[command(flatten)]
        place: Place,
    },
}

/// Which server, and how to answer.
#[derive(Args, Serialize)]
pub(crate) struct Place {
    /// The data folder of the server, running or not [default: the platform's folder for data]
    #[arg(long, env = "OOTHECA_DATA_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// Where rows are kept, if the server is told so by its command line
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// The address of the API is the server's business.
    #[arg(skip = true)]
    insecure_listen: bool,
    /// The file with settings that the server has
    #[arg(long, env = "OOTHECA_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    #[serde(skip)]
    json: bool,
}

/// Does it and prints what came of it: data on stdout, advice on stderr.
pub(crate) fn run(verb: Verb) -> Result<()> {
    let (command, place) = match verb {
        Verb::CreateUser { email, role, place } => (Command::CreateUser { email, roles: role }, place),
        Verb::ResetPassword { email, place } => (Command::ResetPassword { email }, place),
        Verb::Link { place } => (Command::Link, place),
        Verb::ListUsers { place } => (Command::ListUsers, place),
        Verb::NewKey { place } => (Command::NewKey, place),
    };
    let settings = Settings::load(place.config.as_deref(), &place)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::internal("can not start the runtime").because(error))?;
    let done = runtime.block_on(control::admin::ask(settings, command))?;
    if place.json {
        let inner = match serde_json::to_value(&done) {
            Ok(serde_json::Value::Object(members)) => members.into_iter().next().map(|(_, inner)| inner),
            _ => None,
        };
        return print(&format!("{:#}\n", inner.unwrap_or_default()));
    }
    match done {
        Done::Link { email, link, expires_at } => {
            eprintln!("Give this link to {email}. It works once, until {expires_at}:");
            print(&format!("{link}\n"))
        }
        Done::Users(users) => print(&table(&users)),
        Done::Key { secret, service_account } => {
            eprintln!("A key of the service account {service_account}, shown this once. Keep it secret:");
            print(&format!("{secret}\n"))
        }
    }
}

fn table(users: &[User]) -> String {
    let mut text = format!("{:<38} {:<32} {:<8} {:<8}  {}\n", "ID", "EMAIL", "ACTIVE", "PASSWORD", "ROLES");
    let word = |yes| if yes { "yes" } else { "no" };
    for user in users {
        let row = format!(
            "{:<38} {:<32} {:<8} {:<8}  {}\n",
            user.id,
            user.email,
            word(user.active),
            word(user.has_password),
            user.roles.join(", ")
        );
        text.push_str(&row);
    }
    text
}
