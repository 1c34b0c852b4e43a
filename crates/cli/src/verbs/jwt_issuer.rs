//! `ootheca jwt-issuer`: whose tokens are accepted beside API keys.

use super::Context;
use crate::{
    client::segment,
    failure::{Failure, Result},
    output::Column,
    talk,
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

/// What to do with issuers.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the issuers
    #[command(visible_alias = "ls")]
    List,
    /// Show an issuer
    Get {
        /// Its id
        id: String,
    },
    /// Accept the tokens of an issuer
    Create {
        #[command(flatten)]
        fields: Fields,
    },
    /// Change an issuer
    Update {
        /// Its id
        id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Accept the tokens of an issuer no longer
    #[command(visible_alias = "rm")]
    Delete {
        /// Its id
        id: String,
    },
}

/// What is known of an issuer.
#[derive(Args)]
pub(crate) struct Fields {
    /// `iss` of its tokens, an https address
    #[arg(long, value_name = "URL")]
    issuer_url: Option<String>,
    /// `aud` that its tokens must hold
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// The claim that names the caller [default: sub]
    #[arg(long, value_name = "NAME")]
    claim: Option<String>,
    /// A file with its public keys, a JSON Web Key Set [default: fetched from the issuer]
    #[arg(long, value_name = "FILE")]
    jwks: Option<std::path::PathBuf>,
    /// Who an identity in a token is here: an e-mail address or the id of a service account; may be given
    /// several times
    #[arg(long, value_name = "TOKEN=HERE", value_parser = super::labels::pair)]
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

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    let one = |id: &str| format!("{ISSUERS}/{}", segment(id));
    match verb {
        Verb::List => context.out.list(&COLUMNS, &client.list(ISSUERS, "jwt_issuers")?),
        Verb::Get { id } => context.out.record(&client.get(&one(&id))?, &COLUMNS),
        Verb::Create { fields } => {
            let answer = client.post(ISSUERS, &body(fields)?)?;
            context.out.done("Tokens of the issuer are accepted", &answer, &COLUMNS)
        }
        Verb::Update { id, fields } => {
            let answer = client.patch(&one(&id), &body(fields)?)?;
            context.out.done("Changed the issuer", &answer, &COLUMNS)
        }
        Verb::Delete { id } => {
            talk::confirm(context.yes, &format!("accept no more tokens of the issuer {id}?"))?;
            let answer = client.delete(&one(&id))?;
            context.out.done("Deleted the issuer", &answer, &COLUMNS[..2])
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
        let failed = |error| Failure::usage(format!("--jwks: can not read {}: {error}", file.display()));
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
