//! `ootheca api-key`: what service accounts call the API with.

use super::Context;
use crate::{
    client::segment,
    failure::{Exit, Failure, Result},
    output::Column,
    resolve, talk,
};
use clap::Subcommand;
use serde_json::{Value, json};

/// What to do with API keys.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List API keys, without their secrets
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this service account, by name or id
        #[arg(long, value_name = "ACCOUNT", visible_alias = "service-account-id")]
        service_account: Option<String>,
    },
    /// Create an API key; its secret is shown this once
    Create {
        /// Its name
        name: String,
        /// The service account that it acts for, by name or id
        #[arg(long, value_name = "ACCOUNT", visible_alias = "service-account-id")]
        service_account: String,
        /// When it ends, such as 2027-01-31T12:00:00Z [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// Delete an API key: it stops working at once
    #[command(visible_alias = "rm")]
    Delete {
        /// Id of the key, or its name where no other has it
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

/// Does it.
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
            let answer = client.post(KEYS, &body)?;
            context.out.done(&format!("Created API key {name}"), &answer, &CREATED)?;
            talk::say("the secret is shown this once: keep it secret");
            Ok(())
        }
        Verb::Delete { key } => {
            let found = find(context, &key)?;
            let name = resolve::name(&found);
            talk::confirm(context.yes, &format!("delete the API key {name}? It stops working at once."))?;
            let answer = client.delete(&format!("{KEYS}/{}", segment(resolve::id(&found))))?;
            context.out.done(&format!("Deleted API key {name}"), &answer, &COLUMNS[..2])
        }
    }
}

fn find(context: &Context, wanted: &str) -> Result<Value> {
    let all = context.client.pages(KEYS, "api_keys")?;
    let by = |member: &str| -> Vec<&Value> { all.iter().filter(|key| key[member] == wanted).collect() };
    match (by("id").as_slice(), by("name").as_slice()) {
        ([key], _) | ([], [key]) => Ok((*key).clone()),
        (_, []) => {
            let failure = Failure::new(Exit::NotFound, format!("there is no API key {wanted:?}"));
            Err(failure.hint("`ootheca api-key list` shows them"))
        }
        (_, several) => {
            let ids: Vec<&str> = several.iter().map(|key| resolve::id(key)).collect();
            let message = format!("there are {} API keys named {wanted:?}", several.len());
            Err(Failure::usage(message).hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}
