//! `ootheca role`: who may do what, and where.

use super::{Context, person};
use crate::{
    client::segment,
    failure::Result,
    output::{Column, Format},
    resolve, talk,
};
use clap::{
    Args, Subcommand,
    builder::{PossibleValue, PossibleValuesParser},
};
use ootheca_model::Role;
use serde_json::{Value, json};

/// What to do with roles.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List who holds which roles
    #[command(visible_alias = "ls")]
    List,
    /// Show what somebody holds
    Get {
        /// A service account by name, a person by e-mail address, or an id
        who: String,
    },
    /// Give somebody a role
    Grant(Grant),
    /// Take a role from somebody
    Revoke(Grant),
}

/// One role of somebody.
#[derive(Args)]
pub(crate) struct Grant {
    /// A service account by name, a person by e-mail address, or an id
    who: String,
    /// The role, such as CLUSTER_ADMIN or cluster-admin
    #[arg(ignore_case = true, value_parser = words())]
    role: String,
    /// On this cluster, by name or id [default: on the organization]
    #[arg(long, value_name = "CLUSTER", conflicts_with = "folder")]
    cluster: Option<String>,
    /// On this folder and all that is in it, by name or id
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
}

const ROLES: &str = "/api/v1/roles";
const ALL: [Column; 2] = [Column::text("WHO", "/who"), Column::by("ROLES", |grants| held(&grants["roles"]))];
const ONE: [Column; 3] = [
    Column::text("ROLE", "/name"),
    Column::by("ON", |grant| on(&grant["resource"])),
    Column::text("THROUGH", "/through"),
];

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    match verb {
        Verb::List => list(context),
        Verb::Get { who } => {
            let answer = client.get(&format!("{ROLES}/{}", segment(&principal(context, &who)?)))?;
            show(context, &answer)
        }
        Verb::Grant(grant) => {
            let answer = client.post(&path(context, &grant)?, &json!({}))?;
            context.out.success(&format!("{} holds {}", grant.who, wire(&grant.role)));
            show(context, &answer)
        }
        Verb::Revoke(grant) => {
            let path = path(context, &grant)?;
            talk::confirm(context.yes, &format!("take {} from {}?", wire(&grant.role), grant.who))?;
            let answer = client.delete(&path)?;
            context.out.success(&format!("{} does not hold {} there any more", grant.who, wire(&grant.role)));
            show(context, &answer)
        }
    }
}

/// Who holds what; service accounts by their names, where those may be seen.
fn list(context: &Context) -> Result<()> {
    let mut all = context.client.list(ROLES, "grants")?;
    if context.out.format != Format::Json {
        let accounts =
            context.client.pages("/api/v1/service-accounts", "service_accounts").unwrap_or_default();
        for grants in &mut all.rows {
            let account = accounts.iter().find(|account| account["id"] == grants["user_id"]);
            grants["who"] = account.map_or(&grants["user_id"], |account| &account["name"]).clone();
        }
    }
    context.out.list(&ALL, &all)
}

/// Every role, in both spellings.
pub(crate) fn words() -> PossibleValuesParser {
    let word =
        |role: &Role| PossibleValue::new(role.name()).alias(role.name().to_lowercase().replace('_', "-"));
    PossibleValuesParser::new(Role::ALL.iter().map(word))
}

/// A role as the API writes it.
pub(crate) fn wire(role: &str) -> String {
    role.to_uppercase().replace('-', "_")
}

/// Roles in one line: `CLUSTER_ADMIN, CLUSTER_DEVELOPER on cluster 6f4c…`.
pub(crate) fn held(roles: &Value) -> String {
    let roles = roles.as_array().into_iter().flatten();
    let text = roles.map(|role| {
        let name = role["name"].as_str().unwrap_or_default();
        match on(&role["resource"]).as_str() {
            "organization" => name.to_owned(),
            place => format!("{name} on {place}"),
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

/// What somebody holds, with what comes through groups.
fn show(context: &Context, answer: &Value) -> Result<()> {
    if context.out.format == Format::Json {
        return context.out.record(answer, &[]);
    }
    let mut rows = Vec::new();
    for (field, through) in [("roles", ""), ("group_roles", "a group")] {
        for role in answer[field].as_array().into_iter().flatten() {
            let mut row = role.clone();
            row["through"] = through.into();
            rows.push(row);
        }
    }
    context.out.table(&ONE, &rows)
}

/// The path of one grant in the API.
fn path(context: &Context, grant: &Grant) -> Result<String> {
    let who = principal(context, &grant.who)?;
    let (kind, id) = match (&grant.cluster, &grant.folder) {
        (Some(cluster), _) => {
            ("CLUSTER", resolve::id(&resolve::cluster(&context.client, cluster)?).to_owned())
        }
        (None, Some(folder)) => ("FOLDER", super::folder::place(context, folder)?),
        (None, None) => {
            let organization = context.client.get("/api/v1/organization")?;
            ("ORGANIZATION", resolve::id(&organization).to_owned())
        }
    };
    Ok(format!("{ROLES}/{}/{kind}/{}/{}", segment(&who), segment(&id), wire(&grant.role)))
}

/// The id of whoever is meant.
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
    fn roles_say_where_they_are_held() {
        let roles = json!([
            { "name": "ORG_ADMIN", "resource": { "type": "ORGANIZATION", "id": "1" } },
            { "name": "CLUSTER_ADMIN", "resource": { "type": "CLUSTER", "id": "2" } },
        ]);
        assert_eq!(held(&roles), "ORG_ADMIN, CLUSTER_ADMIN on cluster 2");
    }
}
