//! The rules that names follow.

use crate::{Error, Result};

/// The shortest password of a SQL user, in characters.
pub const MIN_PASSWORD: usize = 12;

/// Names that no SQL user may take, whatever their case. `pg_…` is reserved as well.
pub const RESERVED_USERS: [&str; 8] =
    ["admin", "node", "none", "ootheca", SHELL_USER, "postgres", "public", "root"];

/// The role as which statements from the console log in; nobody else can.
pub const SHELL_USER: &str = "ootheca_console";

/// Names that no database may take, whatever their case.
pub const RESERVED_DATABASES: [&str; 4] = ["postgres", "system", "template0", "template1"];

/// Whether the role is one of the engine's or the server's own. A tenant can make roles with other reserved
/// names in SQL; those are shown and can be deleted.
pub fn engine_user(name: &str) -> bool {
    name.starts_with("pg_") || ["admin", "ootheca", SHELL_USER].contains(&name)
}

/// Whether the database is one of the engine's own, which are hidden from tenants.
pub fn engine_database(name: &str) -> bool {
    ["postgres", "template0", "template1"].contains(&name)
}

/// Whether no tenant may take `name` for a SQL user or log in with it.
pub fn reserved_user(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.starts_with("pg_") || RESERVED_USERS.contains(&lower.as_str())
}

/// Whether no tenant may take `name` for a database over the API.
pub fn reserved_database(name: &str) -> bool {
    RESERVED_DATABASES.contains(&name.to_ascii_lowercase().as_str())
}

/// Checks a cluster name: lower-case letters, digits and dashes, 6 to `max` characters, starting and
/// ending with a letter or digit.
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
        "must be 6 to {max} characters, lower-case letters, digits and dashes, beginning and ending with a letter or digit"
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

/// Checks the name of a database; `field` says which one it is.
pub fn database(field: &str, name: &str) -> Result<()> {
    sql_identifier(name).map_err(|_| Error::invalid(field, SQL_RULE))?;
    if reserved_database(name) {
        return Err(Error::invalid(field, format!("{name:?} is reserved")));
    }
    Ok(())
}

/// Checks the password of a SQL user. The message never holds the password.
pub fn password(password: &str) -> Result<()> {
    if password.chars().count() < MIN_PASSWORD {
        return Err(Error::invalid("password", format!("must have at least {MIN_PASSWORD} characters")));
    }
    if password.contains('\0') || password.len() > 1024 {
        return Err(Error::invalid("password", "must have at most 1024 bytes, none of them zero"));
    }
    Ok(())
}

/// Checks a free display name, such as that of a service account.
pub fn display(field: &str, name: &str) -> Result<()> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > 255 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "must have 1 to 255 characters, not only blanks, no control characters",
        ));
    }
    Ok(())
}

const SQL_RULE: &str = "must be 1 to 63 letters, digits, underscores, dots and dashes, beginning with a letter, digit or underscore";

fn sql_identifier(name: &str) -> Result<()> {
    let bytes = name.as_bytes();
    let first = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let ok = (1..=63).contains(&bytes.len())
        && bytes.first().is_some_and(first)
        && bytes.iter().all(|b| first(b) || matches!(b, b'.' | b'-'));
    if ok { Ok(()) } else { Err(Error::invalid("name", SQL_RULE)) }
}
