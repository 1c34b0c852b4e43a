//! `ootheca cluster …`

use super::Cli;
use crate::support::{PASSWORD, audit_log, real, simulated, sql_user};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn a_cluster_is_created_shown_updated_and_deleted() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let created = cli.run(&["cluster", "create", "basic", "blue-dog", "us-east-1", "--label", "team=data"]);
    assert!(created.ok().starts_with(" name:    blue-dog\n"), "{created:?}");
    assert!(
        created.out.contains(" plan:    BASIC\n") && created.out.contains(" cloud:   AWS\n"),
        "{created:?}"
    );
    assert!(created.err.contains("∙∙∙ creating cluster blue-dog…"), "{created:?}");
    assert!(created.err.contains("Success! Created cluster blue-dog"), "{created:?}");
    assert!(
        created.err.contains("Next: open a SQL shell with `ootheca cluster sql blue-dog`"),
        "{created:?}"
    );

    let listed = cli.run(&["cluster", "list"]);
    let mut lines = listed.ok().lines();
    let header: Vec<&str> =
        lines.next().expect("a header").split("  ").filter(|cell| !cell.is_empty()).collect();
    assert_eq!(header.first().map(|cell| cell.trim()), Some("NAME"));
    assert!(lines.next().expect("a row").starts_with("blue-dog  "));
    assert_eq!(lines.next(), None);
    assert_eq!(listed.err, "");

    let words = ["cluster", "update", "blue-dog", "--request-unit-limit", "1000", "--label", "tier=gold"];
    cli.run(&words).ok();
    let words = ["cluster", "update", "blue-dog", "--storage-mib-limit", "50", "--remove-label", "team"];
    cli.run(&words).ok();
    let shown = cli.run(&["cluster", "info", "blue-dog", "--json"]).json();
    assert_eq!(shown["labels"], serde_json::json!({ "tier": "gold" }));
    let limits = &shown["config"]["serverless"]["usage_limits"];
    assert_eq!(limits, &serde_json::json!({ "request_unit_limit": "1000", "storage_mib_limit": "50" }));

    let id = shown["id"].as_str().expect("an id");
    let by_id = cli.run(&["cluster", "info", id]);
    assert!(by_id.ok().contains(" labels:            tier=gold\n"), "{by_id:?}");
    cli.run(&["cluster", "update", id, "--delete-protection", "on"]).ok();
    let refused = cli.run(&["cluster", "delete", "blue-dog", "--yes"]);
    assert!(refused.fails(1).contains("--delete-protection off"), "{refused:?}");
    cli.run(&["cluster", "update", id, "--delete-protection", "off"]).ok();
    let unconfirmed = cli.run(&["cluster", "delete", "blue-dog"]);
    assert!(unconfirmed.fails(2).contains("--yes"), "{unconfirmed:?}");
    assert_eq!(cli.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
    cli.run(&["cluster", "delete", "blue-dog", "--yes"]).ok();
    let empty = cli.run(&["cluster", "list"]);
    assert_eq!((empty.ok(), empty.err.as_str()), ("", "No results\n"));
    let all = cli.run(&["cluster", "list", "--all", "--output", "name"]);
    assert_eq!(all.ok(), "blue-dog\n");
    let sources: Vec<_> = audit_log(server.client()).iter().map(|entry| entry["source"].clone()).collect();
    assert!(sources.iter().filter(|source| *source == "AUDIT_LOG_SOURCE_CLI").count() >= 5, "{sources:?}");
}

#[test]
fn a_cluster_without_a_name_gets_a_generated_one() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let cluster = cli.run(&["cluster", "create", "serverless", "--json"]).json();
    let name = cluster["name"].as_str().expect("a name");
    assert!(name.contains('-'), "{name}");
    assert_eq!(cluster["plan"], "BASIC");
    let standard =
        cli.run(&["cluster", "create", "standard", "--vcpus", "4", "--cloud", "aws", "--json"]).json();
    assert_eq!(standard["cloud_provider"], "AWS");
    assert_eq!(standard["config"]["serverless"]["usage_limits"]["provisioned_virtual_cpus"], "4");
    let advanced = cli.run(&["cluster", "create", "dedicated", "big-bear", "us-east1:1", "--json"]).json();
    assert_eq!(advanced["config"]["dedicated"]["num_virtual_cpus"], 4);
}

#[test]
fn json_output_is_the_response_of_the_api() {
    let server = simulated();
    let cli = Cli::beside(&server);
    cli.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    cli.run(&["cluster", "create", "basic", "red-fox"]).ok();
    let listed = cli.run(&["cluster", "ls", "--json"]).json();
    assert_eq!(&listed, server.get("/clusters").ok());
    let id = listed["clusters"][0]["id"].as_str().expect("an id").to_owned();
    let same = [
        (vec!["cluster", "nodes", "blue-dog"], format!("/clusters/{id}/nodes")),
        (vec!["cluster", "versions"], "/cluster-versions".to_owned()),
        (vec!["cluster", "info", "blue-dog"], format!("/clusters/{id}")),
        (
            vec!["cluster", "connection-string", "blue-dog", "--user", "maria", "--os", "mac"],
            format!("/clusters/{id}/connection-string?sql_user=maria&os=MAC"),
        ),
    ];
    for (words, path) in same {
        let words: Vec<&str> = words.into_iter().chain(["--json"]).collect();
        assert_eq!(&cli.run(&words).json(), server.get(&path).ok(), "{words:?}");
    }
    let csv = cli.run(&["cluster", "versions", "--output", "csv"]);
    assert!(csv.ok().starts_with("VERSION,RELEASE TYPE,SUPPORT STATUS,SUPPORT END,ALLOWED UPGRADES\n"));
    let string = cli.run(&["cluster", "connection-string", "blue-dog", "--user", "maria"]);
    assert!(string.ok().starts_with("postgresql://maria@") && string.out.lines().count() == 1, "{string:?}");
}

#[test]
fn a_list_contains_all_pages() {
    let server = simulated();
    let names: Vec<String> = (0..7).map(|number| format!("cluster-{number}")).collect();
    let cli = Cli::beside(&server);
    for name in &names {
        let spec = serde_json::json!({ "plan": "BASIC", "serverless": { "regions": ["us-central1"] } });
        server.post("/clusters", serde_json::json!({ "name": name, "provider": "GCP", "spec": spec })).ok();
    }
    let listed = cli.run(&["cluster", "list", "--output", "name"]);
    let mut found: Vec<&str> = listed.ok().lines().collect();
    found.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn clusters_are_created_in_and_moved_between_folders() {
    let server = simulated();
    let cli = Cli::beside(&server);
    let folder = server.post("/folders", serde_json::json!({ "name": "shop" }));
    folder.ok();
    let created = cli.run(&["cluster", "create", "basic", "blue-dog", "--folder", "shop", "--json"]).json();
    assert_eq!(created["parent_id"], folder.text("/resource_id"));
    cli.run(&["cluster", "create", "basic", "red-fox", "--folder", "root"]).ok();
    let names =
        |folder: &str| cli.run(&["cluster", "list", "--folder", folder, "--output", "name"]).ok().to_owned();
    assert_eq!((names("shop").as_str(), names("root").as_str()), ("blue-dog\n", "red-fox\n"));
    cli.run(&["cluster", "update", "blue-dog", "--folder", "root"]).ok();
    assert_eq!(names("shop"), "");
}

#[test]
fn sql_opens_psql_and_creates_the_first_user() {
    let server = real();
    let cli = Cli::beside(&server);
    cli.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    let no_user = cli.run(&["cluster", "sql", "blue-dog", "--", "-c", "select 1"]);
    assert!(no_user.fails(2).contains("create the first one with --user NAME"), "{no_user:?}");

    let psql = ["--", "-X", "-A", "-t", "-c", "select current_user, 6 * 7"];
    let first = [&["cluster", "sql", "blue-dog", "--user", "maria"][..], &psql].concat();
    let created = cli.run(&first);
    assert_eq!(created.ok(), "maria|42\n");
    let password =
        created.err.lines().find_map(|line| line.strip_prefix("Password (won't be shown again): "));
    let password = password.expect("the password").to_owned();

    let again = [&["cluster", "sql", "blue-dog"][..], &psql].concat();
    let cli = cli.with("PGPASSWORD", &password);
    assert_eq!(cli.run(&again).ok(), "maria|42\n");
    // SQL can also come from standard input.
    let piped = cli.run_with("select 'piped';\n", &["cluster", "sql", "blue-dog", "--", "-X", "-A", "-t"]);
    assert_eq!(piped.ok(), "piped\n");
    let other = [&["cluster", "sql", "blue-dog", "--user", "mario"][..], &psql].concat();
    assert!(cli.run(&other).fails(3).contains("its SQL users are: maria;"));
    // The exit code is psql's.
    let wrong =
        cli.run(&["cluster", "sql", "blue-dog", "--", "-X", "-v", "ON_ERROR_STOP=1", "-c", "nonsense"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
}

/// A `psql` that prints its arguments and its environment.
const ECHO_PSQL: &str = "#!/bin/sh\ntr '\\0' '\\n' < /proc/$$/cmdline\necho ===\nenv\n";

#[test]
fn psql_gets_no_api_key_and_no_password_in_its_arguments() {
    let server = simulated();
    let key = server.admin_key();
    let cli = Cli::new().with("OOTHECA_API_KEY", &key).with("PGPASSWORD", PASSWORD);
    let address = fs::read_to_string(server.data_dir().join("api-address")).expect("the address");
    let cli = cli.with("OOTHECA_SERVER", address.trim());
    let folder = cli.home().join("bin");
    fs::create_dir(&folder).expect("a folder");
    let psql = folder.join("psql");
    fs::write(&psql, ECHO_PSQL).expect("a script");
    fs::set_permissions(&psql, fs::Permissions::from_mode(0o755)).expect("its mode");
    let cli = cli.with("PATH", &format!("{}:/usr/bin:/bin", folder.display()));
    let created = cli.run(&["cluster", "create", "advanced", "big-bear"]);
    assert!(created.err.contains("`ootheca allowlist create big-bear current`"), "{created:?}");
    let cluster = cli.run(&["cluster", "info", "big-bear", "--json"]).json();
    sql_user(&server, cluster["id"].as_str().expect("an id"), "maria");
    let result = cli.run(&["cluster", "sql", "big-bear", "--", "-c", "select 1"]);
    let (arguments, environment) = result.ok().split_once("===\n").expect("both");
    assert!(arguments.contains("postgresql://maria@") && arguments.contains("select 1"), "{arguments}");
    assert!(!arguments.contains("sslrootcert") && !arguments.contains(PASSWORD), "{arguments}");
    assert!(!result.out.contains(&key), "{}", result.out);
    assert!(environment.contains(&format!("PGPASSWORD={PASSWORD}\n")), "{environment}");
    let certificate = environment.lines().find_map(|line| line.strip_prefix("PGSSLROOTCERT="));
    let certificate = fs::read_to_string(certificate.expect("a certificate")).expect("the file");
    assert_eq!(certificate, server.authority());
}
