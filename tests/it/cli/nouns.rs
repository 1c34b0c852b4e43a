//! The nouns beside `cluster`: what they print, what they change, and what they ask first.

use super::Person;
use crate::support::{PASSWORD, id, simulated};
use ootheca_testkit::Ootheca;
use serde_json::json;

fn town() -> (Ootheca, Person) {
    let server = simulated();
    let person = Person::beside(&server);
    server.create_cluster("blue-dog", "BASIC");
    (server, person)
}

#[test]
fn sql_users() {
    let (server, person) = town();
    let made = person.run_with(PASSWORD, &["user", "create", "blue-dog", "maria"]);
    assert_eq!(made.ok(), " name: maria\n");
    assert!(!made.err.contains(PASSWORD), "{made:?}");
    let made = person.run(&["cluster", "user", "create", "blue-dog", "ada", "--generate", "--json"]).json();
    assert!(made["password"].as_str().is_some_and(|password| password.len() >= 20), "{made}");
    assert_eq!(person.run(&["user", "list", "blue-dog", "--output", "name"]).ok(), "ada\nmaria\n");
    person.run_with("another good one", &["user", "update-password", "blue-dog", "maria"]).ok();
    let without = person.run(&["user", "create", "blue-dog", "nobody"]);
    assert!(without.fails(2).contains("password"), "{without:?}");
    let unasked = person.run(&["user", "delete", "blue-dog", "ada"]);
    assert!(unasked.fails(2).contains("--yes"), "{unasked:?}");
    person.run(&["user", "rm", "blue-dog", "ada", "-y"]).ok();
    let users = person.run(&["user", "list", "blue-dog", "--json"]).json();
    let cluster = id(&server.get("/clusters").ok()["clusters"][0]);
    assert_eq!(&users, server.get(&format!("/clusters/{cluster}/sql-users")).ok());
    assert_eq!(users["users"], json!([{ "name": "maria" }]));
}

#[test]
fn databases() {
    let (_server, person) = town();
    person.run(&["database", "create", "blue-dog", "shop"]).ok();
    person.run(&["cluster", "database", "rename", "blue-dog", "shop", "store"]).ok();
    assert_eq!(person.run(&["database", "ls", "blue-dog", "--output", "name"]).ok(), "defaultdb\nstore\n");
    assert!(person.run(&["database", "delete", "blue-dog", "store"]).fails(2).contains("all its data"));
    person.run(&["database", "delete", "blue-dog", "store", "--yes"]).ok();
    let missing = person.run(&["database", "delete", "blue-dog", "store", "--yes"]);
    assert!(missing.fails(3).contains("trace id: "), "{missing:?}");
}

#[test]
fn allowlists() {
    let (_server, person) = town();
    let made = person.run(&["allowlist", "create", "blue-dog", "203.0.113.7", "--name", "office"]);
    assert_eq!(made.ok(), " network: 203.0.113.7/32\n name:    office\n sql:     yes\n ui:      no\n");
    let words = ["cluster", "networking", "allowlist", "create", "blue-dog", "current", "--json"];
    let current = person.run(&words).json();
    assert_eq!((&current["cidr_ip"], &current["cidr_mask"]), (&json!("127.0.0.1"), &json!(32)));
    person.run(&["allowlist", "update", "blue-dog", "203.0.113.7/32", "--ui", "--sql=false"]).ok();
    let listed = person.run(&["allowlist", "list", "blue-dog", "--output", "csv"]);
    let expected =
        "NETWORK,NAME,SQL,UI\n0.0.0.0/0,,yes,no\n127.0.0.1/32,,yes,no\n203.0.113.7/32,office,no,yes\n";
    assert_eq!(listed.ok(), expected);
    person.run(&["allowlist", "delete", "blue-dog", "public", "-y"]).ok();
    let missing = person.run(&["allowlist", "update", "blue-dog", "public"]);
    assert!(missing.fails(3).contains("0.0.0.0/0"), "{missing:?}");
    person.run(&["allowlist", "create", "blue-dog", "203.0.113.0/33"]).fails(2);
}

#[test]
fn folders() {
    let (server, person) = town();
    person.run(&["folder", "create", "outer", "--label", "team=data"]).ok();
    person.run(&["folder", "create", "inner", "--parent", "outer"]).ok();
    person.run(&["folder", "move", "blue-dog", "inner", "--cluster"]).ok();
    assert_eq!(person.run(&["folder", "contents", "inner", "--output", "name"]).ok(), "blue-dog\n");
    assert_eq!(person.run(&["folder", "contents", "root", "--output", "name"]).ok(), "outer\n");
    let shown = person.run(&["folder", "get", "inner"]);
    assert!(shown.ok().contains(" path:   /outer/inner\n"), "{shown:?}");
    person.run(&["folder", "move", "inner", "root"]).ok();
    person.run(&["folder", "update", "inner", "--name", "inside", "--label", "a=b"]).ok();
    let folders = person.run(&["folder", "list", "--json"]).json();
    assert_eq!(&folders, server.get("/folders").ok());
    assert_eq!(folders["folders"][0]["labels"], json!({ "a": "b" }));
    assert!(person.run(&["folder", "delete", "inside", "-y"]).fails(1).contains("holds"));
    person.run(&["folder", "move", "blue-dog", "root", "--cluster"]).ok();
    person.run(&["folder", "delete", "inside", "-y"]).ok();
}

#[test]
fn service_accounts_keys_and_roles() {
    let (server, person) = town();
    let made = person.run(&["service-account", "create", "deploy", "--role", "cluster-developer"]);
    assert!(made.ok().contains(" roles:       ORG_MEMBER, CLUSTER_DEVELOPER\n"), "{made:?}");
    person.run(&["service-account", "update", "deploy", "--description", "from CI"]).ok();
    let account = person.run(&["service-account", "get", "deploy", "--json"]).json();
    assert_eq!(account["description"], "from CI");

    let names = |filters: &[&str]| {
        let list = ["service-account", "list", "--output", "name"];
        person.run(&[&list, filters].concat()).ok().to_owned()
    };
    assert_eq!(names(&["--name", "DEP"]), "deploy\n");
    assert_eq!(names(&["--role", "auditor", "--role", "CLUSTER_DEVELOPER"]), "deploy\n");
    assert_eq!(names(&["--role", "auditor"]), "");
    let words = ["api", "ListServiceAccounts", "--service-account-name", "dep"];
    let listed =
        person.run(&[&words[..], &["--roles", "AUDITOR", "--roles", "CLUSTER_DEVELOPER"]].concat()).json();
    assert_eq!(listed["service_accounts"][0]["name"], "deploy", "{listed}");

    let key = person.run(&["api-key", "create", "ci", "--service-account", "deploy", "--json"]).json();
    let secret = key["secret"].as_str().expect("a secret");
    let theirs = Person::new()
        .with("OOTHECA_SERVER", &format!("http://{}", server.client().address()))
        .with("OOTHECA_API_KEY", secret);
    assert_eq!(theirs.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
    assert!(theirs.run(&["user", "delete", "blue-dog", "x", "-y"]).fails(4).contains("hint: "));

    person.run(&["role", "grant", "deploy", "cluster-admin", "--cluster", "blue-dog"]).ok();
    let held = person.run(&["role", "get", "deploy", "--output", "csv"]);
    let cluster = id(&server.get("/clusters").ok()["clusters"][0]);
    assert!(held.ok().contains(&format!("CLUSTER_ADMIN,cluster {cluster},")), "{held:?}");
    assert!(person.run(&["role", "list"]).ok().contains("deploy  "));
    let unasked = person.run(&["role", "revoke", "deploy", "CLUSTER_ADMIN", "--cluster", "blue-dog"]);
    assert!(unasked.fails(2).contains("--yes"), "{unasked:?}");
    person.run(&["role", "revoke", "deploy", "CLUSTER_ADMIN", "--cluster", "blue-dog", "-y"]).ok();
    let held = person.run(&["role", "get", "deploy", "--json"]).json();
    assert_eq!(held["roles"].as_array().map(Vec::len), Some(2), "{held}");
    assert!(person.run(&["role", "grant", "deploy", "king"]).fails(2).contains("CLUSTER_ADMIN"));

    assert!(person.run(&["service-account", "api-key", "list"]).ok().contains("ci  "));
    person.run(&["api-key", "delete", "ci", "-y"]).ok();
    assert!(theirs.run(&["cluster", "list"]).fails(4).contains("trace id: "));
    person.run(&["service-account", "delete", "deploy", "-y"]).ok();
    assert!(person.run(&["service-account", "get", "deploy"]).fails(3).contains("deploy"));
}

#[test]
fn what_there_is_once() {
    let (server, person) = town();
    assert_eq!(&person.run(&["org", "get", "--json"]).json(), server.get("/organization").ok());
    let regions = person.run(&["regions", "--cloud", "aws", "--serverless", "--output", "csv"]);
    assert!(
        regions.ok().lines().skip(1).all(|line| line.contains(",AWS,") && line.ends_with(",yes")),
        "{regions:?}"
    );
    person.run(&["person", "get", "nobody@example.com"]).fails(3);
    let words = ["jwt-issuer", "create", "--issuer-url", "https://issuer.example.com", "--audience", "me"];
    let issuer = person.run(&[&words[..], &["--identity", "a=b@example.com", "--json"]].concat()).json();
    person.run(&["jwt-issuer", "update", &id(&issuer), "--claim", "email"]).ok();
    assert!(person.run(&["jwt-issuer", "list"]).ok().contains("a=b@example.com"));
    person.run(&["jwt-issuer", "delete", &id(&issuer), "-y"]).ok();
    assert_eq!(person.run(&["jwt-issuer", "list"]).err, "nothing to show\n");
}
