//! Every row, called with every role at every scope where it can be held: the server behaves as
//! `expected/roles.txt` lists.

use crate::{
    folders::folder,
    support::{self, id, simulated, some_value},
};
use ootheca_api::operations::{Operation, Scope, TABLE};
use ootheca_model::{Role, identity::Requirement};
use ootheca_testkit::{Answer, Client, Ootheca};
use serde_json::json;

/// A cluster in two nested folders. There are two such places.
struct Place {
    outer: String,
    inner: String,
    cluster: String,
}

impl Place {
    fn new(server: &Ootheca, name: &str) -> Self {
        let outer = folder(server, &format!("outer {name}"), "root");
        let inner = folder(server, &format!("inner {name}"), &outer);
        let cluster = id(&server.create_cluster(&format!("cluster-{name}"), "BASIC"));
        let path = format!("/clusters/{cluster}");
        server.patch(&path, json!({ "parent_id": inner })).ok();
        // A caller that is allowed to delete the cluster gets the error that it is protected, and it is not
        // deleted.
        server.patch(&path, json!({ "delete_protection": "ENABLED" })).ok();
        Self { outer, inner, cluster }
    }

    /// A key that holds `role` at one scope: on the outer folder, so that it is inherited.
    fn key(&self, server: &Ootheca, role: Role, scope: char) -> Client {
        let grant = match scope {
            'O' => role.name().to_owned(),
            'F' => format!("{role}@FOLDER/{}", self.outer),
            _ => format!("{role}@CLUSTER/{}", self.cluster),
        };
        server.with_key(&server.new_key(&[&grant]))
    }

    fn call(&self, client: &Client, row: &Operation) -> Answer {
        let path = support::path(row, |name| match name {
            "cluster_id" | "destination_cluster_id" => self.cluster.clone(),
            "folder_id" => self.inner.clone(),
            _ => some_value(name),
        });
        // A stream would not end.
        let path = if row.streams { path + "?cursor=none" } else { path };
        let request = client.raw(row.method.name(), &path);
        // With an invalid body, an authorized caller gets an error, and nothing changes.
        if row.has_body { request.data("no body").send() } else { request.send() }
    }
}

/// The expected result of a call.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The call is authorized, whatever the handler returns.
    Open,
    /// 403.
    Denied,
    /// 404: the caller has no access to the target, not even to its existence.
    Hidden,
}

fn outcome(answer: &Answer) -> Outcome {
    let message = answer.body["message"].as_str().unwrap_or_default();
    match answer.status {
        401 | 403 => Outcome::Denied,
        404 if ["cluster does not exist", "folder does not exist"].contains(&message) => Outcome::Hidden,
        _ => Outcome::Open,
    }
}

/// The result according to the matrix. `here` is whether the role is held on the target of the call or above
/// it.
fn expected(row: &Operation, role: Role, scope: char, here: bool) -> Outcome {
    let named = match row.requirement {
        // A key is not a session.
        Requirement::Member if row.scope == Scope::Session => return Outcome::Denied,
        Requirement::Public | Requirement::Member => return Outcome::Open,
        Requirement::Grantor => row.opened_by(role) != "-",
        Requirement::Roles(roles) => roles.contains(&role),
    };
    let one = matches!(row.scope, Scope::Cluster(_) | Scope::Folder(_));
    let hidden = match row.name {
        // Its scope is what it shows, and the folder that it lists must be part of that.
        "ListFolderContents" => named && !here,
        _ => named && one,
    };
    let reached = if one { here } else { !hidden };
    if reached && row.opened_by(role).contains(scope) {
        Outcome::Open
    } else if hidden {
        Outcome::Hidden
    } else {
        Outcome::Denied
    }
}

#[test]
fn every_role_at_every_scope_matches_the_role_matrix() {
    let server = simulated();
    let (here, elsewhere) = (Place::new(&server, "here"), Place::new(&server, "elsewhere"));
    let mut checks = 0;
    let mut failures = Vec::new();
    for role in Role::ALL.iter().copied() {
        for scope in role.scopes().chars() {
            for (place, near) in [(&here, true), (&elsewhere, false)] {
                if scope == 'O' && !near {
                    continue;
                }
                let client = place.key(&server, role, scope);
                for row in &TABLE {
                    let answer = here.call(&client, row);
                    let wanted = expected(row, role, scope, near);
                    if outcome(&answer) != wanted {
                        failures.push(format!("{role} at {scope}, near {near}: wanted {wanted:?}: {answer}"));
                    }
                    checks += 1;
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {checks}:\n{}", failures.len(), failures.join("\n"));
    println!("pipeline: {} rows, {checks} checks of roles and scopes", TABLE.len());
}
