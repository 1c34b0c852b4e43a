//! `ootheca service-account`.

use super::{Context, api_key, role};
use crate::{client::segment, failure::Result, output::Column, resolve, terminal};
use clap::Subcommand;
use serde_json::{Map, json};

/// Verbs of `service-account`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List service accounts
    #[command(visible_alias = "ls")]
    List {
        /// List only accounts whose name contains this text; case is ignored
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// List only accounts with this role; can be repeated to list accounts with any of the roles
        #[arg(long, value_name = "ROLE", ignore_case = true, value_parser = role::words())]
        role: Vec<String>,
    },
    /// Show a service account and its roles
    Get {
        /// Name or ID of the service account
        service_account: String,
    },
    /// Create a service account
    Create {
        /// Name of the service account
        name: String,
        /// Description
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Role in the organization, such as cluster-admin; can be repeated
        #[arg(long, value_name = "ROLE", ignore_case = true, value_parser = role::words())]
        role: Vec<String>,
    },
    /// Change the name or the description of a service account
    Update {
        /// Name or ID of the service account
        service_account: String,
        /// New name
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Description
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete a service account and its API keys
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the service account
        service_account: String,
    },
    /// Manage API keys; the same as `ootheca api-key`
    #[command(subcommand)]
    ApiKey(api_key::Verb),
}

const ACCOUNTS: &str = "/api/v1/service-accounts";
const COLUMNS: [Column; 5] = [
    Column::text("NAME", "/name"),
    Column::text("DESCRIPTION", "/description"),
    Column::by("ROLES", |account| role::held(&account["roles"])),
    Column::time("CREATED AT", "/created_at"),
    Column::text("ID", "/id"),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    let one = |wanted: &str| -> Result<String> {
        Ok(format!("{ACCOUNTS}/{}", segment(resolve::id(&resolve::service_account(client, wanted)?))))
    };
    match verb {
        Verb::List { name, role } => {
            let roles = role.iter().map(|role| ("roles", role::wire(role)));
            let filters = name.map(|name| ("service_account_name", name)).into_iter().chain(roles);
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filters).finish();
            context.out.list(&COLUMNS, &client.list(&format!("{ACCOUNTS}?{query}"), "service_accounts")?)
        }
        Verb::Get { service_account } => {
            context.out.record(&resolve::service_account(client, &service_account)?, &COLUMNS)
        }
        Verb::Create { name, description, role } => {
            let grant =
                |role: &String| json!({ "name": role::wire(role), "resource": { "type": "ORGANIZATION" } });
            let roles: Vec<_> = role.iter().map(grant).collect();
            let body = json!({ "name": name, "description": description, "roles": roles });
            let response = client.post(ACCOUNTS, &body)?;
            context.out.done(&format!("Created service account {name}"), &response, &COLUMNS)?;
            terminal::message(format!(
                "Next: create a key with `ootheca api-key create NAME --service-account {name}`"
            ));
            Ok(())
        }
        Verb::Update { service_account, name, description } => {
            let fields = [("name", name), ("description", description)];
            let body: Map<_, _> = fields
                .into_iter()
                .filter_map(|(field, value)| Some((field.to_owned(), value?.into())))
                .collect();
            let response = client.patch(&one(&service_account)?, &body.into())?;
            context.out.done(&format!("Updated service account {service_account}"), &response, &COLUMNS)
        }
        Verb::Delete { service_account } => {
            let path = one(&service_account)?;
            terminal::confirm(
                context.yes,
                &format!("Delete service account {service_account} and its API keys?"),
            )?;
            let response = client.delete(&path)?;
            context.out.done(&format!("Deleted service account {service_account}"), &response, &COLUMNS[..1])
        }
        Verb::ApiKey(verb) => api_key::run(context, verb),
    }
}
