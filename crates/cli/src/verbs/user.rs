//! `ootheca user`: the SQL users of a cluster.

use super::Context;
use crate::{client::segment, failure::Result, output::Column, resolve, talk};
use clap::{Args, Subcommand};
use rand::RngExt;
use serde_json::{Value, json};

/// Letters of a password that is made here: none that look alike, none that need quotes in a URL.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH: usize = 24;

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
        Verb::List { cluster } => context.out.list(&COLUMNS, &context.client.list(&users(&cluster)?, "users")?),
        Verb::Create { user } => {
            let path = users(&user.cluster)?;
            let password = password(&user)?;
            let answer = context.client.post(&path, &json!({ "name": user.user, "password": password }))?;
            shown(context, "Created SQL user", &user, answer, &password)
        }
        Verb::UpdatePassword { user } => {
            let path = format!("{}/{}/password", users(&user.cluster)?, segment(&user.user));
            let password = password(&user)?;
            let answer = context.client.put(&path, &json!({ "password": password }))?;
            shown(context, "Changed the password of SQL user", &user, answer, &password)
        }
        Verb::Delete { cluster, user } => {
            let path = format!("{}/{}", users(&cluster)?, segment(&user));
            talk::confirm(context.yes, &format!("delete the SQL user {user} of {cluster}?"))?;
            let answer = context.client.delete(&path)?;
            context.out.done(&format!("Deleted SQL user {user}"), &answer, &COLUMNS)
        }
    }
}

fn password(user: &Named) -> Result<String> {
    match &user.password {
        Some(password) => Ok(password.clone()),
        None if user.generate => Ok(generated()),
        None => talk::password(&format!("password of {}", user.user)),
    }
}

/// A password of about 138 bits.
fn generated() -> String {
    let mut random = rand::rng();
    (0..LENGTH).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// Only a password that nobody knows yet is shown.
fn shown(context: &Context, what: &str, user: &Named, mut answer: Value, password: &str) -> Result<()> {
    let what = format!("{what} {}", user.user);
    if !user.generate {
        return context.out.done(&what, &answer, &COLUMNS);
    }
    answer["name"] = user.user.as_str().into();
    answer["password"] = password.into();
    context.out.done(&what, &answer, &WITH_PASSWORD)?;
    talk::say("the password is shown this once: keep it secret");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, other) = (generated(), generated());
        assert_ne!(one, other);
        assert!(one.len() >= 20 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
    }
}
