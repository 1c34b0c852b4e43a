//! Compares the roles of the table with the official OpenAPI document of the newest version in the directory
//! `OOTHECA_CONTRACT`. The document must not be part of this repository.

use ootheca_api::operations::{Operation, TABLE};
use ootheca_model::{Role, identity::Requirement};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Deliberate differences: the official page allows cluster administrators to read the audit log.
const ALSO: &[(&str, Role)] = &[("ListAuditLogs", Role::ClusterAdmin)];

/// The roles in a description and the letters of their scopes; `None` if it lists none.
fn listed(description: &str) -> Option<(BTreeSet<String>, String)> {
    let (_, rest) = description.split_once("following roles assigned at the ")?;
    let (scopes, list) = rest.split_once(':')?;
    let words = [("organization", 'O'), ("folder", 'F'), ("cluster", 'C')];
    let letters = words.iter().filter(|(word, _)| scopes.contains(word)).map(|(_, letter)| letter).collect();
    let roles = list.lines().filter_map(|line| line.trim().strip_prefix("- ")).map(str::to_owned).collect();
    Some((roles, letters))
}

fn ours(row: &Operation) -> Option<(BTreeSet<String>, String)> {
    let Requirement::Roles(roles) = row.requirement else { return None };
    let also = |role: &Role| ALSO.contains(&(row.name, *role));
    let roles = roles.iter().filter(|role| !also(role)).map(|role| role.name().to_owned()).collect();
    Some((roles, row.scope.letters().to_owned()))
}

#[test]
fn roles_are_those_of_the_newest_description() {
    let Some(folder) = std::env::var_os("OOTHECA_CONTRACT") else {
        println!("skipped: OOTHECA_CONTRACT names no folder with the descriptions");
        return;
    };
    let path = PathBuf::from(folder).join("versions/openapi-2026-09-15.derived.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let mut gaps = Vec::new();
    let official = TABLE.iter().filter(|row| !row.is_extension());
    for row in official.clone() {
        let method = row.method.name().to_lowercase();
        let operation = &document["paths"][row.path][&method];
        let description = operation["description"].as_str().unwrap_or_default();
        let theirs = match row.requirement {
            // Every member of the organization holds ORG_MEMBER.
            Requirement::Member => listed(description).filter(|(roles, _)| !roles.contains("ORG_MEMBER")),
            _ => listed(description),
        };
        if operation.is_null() || ours(row) != theirs {
            gaps.push(format!("{}: ours {:?}, theirs {theirs:?}", row.name, ours(row)));
        }
    }
    assert!(gaps.is_empty(), "{}", gaps.join("\n"));
    println!("contract: the roles and scopes of {} operations agree", official.count());
}
