//! `ootheca role`.

use super::{Context, person};
use crate::{
    client::segment,
    failure::Result,
    output::{Column, Format},
    resolve, terminal,
};
use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser},
};
use ootheca_model::Role;
use serde_json::{Value, json};

/// Verbs of `role`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the roles of all users and service accounts
    #[command(visible_alias = "ls")]
    List,
    /// Show the roles of a user or service account
    Get {
        /// Service account by name, user by email address, or ID of either
        #[arg(value_name = "PRINCIPAL")]
        who: String,
    },
    /// Grant a role
    Grant(Grant),
    /// Revoke a role
    Revoke(Grant),
}

/// A role of a principal on a resource.
#[derive(Args)]
pub(crate) struct Grant {
    /// Service account by name, user by email address, or ID of either
    #[arg(value_name = "PRINCIPAL")]
    who: String,
    /// Role, such as CLUSTER_ADMIN or cluster-admin
    #[arg(ignore_case = true, value_parser = words())]
    role: String,
    /// Cluster that the role applies to, by name or ID [default: the organization]
    #[arg(long, value_name = "CLUSTER", conflicts_with = "folder")]
    cluster: Option<String>,
    /// Folder whose contents the role applies to, by name or ID, or `root`
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
}

const ROLES: &str = "/api/v1/roles";
const ALL: [Column; 2] =
    [Column::text("PRINCIPAL", "/principal"), Column::by("ROLES", |grants| held(&grants["roles"]))];
const ONE: [Column; 3] = [
    Column::text("ROLE", "/name"),
    Column::by("ON", |grant| on(&grant["resource"])),
    Column::text("SOURCE", "/source"),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    match verb {
        Verb::List => list(context),
        Verb::Get { who } => {
            let response = client.get(&format!("{ROLES}/{}", segment(&principal(context, &who)?)))?;
            show(context, &response)
        }
        Verb::Grant(grant) => {
            let response = client.post(&path(context, &grant)?, &json!({}))?;
            context.out.success(&format!("Granted {} to {}", wire(&grant.role), grant.who));
            show(context, &response)
        }
        Verb::Revoke(grant) => {
            let path = path(context, &grant)?;
            terminal::confirm(context.yes, &format!("Revoke {} from {}?", wire(&grant.role), grant.who))?;
            let response = client.delete(&path)?;
            context.out.success(&format!("Revoked {} from {}", wire(&grant.role), grant.who));
            show(context, &response)
        }
    }
}

/// Lists all roles. Service accounts are shown by name if the key can read them.
fn list(context: &Context) -> Result<()> {
    let mut all = context.client.list(ROLES, "grants")?;
    if context.out.format != Format::Json {
        let accounts =
            context.client.pages("/api/v1/service-accounts", "service_accounts").unwrap_or_default();
        for grants in &mut all.rows {
            let account = accounts.iter().find(|account| account["id"] == grants["user_id"]);
            grants["principal"] = account.map_or(&grants["user_id"], |account| &account["name"]).clone();
        }
    }
    context.out.list(&ALL, &all)
}

/// All roles, in both spellings.
pub(crate) fn words() -> PossibleValuesParser {
    let word =
        |role: &Role| PossibleValue::new(role.name()).alias(role.name().to_lowercase().replace('_', "-"));
    PossibleValuesParser::new(Role::ALL.iter().map(word))
}

/// The role's name in the API.
pub(crate) fn wire(role: &str) -> String {
    role.to_uppercase().replace('-', "_")
}

/// Roles in one line: `CLUSTER_ADMIN, CLUSTER_DEVELOPER on cluster 6f4c…`.
pub(crate) fn held(roles: &Value) -> String {
    let roles = roles.as_array().into_iter().flatten();
    let text = roles.map(|role| {
        let name = role["name"].as_str().unwrap_or_default();
        match on(&role["resource"]).as_str() {
            "" | "organization" => name.to_owned(),
            resource => format!("{name} on {resource}"),
        }
    });
    text.collect::<Vec<_>>().join(", ")
}

fn on(resource: &Value) -> String {
    let kind = resource["type"].as_str().unwrap_or_default().to_lowercase();
    match resource["id"].as_str() {
        Some(id) if kind != "organization" && !id.is_empty() => format!("{kind} {id}"),
        _ => kind,
    }
}

/// Prints the roles of a principal, including those of its groups.
fn show(context: &Context, response: &Value) -> Result<()> {
    if context.out.format == Format::Json {
        return context.out.record(response, &[]);
    }
    let mut rows = Vec::new();
    for (field, source) in [("roles", "direct"), ("group_roles", "group")] {
        for role in response[field].as_array().into_iter().flatten() {
            let mut row = role.clone();
            row["source"] = source.into();
            rows.push(row);
        }
    }
    context.out.table(&ONE, &rows)
}

/// The URL path of a role.
fn path(context: &Context, grant: &Grant) -> Result<String> {
    let who = principal(context, &grant.who)?;
    let (kind, id) = match (&grant.cluster, &grant.folder) {
        (Some(cluster), _) => {
            ("CLUSTER", resolve::id(&resolve::cluster(&context.client, cluster)?).to_owned())
        }
        (None, Some(folder)) => ("FOLDER", resolve::folder_id(&context.client, folder)?),
        (None, None) => {
            let organization = context.client.get("/api/v1/organization")?;
            ("ORGANIZATION", resolve::id(&organization).to_owned())
        }
    };
    Ok(format!("{ROLES}/{}/{kind}/{}/{}", segment(&who), segment(&id), wire(&grant.role)))
}

/// The ID of a user or service account.
fn principal(context: &Context, who: &str) -> Result<String> {
    let found = match who {
        id if resolve::is_id(id) => return Ok(id.to_owned()),
        email if email.contains('@') => person::find(context, email)?,
        name => resolve::service_account(&context.client, name)?,
    };
    Ok(resolve::id(&found).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_two_spellings() {
        for role in Role::ALL {
            assert_eq!(wire(&role.name().to_lowercase().replace('_', "-")), role.name());
        }
    }

    #[test]
    fn roles_are_listed_with_their_resources() {
        let roles = json!([
            { "name": "ORG_ADMIN", "resource": { "type": "ORGANIZATION", "id": "1" } },
            { "name": "CLUSTER_ADMIN", "resource": { "type": "CLUSTER", "id": "2" } },
        ]);
        assert_eq!(held(&roles), "ORG_ADMIN, CLUSTER_ADMIN on cluster 2");
    }
}
