//! The rules for names.

use crate::{Error, Result};

/// The minimum length of a SQL user's password, in characters.
pub const MIN_PASSWORD: usize = 12;

/// Reserved names of SQL users, in any case. Names that start with `pg_` are reserved as well.
pub const RESERVED_USERS: [&str; 9] =
    ["admin", "node", "none", "ootheca", SHELL_USER, REPLICATION_USER, "postgres", "public", "root"];

/// The role that statements of the console use. Nothing else can log in as this role.
pub const SHELL_USER: &str = "ootheca_console";

/// The role with which a standby of a cluster logs in to its primary.
pub const REPLICATION_USER: &str = "ootheca_replication";

/// Reserved names of databases, in any case.
pub const RESERVED_DATABASES: [&str; 4] = ["postgres", "system", "template0", "template1"];

/// Whether the role belongs to the engine or the server. Tenants can create roles with other reserved names
/// in SQL; those are listed and can be deleted.
pub fn engine_user(name: &str) -> bool {
    name.starts_with("pg_") || ["admin", "ootheca", SHELL_USER, REPLICATION_USER].contains(&name)
}

/// Whether the database belongs to the engine. Such databases are hidden from tenants.
pub fn engine_database(name: &str) -> bool {
    ["postgres", "template0", "template1"].contains(&name)
}

/// Whether tenants cannot use `name` for a SQL user or log in with it.
pub fn reserved_user(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("pg_") || RESERVED_USERS.contains(&lower.as_str())
}

/// Whether tenants cannot use `name` for a database over the API.
pub fn reserved_database(name: &str) -> bool {
    RESERVED_DATABASES.contains(&name.to_ascii_lowercase().as_str())
}

/// Checks a cluster name: lower-case letters, digits, and dashes, 6 to `max` characters, starting and ending
/// with a letter or digit.
pub fn cluster(name: &str, max: usize) -> Result<()> {
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = name.as_bytes();
    let shape = bytes.iter().all(|b| inner(b) || *b == b'-')
        && bytes.first().is_some_and(inner)
        && bytes.last().is_some_and(inner);
    if shape && (6..=max).contains(&bytes.len()) {
        return Ok(());
    }
    let rule = format!(
        "must be 6 to {max} lowercase letters, digits, or hyphens, and must start and end with a letter or digit"
    );
    Err(Error::invalid("name", rule))
}

/// Checks the name of a SQL user.
pub fn sql_user(name: &str) -> Result<()> {
    sql_identifier(name)?;
    if reserved_user(name) {
        return Err(Error::invalid("name", format!("{name:?} is reserved")));
    }
    Ok(())
}

/// Checks the name of a database. `field` is the name of the request's field.
pub fn database(field: &str, name: &str) -> Result<()> {
    sql_identifier(name).map_err(|_| Error::invalid(field, SQL_RULE))?;
    if reserved_database(name) {
        return Err(Error::invalid(field, format!("{name:?} is reserved")));
    }
    Ok(())
}

/// Checks the password of a SQL user. The message never contains the password.
pub fn password(password: &str) -> Result<()> {
    if password.chars().count() < MIN_PASSWORD {
        return Err(Error::invalid("password", format!("must have at least {MIN_PASSWORD} characters")));
    }
    if password.contains('\0') || password.len() > 1024 {
        return Err(Error::invalid("password", "must have at most 1024 bytes and no zero bytes"));
    }
    Ok(())
}

/// Checks a display name, such as that of a service account.
pub fn display(field: &str, name: &str) -> Result<()> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > 255 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "must have 1 to 255 characters, must not be blank, and must not contain control characters",
        ));
    }
    Ok(())
}

const SQL_RULE: &str = "must be 1 to 63 letters, digits, underscores, dots, or hyphens, and must start with a letter, digit, or underscore";

fn sql_identifier(name: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let first = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let ok = (1..=63).contains(&bytes.len())
        && bytes.first().is_some_and(first)
        && bytes.iter().all(|b| first(b) || matches!(b, b'.' | b'-'));
    if ok { Ok(()) } else { Err(Error::invalid("name", SQL_RULE)) }
}
