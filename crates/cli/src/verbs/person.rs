//! `ootheca person`: users of the organization.

use super::Context;
use crate::{client::segment, failure::Result, output::Column};
use clap::Subcommand;
use serde_json::Value;

/// Verbs of `person`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Look up a user by email address
    Get {
        /// Email address
        email: String,
    },
}

const COLUMNS: [Column; 2] = [Column::text("EMAIL", "/email"), Column::text("ID", "/id")];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let Verb::Get { email } = verb;
    context.out.record(&find(context, &email)?, &COLUMNS)
}

/// Looks up a user by email address.
pub(crate) fn find(context: &Context, email: &str) -> Result<Value> {
    let mut response =
        context.client.get(&format!("/api/v1/users/persons-by-email?email={}", segment(email)))?;
    Ok(response["user"].take())
}
