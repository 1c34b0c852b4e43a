//! The credentials of a cluster's SQL users, as the gateway needs them for authentication.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a SQL user's password is verified against. Never a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// A SCRAM-SHA-256 verifier in PostgreSQL's format: `SCRAM-SHA-256$<iterations>:<salt>$<stored
    /// key>:<server key>`.
    Scram(String),
    /// The user has no password and cannot log in.
    Absent,
    /// The password has expired.
    Expired,
    /// Another type of secret, by its name, for example `MD5`.
    Other(String),
}

impl Secret {
    /// The iterations of a SCRAM verifier.
    pub fn iterations(&self) -> Option<u32> {
        let Self::Scram(verifier) = self else { return None };
        verifier.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?.0.parse().ok()
    }
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

/// A SQL user that can log in, and its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub name: String,
    pub secret: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_are_parsed_from_a_verifier() {
        let of = |text: &str| Secret::Scram(text.into()).iterations();
        assert_eq!(of("SCRAM-SHA-256$9000:salt$stored:server"), Some(9000));
        assert_eq!([of(""), of("SCRAM-SHA-256$"), of("SCRAM-SHA-256$many:salt$")], [None; 3]);
        assert_eq!(Secret::Absent.iterations(), None);
    }
}
