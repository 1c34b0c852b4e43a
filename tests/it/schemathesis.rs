//! Schemathesis, which generates valid and invalid requests from our OpenAPI document, and compares the
//! responses with it. `./dev test` installs it in `target/clients`.

use crate::{
    backups::shared::{HOUR, backups, boot, restored, take_backup},
    support::id,
};
use ootheca_testkit::{Engine, LATEST};
use serde_json::json;
use std::{fs, path::PathBuf, process::Command};

#[test]
fn responses_match_the_openapi_document() {
    let server = boot(Engine::Simulated);
    let cluster = id(&server.create_cluster("schemathesis", "STANDARD"));
    let backup = id(&take_backup(&server, &cluster, HOUR));
    let restore = id(&restored(&server, &cluster, json!({ "backup_id": backup })));
    server.when_created(&cluster);
    let clients = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients");
    let settings = fs::read_to_string(clients.join("schemathesis.toml")).expect("its settings");
    let config = server.data_dir().join("schemathesis.toml");
    let parameters = [("cluster_id", &cluster), ("restore_id", &restore)];
    let parameters = parameters.map(|(name, value)| format!("\"path.{name}\" = \"{value}\"\n"));
    fs::write(&config, settings + &parameters.concat()).expect("a file");

    let account = server.get("/service-accounts");
    let account = account.text("/service_accounts/0/id");
    let key = server.get("/api-keys").text("/api_keys/0/id");
    let mut run = Command::new(clients.join("../../target/clients/bin/python"));
    run.args(["-m", "schemathesis.cli", "--config-file"]).arg(&config).arg("run");
    run.arg(format!("{}/api/v1/openapi.json", server.base()));
    run.args(["--exclude-by", "/x-unimplemented == true", "--checks", "all", "--continue-on-failure"]);
    // A stream does not end.
    run.args(["--exclude-path", "/api/v1/events"]);
    run.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1"]);
    run.args(["--workers", "4", "--generation-database", "none", "--no-color", "--warnings", "off"]);
    run.args(["--header", &format!("Authorization: Bearer {}", server.admin_key())]);
    run.args(["--header", &format!("Cc-Version: {LATEST}")]);
    run.current_dir(server.data_dir());
    run.env("PYTHONPATH", &clients).env("PYTHONDONTWRITEBYTECODE", "1");
    run.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks");
    run.env("OOTHECA_KEEP", format!("{account},{key},{cluster},{backup}"));
    let output = run.output().unwrap_or_else(|error| panic!("{error}; ./dev test installs schemathesis"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));

    // The result only counts if it ran to the end.
    let line = text.lines().find(|line| line.contains("selected /")).unwrap_or_default();
    let built = ootheca_api::operations::TABLE.iter().filter(|row| row.implemented && !row.streams).count();
    assert!(line.contains(&format!("{built} selected")), "{text}");
    server.get(&format!("/clusters/{cluster}")).ok();
    assert!(!backups(&server, &cluster).is_empty(), "the backups have not expired");
}
