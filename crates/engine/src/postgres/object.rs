//! Roles and databases by their object identifiers. Their names can contain bytes that are not valid in a
//! statement, so the server itself inserts the name into the statement.

use super::sql::Literal;
use ootheca_model::sql_name;
use std::{error::Error, fmt};
use tokio_postgres::types::{FromSql, Type};

/// A name as the server stores it: bytes in the encoding of the database in which it was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(Vec<u8>);

impl Name {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sql_name::show(&self.0))
    }
}

impl<'a> FromSql<'a> for Name {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NAME
    }
}

/// The object that a statement refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    Role(u32),
    Database(u32),
}

impl Object {
    /// Returns `statement` with `%1$I` replaced by the name and `%2$I` or `%2$L` by `value`. The statement
    /// fails with `no_data_found` if the object no longer exists.
    pub(super) fn statement(self, statement: &str, value: &str) -> String {
        let (column, catalog, oid) = match self {
            Self::Role(oid) => ("rolname", "pg_authid", oid),
            Self::Database(oid) => ("datname", "pg_database", oid),
        };
        let body = format!(
            "DECLARE object pg_catalog.name; \
             BEGIN \
             SELECT {column} INTO STRICT object FROM pg_catalog.{catalog} WHERE oid = {oid}; \
             EXECUTE pg_catalog.format({}, object, {}); \
             END",
            Literal(statement),
            Literal(value),
        );
        format!("DO LANGUAGE plpgsql {}", Literal(&body))
    }
}

#[cfg(test)]
mod tests {
    use super::Object;

    #[test]
    fn values_are_quoted_at_every_level() {
        let statement = Object::Role(7).statement("ALTER ROLE %1$I PASSWORD %2$L", r"it's \x");
        assert!(
            statement.contains(r"format(''ALTER ROLE %1$I PASSWORD %2$L'', object, E''it''''s \\\\x'')"),
            "{statement}"
        );
        assert!(statement.contains("pg_authid WHERE oid = 7;"), "{statement}");
    }
}
