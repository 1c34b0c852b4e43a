//! `ootheca user`: SQL users.

use super::{Context, cluster::sql::generate_password};
use crate::{client::segment, failure::Result, output::Column, resolve, terminal};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Verbs of `user`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the SQL users of a cluster
    #[command(visible_alias = "ls")]
    List {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Create a SQL user; prompts for the password, or reads it from standard input
    Create {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Change the password of a SQL user
    UpdatePassword {
        #[command(flatten)]
        user: UserArgs,
    },
    /// Delete a SQL user
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the cluster
        cluster: String,
        /// Name of the SQL user
        user: String,
    },
}

/// A SQL user, and where its password comes from.
#[derive(Args)]
pub(crate) struct UserArgs {
    /// Name or ID of the cluster
    cluster: String,
    /// Name of the SQL user
    user: String,
    /// Generate a password and print it
    #[arg(long)]
    generate: bool,
    /// Password; other users of this machine can see it in the process list
    #[arg(long, value_name = "TEXT", conflicts_with = "generate")]
    password: Option<String>,
}

const COLUMNS: [Column; 1] = [Column::text("NAME", "/name")];
const WITH_PASSWORD: [Column; 2] = [Column::text("NAME", "/name"), Column::text("PASSWORD", "/password")];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let users = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/sql-users");
    match verb {
        Verb::List { cluster } => {
            context.out.list(&COLUMNS, &context.client.list(&users(&cluster)?, "users")?)
        }
        Verb::Create { user } => {
            let path = users(&user.cluster)?;
            let (password, generated) = password(&user)?;
            let response = context.client.post(&path, &json!({ "name": user.user, "password": password }))?;
            print_result(
                context,
                "Created SQL user",
                &user.user,
                response,
                generated.then_some(password.as_str()),
            )
        }
        Verb::UpdatePassword { user } => {
            let path = format!("{}/{}/password", users(&user.cluster)?, segment(&user.user));
            let (password, generated) = password(&user)?;
            let response = context.client.put(&path, &json!({ "password": password }))?;
            print_result(
                context,
                "Updated the password of SQL user",
                &user.user,
                response,
                generated.then_some(password.as_str()),
            )
        }
        Verb::Delete { cluster, user } => {
            let path = format!("{}/{}", users(&cluster)?, segment(&user));
            terminal::confirm(context.yes, &format!("Delete SQL user {user} of cluster {cluster}?"))?;
            let response = context.client.delete(&path)?;
            context.out.done(&format!("Deleted SQL user {user}"), &response, &COLUMNS)
        }
    }
}

/// The password, and whether it was generated.
fn password(user: &UserArgs) -> Result<(String, bool)> {
    match &user.password {
        Some(password) => Ok((password.clone(), false)),
        None if user.generate => Ok((generate_password(), true)),
        None if terminal::interactive() => {
            let given =
                terminal::new_password(&format!("Password for {} (leave blank to generate one)", user.user))?;
            let generated = given.is_none();
            Ok((given.unwrap_or_else(generate_password), generated))
        }
        None => Ok((terminal::password(&format!("Password for {}", user.user))?, false)),
    }
}

/// Prints the result. The password is only printed if it was generated.
fn print_result(
    context: &Context,
    what: &str,
    user: &str,
    mut response: Value,
    generated: Option<&str>,
) -> Result<()> {
    let what = format!("{what} {user}");
    let Some(password) = generated else { return context.out.done(&what, &response, &COLUMNS) };
    response["name"] = user.into();
    response["password"] = password.into();
    context.out.done(&what, &response, &WITH_PASSWORD)?;
    terminal::message("Store the password now; it won't be shown again.");
    Ok(())
}
