//! `ootheca jwt-issuer`: issuers whose tokens are accepted in place of API keys.

use super::{Context, key_value};
use crate::{
    client::segment,
    failure::{Failure, Result},
    output::Column,
    terminal,
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

/// Verbs of `jwt-issuer`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List JWT issuers
    #[command(visible_alias = "ls")]
    List,
    /// Show a JWT issuer
    Get {
        /// ID of the issuer
        id: String,
    },
    /// Add a JWT issuer
    Create {
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a JWT issuer
    Update {
        /// ID of the issuer
        id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete a JWT issuer; its tokens are no longer accepted
    #[command(visible_alias = "rm")]
    Delete {
        /// ID of the issuer
        id: String,
    },
}

/// Fields of an issuer.
#[derive(Args)]
pub(crate) struct Fields {
    /// HTTPS URL of the issuer, which is the `iss` claim of its tokens
    #[arg(long, value_name = "URL")]
    issuer_url: Option<String>,
    /// Required `aud` claim
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// Claim that identifies the caller [default: sub]
    #[arg(long, value_name = "NAME")]
    claim: Option<String>,
    /// File with the issuer's public keys, as a JSON Web Key Set [default: fetched from the issuer]
    #[arg(long, value_name = "FILE")]
    jwks: Option<std::path::PathBuf>,
    /// Maps an identity in a token to an email address or the ID of a service account; can be repeated
    #[arg(long, value_name = "TOKEN_IDENTITY=IDENTITY", value_parser = key_value::parse)]
    identity: Vec<(String, String)>,
}

const ISSUERS: &str = "/api/v1/jwt-issuers";
const COLUMNS: [Column; 5] = [
    Column::text("ID", "/id"),
    Column::text("ISSUER", "/issuer_url"),
    Column::text("AUDIENCE", "/audience"),
    Column::text("CLAIM", "/claim"),
    Column::by("IDENTITIES", identities),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    let one = |id: &str| format!("{ISSUERS}/{}", segment(id));
    match verb {
        Verb::List => context.out.list(&COLUMNS, &client.list(ISSUERS, "jwt_issuers")?),
        Verb::Get { id } => context.out.record(&client.get(&one(&id))?, &COLUMNS),
        Verb::Create { fields } => {
            let response = client.post(ISSUERS, &body(fields)?)?;
            context.out.done("Created the JWT issuer", &response, &COLUMNS)
        }
        Verb::Update { id, fields } => {
            let response = client.patch(&one(&id), &body(fields)?)?;
            context.out.done("Updated the JWT issuer", &response, &COLUMNS)
        }
        Verb::Delete { id } => {
            terminal::confirm(
                context.yes,
                &format!("Delete JWT issuer {id}? Its tokens will no longer be accepted."),
            )?;
            let response = client.delete(&one(&id))?;
            context.out.done("Deleted the JWT issuer", &response, &COLUMNS[..2])
        }
    }
}

fn body(fields: Fields) -> Result<Value> {
    let mut body = Map::new();
    for (name, value) in
        [("issuer_url", fields.issuer_url), ("audience", fields.audience), ("claim", fields.claim)]
    {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
    if let Some(file) = fields.jwks {
        let failed = |error| Failure::usage(format!("--jwks: could not read {}: {error}", file.display()));
        body.insert("jwks".to_owned(), std::fs::read_to_string(&file).map_err(failed)?.into());
    }
    if !fields.identity.is_empty() {
        let entry = |(token, here)| json!({ "token_identity": token, "cc_identity": here });
        body.insert("identity_map".to_owned(), fields.identity.into_iter().map(entry).collect());
    }
    Ok(body.into())
}

fn identities(issuer: &Value) -> String {
    let entries = issuer["identity_map"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs =
        entries.map(|entry| format!("{}={}", text(&entry["token_identity"]), text(&entry["cc_identity"])));
    pairs.collect::<Vec<_>>().join(", ")
}
