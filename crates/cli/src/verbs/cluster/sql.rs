//! `ootheca cluster sql`: `psql` on a cluster, with the certificate that it needs and, where there is none
//! yet, a first SQL user. A password goes to `psql` by its environment, never on its command line.

use super::{Context, path};
use crate::{
    client::Client,
    failure::{Exit, Failure, Result},
    resolve, talk,
};
use clap::Args;
use etcetera::BaseStrategy;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use std::{
    env, fs,
    io::Write,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

/// Letters of a password that is made here; none looks like another.
const LETTERS: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Its length: 140 bits.
const LENGTH: usize = 24;

/// Flags of `cluster sql`.
#[derive(Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    cluster: super::ClusterArg,
    /// The SQL user; on a cluster that has none yet, it is made
    #[arg(long, short = 'u', value_name = "USER")]
    user: Option<String>,
    /// Its password; others on this machine may see it, so that PGPASSWORD is better
    #[arg(long, value_name = "PASSWORD", env = "PGPASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// The database [default: defaultdb]
    #[arg(long, short = 'd', value_name = "DATABASE")]
    database: Option<String>,
    /// Arguments of psql, such as `-- -c 'select 1'`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// Opens the shell, in place of this process.
pub(super) fn sql(context: &Context, args: &SqlArgs) -> Result<()> {
    let cluster = resolve::cluster(&context.client, &args.cluster.cluster)?;
    let program = psql()?;
    let (user, password) = login(&context.client, &cluster, args)?;
    let login = Login { user: &user, password: password.as_deref(), database: args.database.as_deref() };
    let mut command = shell(&context.client, &cluster, &program, &login)?;
    let error = command.args(&args.arguments).exec();
    Err(Failure::failed(format!("{} can't be started: {error}", program.display())))
}

/// Who connects to what.
pub(crate) struct Login<'a> {
    /// The SQL user.
    pub(crate) user: &'a str,
    /// The password; where it is absent, `psql` finds or asks for it.
    pub(crate) password: Option<&'a str>,
    /// The database.
    pub(crate) database: Option<&'a str>,
}

/// `psql` on a cluster, ready to be started.
pub(crate) fn shell(client: &Client, cluster: &Value, program: &Path, login: &Login<'_>) -> Result<Command> {
    let mut query =
        vec![("os".to_owned(), "LINUX".to_owned()), ("sql_user".to_owned(), login.user.to_owned())];
    query.extend(login.database.map(|name| ("database".to_owned(), name.to_owned())));
    let answer = client.send("GET", &path(cluster, "/connection-string"), &query, None, &[])?.value;
    let string = answer["connection_string"].as_str().unwrap_or_default();
    let certificate =
        client.send("GET", &format!("/clusters/{}/cert", resolve::id(cluster)), &[], None, &[])?;
    let mut command = Command::new(program);
    command.arg("--dbname").arg(without_certificate(string));
    command.env("PGSSLROOTCERT", keep(resolve::id(cluster), &certificate.text)?);
    if let Some(password) = login.password {
        command.env("PGPASSWORD", password);
    }
    for name in ["OOTHECA_API_KEY", "COCKROACH_API_KEY", "OOTHECA_ADMIN_API_KEY"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// The string without the place where other clients keep the certificate.
pub(crate) fn without_certificate(string: &str) -> String {
    let (base, query) = string.split_once('?').unwrap_or((string, ""));
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("sslrootcert=")).collect();
    format!("{base}?{}", kept.join("&"))
}

/// Writes a cluster's certificate where `psql` reads it; it is no secret.
fn keep(id: &str, certificate: &str) -> Result<PathBuf> {
    let strategy = etcetera::choose_base_strategy();
    let strategy =
        strategy.map_err(|_| Failure::failed("there is no home folder to keep the certificate in"))?;
    let folder = strategy.cache_dir().join("ootheca/certificates");
    let place = folder.join(format!("{id}.crt"));
    let failed =
        |error: std::io::Error| Failure::failed(format!("{} can't be written: {error}", place.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    file.write_all(certificate.as_bytes()).map_err(failed)?;
    file.persist(&place).map_err(|error| failed(error.error))?;
    Ok(place)
}

/// Where `psql` is: in PATH, or where the PostgreSQL servers of this machine are.
pub(crate) fn psql() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain(engine_folders()).map(|folder| folder.join("psql"));
    found.into_iter().find(|program| program.is_file()).ok_or_else(|| {
        Failure::failed("psql is not on this machine")
            .hint("install a PostgreSQL client, or print what another one needs: `ootheca cluster connection-string`")
    })
}

/// Folders of PostgreSQL's programs, newest first.
fn engine_folders() -> Vec<PathBuf> {
    let set =
        ootheca_server::Settings::load(env::var_os("OOTHECA_CONFIG").as_deref().map(Path::new), &json!({}));
    let mut all = set.map(|settings| settings.engine.programs).unwrap_or_default();
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
    all.extend(found.into_iter().rev().map(|(_, folder)| folder));
    all
}

/// The user to connect as, and the password if it is known.
fn login(client: &Client, cluster: &Value, args: &SqlArgs) -> Result<(String, Option<String>)> {
    let users = client.pages(&path(cluster, "/sql-users"), "users")?;
    let names: Vec<&str> = users.iter().map(resolve::name).collect();
    let cluster_name = resolve::name(cluster);
    match (args.user.as_deref(), names.as_slice()) {
        (Some(user), names) if names.contains(&user) => Ok((user.to_owned(), args.password.clone())),
        (Some(user), []) => make(client, cluster, user.to_owned(), args.password.clone()),
        (Some(user), names) => {
            let message = format!("cluster {cluster_name} has no SQL user {user:?}");
            let hint = format!(
                "it has {}; `ootheca user create {cluster_name} {user}` makes one more",
                names.join(", ")
            );
            Err(Failure::new(Exit::NotFound, message).hint(hint))
        }
        (None, []) if talk::interactive() => {
            talk::say(format!("cluster {cluster_name} has no SQL user yet; this makes the first one"));
            let user = talk::ask("SQL user", &suggested_user())?;
            make(client, cluster, user, args.password.clone())
        }
        (None, []) => Err(Failure::usage(format!("cluster {cluster_name} has no SQL user yet"))
            .hint("--user NAME makes the first one; its password may stand in PGPASSWORD")),
        (None, [only]) => Ok(((*only).to_owned(), args.password.clone())),
        (None, names) if talk::interactive() => {
            let place = talk::choose("SQL user", names)?;
            Ok((names[place].to_owned(), args.password.clone()))
        }
        (None, names) => Err(Failure::usage(format!("cluster {cluster_name} has several SQL users"))
            .hint(format!("name one with --user: {}", names.join(", ")))),
    }
}

/// The name of whoever sits here, as far as SQL takes it.
fn suggested_user() -> String {
    let name = env::var("USER").unwrap_or_default().to_lowercase();
    let name: String =
        name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let usable = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    if usable && ootheca_model::names::sql_user(&name).is_ok() { name } else { "maria".to_owned() }
}

fn make(
    client: &Client,
    cluster: &Value,
    user: String,
    password: Option<String>,
) -> Result<(String, Option<String>)> {
    let given = match password {
        None if talk::interactive() => talk::new_password("password (empty: one is made)")?,
        password => password,
    };
    let made = given.is_none();
    let password = given.unwrap_or_else(fresh_password);
    let body = json!({ "name": user, "password": password });
    client.post(&path(cluster, "/sql-users"), &body)?;
    talk::tell(format!("made the SQL user {user}"));
    if made {
        talk::tell(format!("its password, shown this once: {password}"));
    }
    Ok((user, Some(password)))
}

/// A password that nobody guesses.
pub(crate) fn fresh_password() -> String {
    let mut random = rand::rng();
    (0..LENGTH).filter_map(|_| LETTERS.choose(&mut random)).map(|letter| char::from(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_certificate_takes_the_place_of_theirs() {
        let string =
            "postgresql://x@h:1/d?sslmode=verify-full&sslrootcert=$HOME/x.crt&options=--cluster%3Dy-1";
        let expected = "postgresql://x@h:1/d?sslmode=verify-full&options=--cluster%3Dy-1";
        assert_eq!(without_certificate(string), expected);
        assert_eq!(without_certificate(expected), expected);
    }

    #[test]
    fn made_passwords_keep_the_rules_and_differ() {
        ootheca_model::names::password(&fresh_password()).unwrap();
        assert_ne!(fresh_password(), fresh_password());
    }
}
