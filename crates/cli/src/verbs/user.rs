//! `ootheca user`: the SQL users of a cluster.

use super::{Context, cluster::sql::fresh_password};
use crate::{client::segment, failure::Result, output::Column, resolve, talk};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What to do with SQL users.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the SQL users of a cluster
    #[command(visible_alias = "ls")]
    List {
        /// Name or id of the cluster
        cluster: String,
    },
    /// Create a SQL user; the password is asked for, or read from standard input
    Create {
        #[command(flatten)]
        user: Named,
    },
    /// Give a SQL user another password
    UpdatePassword {
        #[command(flatten)]
        user: Named,
    },
    /// Delete a SQL user
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or id of the cluster
        cluster: String,
        /// Name of the user
        user: String,
    },
}

/// A user, and where its password comes from.
#[derive(Args)]
pub(crate) struct Named {
    /// Name or id of the cluster
    cluster: String,
    /// Name of the user
    user: String,
    /// Make a password, and show it this once
    #[arg(long)]
    generate: bool,
    /// The password; others on this machine may see it
    #[arg(long, value_name = "TEXT", conflicts_with = "generate")]
    password: Option<String>,
}

const COLUMNS: [Column; 1] = [Column::text("NAME", "/name")];
const WITH_PASSWORD: [Column; 2] = [Column::text("NAME", "/name"), Column::text("PASSWORD", "/password")];

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let users = |cluster: &str| -> Result<String> {
        let cluster = resolve::cluster(&context.client, cluster)?;
        Ok(format!("/api/v1/clusters/{}/sql-users", segment(resolve::id(&cluster))))
    };
    match verb {
        Verb::List { cluster } => {
            context.out.list(&COLUMNS, &context.client.list(&users(&cluster)?, "users")?)
        }
        Verb::Create { user } => {
            let path = users(&user.cluster)?;
            let (password, made) = password(&user)?;
            let answer = context.client.post(&path, &json!({ "name": user.user, "password": password }))?;
            shown(context, "Created SQL user", &user.user, answer, made.then_some(password.as_str()))
        }
        Verb::UpdatePassword { user } => {
            let path = format!("{}/{}/password", users(&user.cluster)?, segment(&user.user));
            let (password, made) = password(&user)?;
            let answer = context.client.put(&path, &json!({ "password": password }))?;
            shown(
                context,
                "Changed the password of SQL user",
                &user.user,
                answer,
                made.then_some(password.as_str()),
            )
        }
        Verb::Delete { cluster, user } => {
            let path = format!("{}/{}", users(&cluster)?, segment(&user));
            talk::confirm(context.yes, &format!("delete the SQL user {user} of {cluster}?"))?;
            let answer = context.client.delete(&path)?;
            context.out.done(&format!("Deleted SQL user {user}"), &answer, &COLUMNS)
        }
    }
}

/// The password, and whether it was made here.
fn password(user: &Named) -> Result<(String, bool)> {
    match &user.password {
        Some(password) => Ok((password.clone(), false)),
        None if user.generate => Ok((fresh_password(), true)),
        None if talk::interactive() => {
            let given = talk::new_password(&format!("password of {} (empty: one is made)", user.user))?;
            let made = given.is_none();
            Ok((given.unwrap_or_else(fresh_password), made))
        }
        None => Ok((talk::password(&format!("password of {}", user.user))?, false)),
    }
}

/// Only a password that nobody knows yet is shown.
fn shown(context: &Context, what: &str, user: &str, mut answer: Value, made: Option<&str>) -> Result<()> {
    let what = format!("{what} {user}");
    let Some(password) = made else { return context.out.done(&what, &answer, &COLUMNS) };
    answer["name"] = user.into();
    answer["password"] = password.into();
    context.out.done(&what, &answer, &WITH_PASSWORD)?;
    talk::say("the password is shown this once: keep it secret");
    Ok(())
}
