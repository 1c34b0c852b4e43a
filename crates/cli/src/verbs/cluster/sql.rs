//! `ootheca cluster sql`: runs `psql` on a cluster. Provides the certificate, and creates the first SQL user
//! of a cluster. `psql` gets the password in its environment, never on its command line.

use super::{Context, path};
use crate::{
    client::Client,
    failure::{Exit, Failure, Result},
    files, resolve, terminal,
};
use clap::Args;
use etcetera::BaseStrategy;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use std::{
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Characters of generated passwords, without those that look alike.
const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Length of generated passwords. It gives 140 bits of entropy.
const LENGTH: usize = 24;

/// Flags of `cluster sql`.
#[derive(Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    cluster: super::ClusterArg,
    /// SQL user; created if the cluster has no SQL users yet
    #[arg(long, short = 'u', value_name = "USER")]
    user: Option<String>,
    /// Password; other users of this machine can see it in the process list, so prefer PGPASSWORD
    #[arg(long, value_name = "PASSWORD", env = "PGPASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Database [default: defaultdb]
    #[arg(long, short = 'd', value_name = "DATABASE")]
    database: Option<String>,
    /// Arguments for psql, such as `-- -c 'SELECT 1'`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Replaces this process with `psql`.
pub(super) fn sql(context: &Context, args: &SqlArgs) -> Result<()> {
    let cluster = resolve::cluster(&context.client, &args.cluster.cluster)?;
    let program = psql()?;
    let (user, password) = login(&context.client, &cluster, args)?;
    let mut query = vec![("os".to_owned(), "LINUX".to_owned()), ("sql_user".to_owned(), user)];
    query.extend(args.database.iter().map(|name| ("database".to_owned(), name.clone())));
    let client = &context.client;
    let response = client.send("GET", &path(&cluster, "/connection-string"), &query, None, &[])?.value;
    let string = response["connection_string"].as_str().unwrap_or_default();
    let id = resolve::id(&cluster);
    let certificate = client.send("GET", &format!("/clusters/{id}/cert"), &[], None, &[])?;
    let certificate = store_certificate(id, &certificate.text)?;
    let mut command = psql_command(&program, string, &certificate, password.as_deref());
    let error = command.args(&args.arguments).exec();
    Err(Failure::failed(format!("could not start {}: {error}", program.display())))
}

/// A `psql` command for a connection string. Without a password, `psql` reads `~/.pgpass` or prompts.
pub(crate) fn psql_command(
    program: &Path,
    connection_string: &str,
    certificate: &Path,
    password: Option<&str>,
) -> Command {
    let mut command = Command::new(program);
    command.arg("--dbname").arg(without_certificate(connection_string));
    command.env("PGSSLROOTCERT", certificate).envs(password.map(|password| ("PGPASSWORD", password)));
    for name in ["OOTHECA_API_KEY", "COCKROACH_API_KEY", "OOTHECA_ADMIN_API_KEY"] {
        command.env_remove(name);
    }
    command
}

/// The connection string without the certificate's path, which is passed in the environment instead.
fn without_certificate(string: &str) -> String {
    let (base, query) = string.split_once('?').unwrap_or((string, ""));
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("sslrootcert=")).collect();
    format!("{base}?{}", kept.join("&"))
}

/// Writes the certificate of a cluster to the cache directory. It isn't secret.
fn store_certificate(id: &str, certificate: &str) -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy();
    let strategy = strategy
        .map_err(|_| Failure::failed("could not determine the home directory to store the certificate in"))?;
    let file = strategy.cache_dir().join(format!("ootheca/certificates/{id}.crt"));
    files::replace(&file, certificate)
        .map_err(|error| Failure::failed(format!("could not write {}: {error}", file.display())))?;
    Ok(file)
}

/// Finds `psql` in PATH, or in the directories in which the engine looks for PostgreSQL.
pub(crate) fn psql() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain(engine_directories()).map(|directory| directory.join("psql"));
    found.into_iter().find(|program| program.is_file()).ok_or_else(|| {
        Failure::failed("psql not found").hint(
            "install the PostgreSQL client, or use another client with `ootheca cluster connection-string`",
        )
    })
}

/// Directories with PostgreSQL programs, newest version first.
fn engine_directories() -> Vec<PathBuf> {
    let settings =
        ootheca_server::Settings::load(env::var_os("OOTHECA_CONFIG").as_deref().map(Path::new), &json!({}));
    let mut all = settings.map(|settings| settings.engine.programs).unwrap_or_default();
    let mut found = Vec::new();
    for (parent, prefix) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| {
            let name = entry.file_name();
            let major: u32 = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        }));
    }
    found.sort_unstable();
    all.extend(found.into_iter().rev().map(|(_, directory)| directory));
    all
}

/// The SQL user to connect as, and its password if known.
fn login(client: &Client, cluster: &Value, args: &SqlArgs) -> Result<(String, Option<String>)> {
    let users = client.pages(&path(cluster, "/sql-users"), "users")?;
    let names: Vec<&str> = users.iter().map(resolve::name).collect();
    let cluster_name = resolve::name(cluster);
    match (args.user.as_deref(), names.as_slice()) {
        (Some(user), names) if names.contains(&user) => Ok((user.to_owned(), args.password.clone())),
        (Some(user), []) => create_user(client, cluster, user.to_owned(), args.password.clone()),
        (Some(user), names) => {
            let message = format!("cluster {cluster_name} has no SQL user {user:?}");
            let hint = format!(
                "its SQL users are: {}; create another one with `ootheca user create {cluster_name} {user}`",
                names.join(", ")
            );
            Err(Failure::new(Exit::NotFound, message).hint(hint))
        }
        (None, []) if terminal::interactive() => {
            terminal::message(format!("Cluster {cluster_name} has no SQL users yet. Create the first one:"));
            let user = terminal::ask("SQL user", &suggested_user())?;
            create_user(client, cluster, user, args.password.clone())
        }
        (None, []) => Err(Failure::usage(format!("cluster {cluster_name} has no SQL users"))
            .hint("create the first one with --user NAME; to choose its password, set PGPASSWORD")),
        (None, [only]) => Ok(((*only).to_owned(), args.password.clone())),
        (None, names) if terminal::interactive() => {
            let index = terminal::choose("SQL user", names)?;
            Ok((names[index].to_owned(), args.password.clone()))
        }
        (None, names) => Err(Failure::usage(format!("cluster {cluster_name} has several SQL users"))
            .hint(format!("choose one with --user: {}", names.join(", ")))),
    }
}

/// The login name, if it is a valid name for a SQL user.
fn suggested_user() -> String {
    let name = env::var("USER").unwrap_or_default().to_lowercase();
    let name: String =
        name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let usable = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if usable && ootheca_model::names::sql_user(&name).is_ok() { name } else { "maria".to_owned() }
}

/// Creates the first SQL user of a cluster.
fn create_user(
    client: &Client,
    cluster: &Value,
    user: String,
    password: Option<String>,
) -> Result<(String, Option<String>)> {
    let given = match password {
        None if terminal::interactive() => terminal::new_password("Password (leave blank to generate one)")?,
        password => password,
    };
    let generated = given.is_none();
    let password = given.unwrap_or_else(generate_password);
    let body = json!({ "name": user, "password": password });
    client.post(&path(cluster, "/sql-users"), &body)?;
    terminal::notice(format!("Created SQL user {user}."));
    if generated {
        terminal::notice(format!("Password (won't be shown again): {password}"));
    }
    Ok((user, Some(password)))
}

/// Generates a random password.
pub(crate) fn generate_password() -> String {
    let mut random = rand::rng();
    (0..LENGTH).filter_map(|_| LETTERS.choose(&mut random)).map(|letter| char::from(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_path_is_removed_from_the_connection_string() {
        let string =
            "postgresql://x@h:1/d?sslmode=verify-full&sslrootcert=$HOME/x.crt&options=--cluster%3Dy-1";
        let expected = "postgresql://x@h:1/d?sslmode=verify-full&options=--cluster%3Dy-1";
        assert_eq!(without_certificate(string), expected);
        assert_eq!(without_certificate(expected), expected);
    }

    #[test]
    fn generated_passwords_are_valid_and_differ() {
        ootheca_model::names::password(&generate_password()).unwrap();
        assert_ne!(generate_password(), generate_password());
    }
}
