//! How the users of a cluster prove who they are: what the gateway needs to know of each.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a SQL user's password is checked against. Never a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// A SCRAM-SHA-256 verifier, as PostgreSQL keeps it:
    /// `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
    Scram(String),
    /// There is no password: nobody can log in as this user.
    Absent,
    /// The password was valid until a moment that has passed.
    Expired,
    /// Another kind of secret, by its name, for example `MD5`.
    Other(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scram(_) => "Scram",
            Self::Absent => "Absent",
            Self::Expired => "Expired",
            Self::Other(_) => "Other",
        })
    }
}

/// A SQL user that may log in, and its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Name.
    pub name: String,
    /// Secret.
    pub secret: Secret,
}
