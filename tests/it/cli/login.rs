//! `ootheca login`, and how the server and the API key are chosen.

use super::Cli;
use crate::support::simulated;
use ootheca_testkit::Ootheca;
use std::{fs, os::unix::fs::PermissionsExt};

fn address(server: &Ootheca) -> String {
    fs::read_to_string(server.data_dir().join("api-address")).expect("the address").trim().to_owned()
}

#[test]
fn login_stores_a_key_once_the_server_has_accepted_it() {
    let server = simulated();
    let (address, key) = (address(&server), server.admin_key());
    let cli = Cli::new();
    let words = ["login", "--server", &address];
    let wrong = cli.run_with("CCDB1_wrong_wrong\n", &words);
    wrong.fails(4);
    let path = cli.home().join(".config/ootheca/profiles.toml");
    assert!(!path.exists(), "a refused key is not stored");

    let right = cli.run_with(&format!("{key}\n"), &words);
    assert!(right.ok().contains(&format!(" server:          {address}\n")), "{right:?}");
    assert!(!right.out.contains(&key) && !right.err.contains(&key), "{right:?}");
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    cli.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    let whoami = cli.run(&["whoami", "--json"]).json();
    assert_eq!(whoami["server"], address.as_str());
    assert_eq!(&whoami["organization"], server.get("/organization").ok());
    let listed = cli.run(&["profiles"]);
    assert!(listed.ok().contains("default") && !listed.out.contains(&key), "{listed:?}");

    cli.run(&["logout"]).ok();
    assert!(!fs::read_to_string(&path).expect("the file").contains(&key));
    cli.run(&["logout"]).fails(3);
}

#[test]
fn each_profile_has_its_own_server_and_key() {
    let (first, second) = (simulated(), simulated());
    let cli = Cli::new();
    for (name, server) in [("first", &first), ("second", &second)] {
        let words = ["login", "--server", &address(server), "--profile", name];
        cli.run_with(&server.admin_key(), &words).ok();
        cli.run(&["cluster", "create", "basic", &format!("{name}-dog")]).ok();
    }
    let names = |words: &[&str]| {
        cli.run(&[&["cluster", "list", "--output", "name"][..], words].concat()).ok().to_owned()
    };
    assert_eq!(names(&[]), "second-dog\n");
    assert_eq!(names(&["--profile", "first"]), "first-dog\n");
    assert_eq!(names(&["--server", &address(&first)]), "first-dog\n");
    cli.run(&["profiles", "--use-profile", "first"]).ok();
    assert_eq!(names(&[]), "first-dog\n");
    cli.run(&["logout"]).ok();
    assert_eq!(names(&[]), "second-dog\n");
}

#[test]
fn a_profile_file_that_others_can_read_is_refused() {
    let server = simulated();
    let cli = Cli::new();
    cli.run_with(&server.admin_key(), &["login", "--server", &address(&server)]).ok();
    let path = cli.home().join(".config/ootheca/profiles.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    let refused = cli.run(&["cluster", "list"]);
    assert!(refused.fails(1).contains("chmod 600"), "{refused:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    fs::write(&path, "[profiles.default]\nserver = \"x\"\napi_key = secret-word\n").expect("written");
    let refused = cli.run(&["cluster", "list"]);
    assert!(refused.fails(1).contains("line 3") && !refused.err.contains("secret-word"), "{refused:?}");
}

#[test]
fn the_variables_of_the_official_clients_work() {
    let server = simulated();
    let cli = Cli::new();
    let cli = cli.with("COCKROACH_SERVER", &address(&server));
    let cli = cli.with("COCKROACH_API_KEY", &server.admin_key());
    cli.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    assert_eq!(cli.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
}

#[test]
fn a_key_of_another_source_is_never_sent() {
    let server = simulated();
    // A key for the official service doesn't matter: the local server is used with its own key.
    let cli = Cli::beside(&server).with("COCKROACH_API_KEY", "CCDB1_other_secret");
    cli.run(&["cluster", "list"]).ok();
    // A server that is named without a key doesn't get the key of another source.
    let cli = Cli::new().with("OOTHECA_API_KEY", &server.admin_key());
    let refused = cli.run(&["cluster", "list", "--server", &address(&server)]);
    assert!(refused.fails(2).contains("there is no API key for that server"), "{refused:?}");
    let refused = cli.run(&["cluster", "list"]);
    assert!(refused.fails(2).contains("OOTHECA_SERVER"), "{refused:?}");
    assert!(server.log().lines().all(|line| !line.contains(&server.admin_key())));
}
