//! `ootheca person`: people of the organization.

use super::Context;
use crate::{client::segment, failure::Result, output::Column};
use clap::Subcommand;
use serde_json::Value;

/// What to do with people.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Find a person by e-mail address
    Get {
        /// E-mail address
        email: String,
    },
}

const COLUMNS: [Column; 2] = [Column::text("EMAIL", "/email"), Column::text("ID", "/id")];

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let Verb::Get { email } = verb;
    context.out.record(&find(context, &email)?, &COLUMNS)
}

/// A person by e-mail address.
pub(crate) fn find(context: &Context, email: &str) -> Result<Value> {
    let mut answer =
        context.client.get(&format!("/api/v1/users/persons-by-email?email={}", segment(email)))?;
    Ok(answer["user"].take())
}
