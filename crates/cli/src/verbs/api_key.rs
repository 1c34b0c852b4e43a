//! `ootheca api-key`.

use super::Context;
use crate::{client::segment, failure::Result, output::Column, resolve, terminal};
use clap::Subcommand;
use serde_json::json;

/// Verbs of `api-key`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List API keys
    #[command(visible_alias = "ls")]
    List {
        /// List only the keys of this service account, by name or ID
        #[arg(long, value_name = "ACCOUNT", visible_alias = "service-account-id")]
        service_account: Option<String>,
    },
    /// Create an API key, and print its secret, which can't be shown again
    Create {
        /// Name of the key
        name: String,
        /// Service account of the key, by name or ID
        #[arg(long, value_name = "ACCOUNT", visible_alias = "service-account-id")]
        service_account: String,
        /// Expiration time, such as 2027-01-31T12:00:00Z [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Delete an API key; it stops working immediately
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the key
        key: String,
    },
}

const KEYS: &str = "/api/v1/api-keys";
const COLUMNS: [Column; 6] = [
    Column::text("NAME", "/name"),
    Column::text("ID", "/id"),
    Column::text("SERVICE ACCOUNT ID", "/service_account_id"),
    Column::time("CREATED AT", "/created_at"),
    Column::time("LAST USED", "/last_used_at"),
    Column::time("EXPIRES", "/expiration_time"),
];
const CREATED: [Column; 4] = [
    Column::text("NAME", "/api_key/name"),
    Column::text("ID", "/api_key/id"),
    Column::time("EXPIRES", "/api_key/expiration_time"),
    Column::text("SECRET", "/secret"),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    match verb {
        Verb::List { service_account } => {
            let path = match service_account {
                None => KEYS.to_owned(),
                Some(wanted) => {
                    let account = resolve::service_account(client, &wanted)?;
                    format!("{KEYS}?service_account_id={}", segment(resolve::id(&account)))
                }
            };
            context.out.list(&COLUMNS, &client.list(&path, "api_keys")?)
        }
        Verb::Create { name, service_account, expires } => {
            let account = resolve::service_account(client, &service_account)?;
            let mut body = json!({ "name": name, "service_account_id": resolve::id(&account) });
            if let Some(time) = expires {
                body["expiration_time"] = time.into();
            }
            let response = client.post(KEYS, &body)?;
            context.out.done(&format!("Created API key {name}"), &response, &CREATED)?;
            terminal::message("Store the secret now; it won't be shown again.");
            Ok(())
        }
        Verb::Delete { key } => {
            let found = resolve::api_key(client, &key)?;
            let name = resolve::name(&found);
            terminal::confirm(context.yes, &format!("Delete API key {name}? It stops working immediately."))?;
            let response = client.delete(&format!("{KEYS}/{}", segment(resolve::id(&found))))?;
            context.out.done(&format!("Deleted API key {name}"), &response, &COLUMNS[..2])
        }
    }
}
