//! All nouns other than `cluster`: output, changes, and confirmation.

use super::Cli;
use crate::support::{PASSWORD, id, in_days, simulated};
use ootheca_testkit::Ootheca;
use serde_json::json;

fn server_with_cluster() -> (Ootheca, Cli) {
    let server = simulated();
    let cli = Cli::beside(&server);
    server.create_cluster("blue-dog", "BASIC");
    (server, cli)
}

#[test]
fn sql_users_are_created_listed_updated_and_deleted() {
    let (server, cli) = server_with_cluster();
    let created = cli.run_with(PASSWORD, &["user", "create", "blue-dog", "maria"]);
    assert_eq!(created.ok(), " name: maria\n");
    assert!(!created.err.contains(PASSWORD), "{created:?}");
    let created = cli.run(&["cluster", "user", "create", "blue-dog", "ada", "--generate", "--json"]).json();
    assert!(created["password"].as_str().is_some_and(|password| password.len() >= 20), "{created}");
    assert_eq!(cli.run(&["user", "list", "blue-dog", "--output", "name"]).ok(), "ada\nmaria\n");
    cli.run_with("another good one", &["user", "update-password", "blue-dog", "maria"]).ok();
    let without = cli.run(&["user", "create", "blue-dog", "grace"]);
    assert!(without.fails(2).contains("password"), "{without:?}");
    let unconfirmed = cli.run(&["user", "delete", "blue-dog", "ada"]);
    assert!(unconfirmed.fails(2).contains("--yes"), "{unconfirmed:?}");
    cli.run(&["user", "rm", "blue-dog", "ada", "-y"]).ok();
    let users = cli.run(&["user", "list", "blue-dog", "--json"]).json();
    let cluster = id(&server.get("/clusters").ok()["clusters"][0]);
    assert_eq!(&users, server.get(&format!("/clusters/{cluster}/sql-users")).ok());
    assert_eq!(users["users"], json!([{ "name": "maria" }]));
}

#[test]
fn databases_are_created_listed_renamed_and_deleted() {
    let (_server, cli) = server_with_cluster();
    cli.run(&["database", "create", "blue-dog", "shop"]).ok();
    cli.run(&["cluster", "database", "rename", "blue-dog", "shop", "store"]).ok();
    assert_eq!(cli.run(&["database", "ls", "blue-dog", "--output", "name"]).ok(), "defaultdb\nstore\n");
    assert!(cli.run(&["database", "delete", "blue-dog", "store"]).fails(2).contains("all its data"));
    cli.run(&["database", "delete", "blue-dog", "store", "--yes"]).ok();
    let missing = cli.run(&["database", "delete", "blue-dog", "store", "--yes"]);
    assert!(missing.fails(3).contains("trace ID: "), "{missing:?}");
}

#[test]
fn allowlist_entries_are_created_listed_updated_and_deleted() {
    let (_server, cli) = server_with_cluster();
    let created = cli.run(&["allowlist", "create", "blue-dog", "203.0.113.7", "--name", "office"]);
    assert_eq!(created.ok(), " network: 203.0.113.7/32\n name:    office\n sql:     yes\n ui:      no\n");
    let words = ["cluster", "networking", "allowlist", "create", "blue-dog", "current", "--json"];
    let current = cli.run(&words).json();
    assert_eq!((&current["cidr_ip"], &current["cidr_mask"]), (&json!("127.0.0.1"), &json!(32)));
    cli.run(&["allowlist", "update", "blue-dog", "203.0.113.7/32", "--ui", "--sql=false"]).ok();
    let listed = cli.run(&["allowlist", "list", "blue-dog", "--output", "csv"]);
    let expected =
        "NETWORK,NAME,SQL,UI\n0.0.0.0/0,,yes,no\n127.0.0.1/32,,yes,no\n203.0.113.7/32,office,no,yes\n";
    assert_eq!(listed.ok(), expected);
    cli.run(&["allowlist", "delete", "blue-dog", "public", "-y"]).ok();
    let missing = cli.run(&["allowlist", "update", "blue-dog", "public"]);
    assert!(missing.fails(3).contains("0.0.0.0/0"), "{missing:?}");
    cli.run(&["allowlist", "create", "blue-dog", "203.0.113.0/33"]).fails(2);
}

#[test]
fn the_backup_configuration_is_shown_and_changed() {
    let (server, cli) = server_with_cluster();
    let cluster = id(&server.create_cluster("red-fox", "STANDARD"));
    let path = format!("/clusters/{cluster}/backups-config");
    let shown = cli.run(&["backup", "config", "show", "red-fox"]);
    let expected = " enabled:             yes\n frequency (minutes): 60\n retention (days):    30\n";
    assert_eq!(shown.ok(), expected);
    assert_eq!(shown.err, "");
    let set = |words: &[&str]| cli.run(&[&["backup", "config", "set"][..], words].concat());
    let changed = set(&["red-fox", "--frequency", "15", "--retention", "7", "--json"]);
    assert_eq!(changed.json(), json!({ "enabled": true, "frequency_minutes": 15, "retention_days": 7 }));
    assert_eq!(changed.err, "", "JSON has no messages beside it");
    let disabled = set(&["red-fox", "--enabled=false", "--output", "csv"]);
    assert_eq!(disabled.ok(), "ENABLED,FREQUENCY (MINUTES),RETENTION (DAYS)\nno,15,7\n");
    set(&["red-fox", "--enabled"]).ok();
    let same = cli.run(&["cluster", "backup", "config", "get", "red-fox", "--json"]).json();
    assert_eq!(&same, server.get(&path).ok());
    assert_eq!(same["enabled"], true);
    assert!(set(&["red-fox"]).fails(2).contains("no changes specified"));
    assert!(set(&["red-fox", "--frequency", "120"]).fails(1).contains("must be one of 5, 10, 15"));
    assert!(set(&["red-fox", "--retention", "30"]).fails(1).contains("already has a retention policy"));
    assert!(set(&["blue-dog", "--retention", "7"]).fails(1).contains("BASIC"));
    cli.run(&["backup", "config", "show", "green-cat"]).fails(3);
    let help = cli.run(&["backup", "config", "set", "--help"]);
    for text in ["5, 10, 15, 30, 60, 240, 1440", "2, 7, 30, 90, 365"] {
        assert!(help.ok().contains(text), "{text}: {help:?}");
    }
}

#[test]
fn maintenance_windows_and_deferrals_are_recorded() {
    let (server, cli) = server_with_cluster();
    let path = format!("/clusters/{}", id(&server.create_cluster("red-fox", "ADVANCED")));
    let window = |words: &[&str]| cli.run(&[&["maintenance", "window"][..], words].concat());
    let set = window(&["set", "red-fox", "--offset", "50h", "--duration", "6h"]);
    let expected = " starts:   Wednesday 02:00:00 UTC\n offset:   180000s\n duration: 21600s\n";
    assert_eq!(set.ok(), expected);
    assert!(set.err.contains("patches are not applied yet"), "{set:?}");
    let shown = cli.run(&["cluster", "maintenance", "get", "red-fox", "--json"]);
    assert_eq!(shown.err, "", "JSON has no messages beside it");
    assert_eq!(&shown.json(), server.get(&format!("{path}/maintenance-window")).ok());
    assert!(window(&["delete", "red-fox"]).fails(2).contains("--yes"));
    window(&["rm", "red-fox", "-y"]).ok();
    assert!(window(&["show", "red-fox"]).fails(3).contains("maintenance window does not exist"));
    let zero = window(&["set", "red-fox", "--offset", "0s", "--duration", "5h"]);
    assert!(zero.fails(1).contains("window_duration: must be"), "{zero:?}");
    let unknown = window(&["set", "red-fox", "--offset", "monday", "--duration", "6h"]);
    assert!(unknown.fails(2).contains("such as 48h"), "{unknown:?}");
    let basic = window(&["set", "blue-dog", "--offset", "0s", "--duration", "6h"]);
    assert!(basic.fails(1).contains("supported for advanced clusters only"), "{basic:?}");

    let deferral = |words: &[&str]| cli.run(&[&["maintenance", "deferral"][..], words].concat());
    assert_eq!(deferral(&["show", "blue-dog"]).ok(), " policy: NOT_DEFERRED\n");
    let set = deferral(&["set", "red-fox", "--policy", "DEFERRAL_30_DAYS"]);
    assert_eq!(set.ok(), " policy: DEFERRAL_30_DAYS\n");
    let shown = cli.run(&["cluster", "version-deferral", "get", "red-fox", "--json"]).json();
    assert_eq!(&shown, server.get(&format!("{path}/version-deferral")).ok());
    assert!(deferral(&["set", "red-fox", "--policy", "NEVER"]).fails(2).contains("DEFERRAL_90_DAYS"));
}

#[test]
fn blackout_windows_are_created_listed_updated_and_deleted() {
    let (server, cli) = server_with_cluster();
    let path = format!("/clusters/{}/blackout-windows", id(&server.create_cluster("red-fox", "ADVANCED")));
    let run = |words: &[&str]| cli.run(&[&["maintenance", "blackout"][..], words].concat());
    let (start, end, later) = (in_days(8), in_days(9), in_days(10));
    let created = run(&["create", "red-fox", "--start", &start, "--end", &end, "--json"]);
    assert_eq!(created.err, "", "JSON has no messages beside it");
    let window = id(&created.json());
    assert_eq!(&created.json(), server.get(&format!("{path}/{window}")).ok());
    let listed = run(&["list", "red-fox", "--output", "csv"]);
    let shown = |time: &str| time.replace('T', " ");
    assert_eq!(listed.ok(), format!("ID,START,END\n{window},{},{}\n", shown(&start), shown(&end)));
    assert!(listed.err.contains("nothing is scheduled yet"), "{listed:?}");
    run(&["update", "red-fox", &window, "--end", &later]).ok();
    let same = cli.run(&["cluster", "blackout-window", "ls", "red-fox", "--json"]).json();
    assert_eq!(&same, server.get(&path).ok());
    assert_eq!(same["blackout_windows"][0]["end_time"], later.replace('Z', ".000000Z"));
    assert!(run(&["update", "red-fox", &window]).fails(2).contains("no changes specified"));
    let soon = run(&["update", "red-fox", &window, "--start", &in_days(1)]);
    assert!(soon.fails(1).contains("start_time: must be at least 7 days from now"), "{soon:?}");
    assert!(run(&["delete", "red-fox", &window]).fails(2).contains("--yes"));
    run(&["delete", "red-fox", &window, "-y"]).ok();
    run(&["delete", "red-fox", &window, "-y"]).fails(3);
    let basic = run(&["create", "blue-dog", "--start", &start, "--end", &end]);
    assert!(basic.fails(1).contains("supported for advanced clusters only"), "{basic:?}");
}

#[test]
fn folders_are_created_moved_updated_and_deleted() {
    let (server, cli) = server_with_cluster();
    cli.run(&["folder", "create", "outer", "--label", "team=data"]).ok();
    let without_value = cli.run(&["folder", "create", "other", "--label", "team"]);
    assert!(without_value.fails(2).contains("KEY=VALUE"), "{without_value:?}");
    let same_rule = cli.run(&["cluster", "update", "blue-dog", "--label", "team"]);
    assert!(same_rule.fails(2).contains("KEY=VALUE"), "{same_rule:?}");
    cli.run(&["folder", "create", "inner", "--parent", "outer"]).ok();
    cli.run(&["folder", "move", "blue-dog", "inner", "--cluster"]).ok();
    assert_eq!(cli.run(&["folder", "contents", "inner", "--output", "name"]).ok(), "blue-dog\n");
    assert_eq!(cli.run(&["folder", "contents", "root", "--output", "name"]).ok(), "outer\n");
    let shown = cli.run(&["folder", "get", "inner"]);
    assert!(shown.ok().contains(" path:   /outer/inner\n"), "{shown:?}");
    cli.run(&["folder", "move", "inner", "root"]).ok();
    cli.run(&["folder", "update", "inner", "--name", "inside", "--label", "a=b"]).ok();
    let folders = cli.run(&["folder", "list", "--json"]).json();
    assert_eq!(&folders, server.get("/folders").ok());
    assert_eq!(folders["folders"][0]["labels"], json!({ "a": "b" }));
    assert!(cli.run(&["folder", "delete", "inside", "-y"]).fails(1).contains("folder is not empty"));
    cli.run(&["folder", "move", "blue-dog", "root", "--cluster"]).ok();
    cli.run(&["folder", "delete", "inside", "-y"]).ok();
}

#[test]
fn service_accounts_have_keys_and_roles() {
    let (server, cli) = server_with_cluster();
    let created = cli.run(&["service-account", "create", "deploy", "--role", "cluster-developer"]);
    assert!(created.ok().contains(" roles:       ORG_MEMBER, CLUSTER_DEVELOPER\n"), "{created:?}");
    cli.run(&["service-account", "update", "deploy", "--description", "from CI"]).ok();
    let account = cli.run(&["service-account", "get", "deploy", "--json"]).json();
    assert_eq!(account["description"], "from CI");

    let names = |filters: &[&str]| {
        let list = ["service-account", "list", "--output", "name"];
        cli.run(&[&list, filters].concat()).ok().to_owned()
    };
    assert_eq!(names(&["--name", "DEP"]), "deploy\n");
    assert_eq!(names(&["--role", "auditor", "--role", "CLUSTER_DEVELOPER"]), "deploy\n");
    assert_eq!(names(&["--role", "auditor"]), "");
    let words = ["api", "ListServiceAccounts", "--service-account-name", "dep"];
    let listed =
        cli.run(&[&words[..], &["--roles", "AUDITOR", "--roles", "CLUSTER_DEVELOPER"]].concat()).json();
    assert_eq!(listed["service_accounts"][0]["name"], "deploy", "{listed}");

    let key = cli.run(&["api-key", "create", "ci", "--service-account", "deploy", "--json"]).json();
    let secret = key["secret"].as_str().expect("a secret");
    let theirs = Cli::new()
        .with("OOTHECA_SERVER", &format!("http://{}", server.client().address()))
        .with("OOTHECA_API_KEY", secret);
    assert_eq!(theirs.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
    assert!(theirs.run(&["user", "delete", "blue-dog", "x", "-y"]).fails(4).contains("hint: "));

    cli.run(&["role", "grant", "deploy", "cluster-admin", "--cluster", "blue-dog"]).ok();
    let held = cli.run(&["role", "get", "deploy", "--output", "csv"]);
    let cluster = id(&server.get("/clusters").ok()["clusters"][0]);
    assert!(held.ok().contains(&format!("CLUSTER_ADMIN,cluster {cluster},direct")), "{held:?}");
    assert!(cli.run(&["role", "list"]).ok().contains("deploy  "));
    let unconfirmed = cli.run(&["role", "revoke", "deploy", "CLUSTER_ADMIN", "--cluster", "blue-dog"]);
    assert!(unconfirmed.fails(2).contains("--yes"), "{unconfirmed:?}");
    cli.run(&["role", "revoke", "deploy", "CLUSTER_ADMIN", "--cluster", "blue-dog", "-y"]).ok();
    let held = cli.run(&["role", "get", "deploy", "--json"]).json();
    assert_eq!(held["roles"].as_array().map(Vec::len), Some(2), "{held}");
    assert!(cli.run(&["role", "grant", "deploy", "king"]).fails(2).contains("CLUSTER_ADMIN"));

    assert!(cli.run(&["service-account", "api-key", "list"]).ok().contains("ci  "));
    cli.run(&["api-key", "delete", "ci", "-y"]).ok();
    assert!(theirs.run(&["cluster", "list"]).fails(4).contains("trace ID: "));
    cli.run(&["service-account", "delete", "deploy", "-y"]).ok();
    assert!(cli.run(&["service-account", "get", "deploy"]).fails(3).contains("deploy"));
}

#[test]
fn organization_regions_people_and_jwt_issuers() {
    let (server, cli) = server_with_cluster();
    assert_eq!(&cli.run(&["org", "get", "--json"]).json(), server.get("/organization").ok());
    let regions = cli.run(&["regions", "--cloud", "aws", "--serverless", "--output", "csv"]);
    assert!(
        regions.ok().lines().skip(1).all(|line| line.contains(",AWS,") && line.ends_with(",yes")),
        "{regions:?}"
    );
    cli.run(&["person", "get", "nobody@example.com"]).fails(3);
    let words = ["jwt-issuer", "create", "--issuer-url", "https://issuer.example.com", "--audience", "me"];
    let issuer = cli.run(&[&words[..], &["--identity", "a=b@example.com", "--json"]].concat()).json();
    cli.run(&["jwt-issuer", "update", &id(&issuer), "--claim", "email"]).ok();
    assert!(cli.run(&["jwt-issuer", "list"]).ok().contains("a=b@example.com"));
    cli.run(&["jwt-issuer", "delete", &id(&issuer), "-y"]).ok();
    assert_eq!(cli.run(&["jwt-issuer", "list"]).err, "No results\n");
}
