//! `ootheca admin`: administration without an API key, on the server's machine. The server can be running
//! or stopped.

use crate::{failure::Result, output::print, runtime, settings_args::StoreArgs, terminal::notice};
use clap::{Args, Subcommand};
use ootheca_server::{
    gateway::control,
    identity::admin::{Command, Done, User},
};

/// Verbs of `admin`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Add a user, and print a one-time link to choose a password
    CreateUser {
        /// Email address
        email: String,
        /// Role in the organization, such as ORG_ADMIN; can be repeated
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        #[command(flatten)]
        args: AdminArgs,
    },
    /// Print a one-time link to choose a new password
    ResetPassword {
        /// Email address
        email: String,
        #[command(flatten)]
        args: AdminArgs,
    },
    /// Print a one-time link to sign in as the administrator, valid for 15 minutes
    Link {
        #[command(flatten)]
        args: AdminArgs,
    },
    /// List the users that can sign in
    ListUsers {
        #[command(flatten)]
        args: AdminArgs,
    },
    /// Create an API key with full access, for example if the last one was lost
    NewKey {
        #[command(flatten)]
        args: AdminArgs,
    },
}

/// Flags of every verb.
#[derive(Args)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(verb: Verb) -> Result<()> {
    let (command, args) = match verb {
        Verb::CreateUser { email, role, args } => (Command::CreateUser { email, roles: role }, args),
        Verb::ResetPassword { email, args } => (Command::ResetPassword { email }, args),
        Verb::Link { args } => (Command::Link, args),
        Verb::ListUsers { args } => (Command::ListUsers, args),
        Verb::NewKey { args } => (Command::NewKey, args),
    };
    let settings = args.store.load_offline()?;
    let done = runtime::current_thread()?.block_on(control::admin::execute(settings, command))?;
    if args.json {
        let inner = match serde_json::to_value(&done) {
            Ok(serde_json::Value::Object(members)) => members.into_iter().next().map(|(_, inner)| inner),
            _ => None,
        };
        return print(&format!("{:#}\n", inner.unwrap_or_default()));
    }
    match done {
        Done::Link { email, link, expires_at } => {
            notice(format!("One-time link for {email}, valid until {expires_at}:"));
            print(&format!("{link}\n"))
        }
        Done::Users(users) => print(&table(&users)),
        Done::Key { secret, service_account } => {
            notice(format!(
                "API key of the service account {service_account}. It won't be shown again; keep it secret:"
            ));
            print(&format!("{secret}\n"))
        }
        // Only `ootheca backup key` asks for it.
        Done::RecoveryKey { fingerprint, .. } => print(&format!("{fingerprint}\n")),
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
