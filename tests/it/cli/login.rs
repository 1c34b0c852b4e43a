//! `ootheca login` and the places that a server and a key come from.

use super::Person;
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
    let person = Person::new();
    let words = ["login", "--server", &address];
    let wrong = person.run_with("CCDB1_wrong_wrong\n", &words);
    wrong.fails(4);
    let path = person.home().join(".config/ootheca/profiles.toml");
    assert!(!path.exists(), "a refused key is not stored");

    let right = person.run_with(&format!("{key}\n"), &words);
    assert!(right.ok().contains(&format!(" server:          {address}\n")), "{right:?}");
    assert!(!right.out.contains(&key) && !right.err.contains(&key), "{right:?}");
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    person.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    let whoami = person.run(&["whoami", "--json"]).json();
    assert_eq!(whoami["server"], address.as_str());
    assert_eq!(&whoami["organization"], server.get("/organization").ok());
    let listed = person.run(&["profiles"]);
    assert!(listed.ok().contains("default") && !listed.out.contains(&key), "{listed:?}");

    person.run(&["logout"]).ok();
    assert!(!fs::read_to_string(&path).expect("the file").contains(&key));
    person.run(&["logout"]).fails(3);
}

#[test]
fn profiles_keep_servers_apart() {
    let (first, second) = (simulated(), simulated());
    let person = Person::new();
    for (name, server) in [("first", &first), ("second", &second)] {
        let words = ["login", "--server", &address(server), "--profile", name];
        person.run_with(&server.admin_key(), &words).ok();
        person.run(&["cluster", "create", "basic", &format!("{name}-dog")]).ok();
    }
    let names = |words: &[&str]| {
        person.run(&[&["cluster", "list", "--output", "name"][..], words].concat()).ok().to_owned()
    };
    assert_eq!(names(&[]), "second-dog\n");
    assert_eq!(names(&["--profile", "first"]), "first-dog\n");
    assert_eq!(names(&["--server", &address(&first)]), "first-dog\n");
    person.run(&["profiles", "--use-profile", "first"]).ok();
    assert_eq!(names(&[]), "first-dog\n");
    person.run(&["logout"]).ok();
    assert_eq!(names(&[]), "second-dog\n");
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let server = simulated();
    let person = Person::new();
    person.run_with(&server.admin_key(), &["login", "--server", &address(&server)]).ok();
    let path = person.home().join(".config/ootheca/profiles.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
    let refused = person.run(&["cluster", "list"]);
    assert!(refused.fails(1).contains("chmod 600"), "{refused:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    fs::write(&path, "[profiles.default]\nserver = \"x\"\napi_key = secret-word\n").expect("written");
    let refused = person.run(&["cluster", "list"]);
    assert!(refused.fails(1).contains("line 3") && !refused.err.contains("secret-word"), "{refused:?}");
}

#[test]
fn the_variables_of_terraform_work() {
    let server = simulated();
    let person = Person::new();
    let person = person.with("COCKROACH_SERVER", &address(&server));
    let person = person.with("COCKROACH_API_KEY", &server.admin_key());
    person.run(&["cluster", "create", "basic", "blue-dog"]).ok();
    assert_eq!(person.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
}

#[test]
fn a_key_of_another_source_is_never_sent() {
    let server = simulated();
    // Terraform's key is for another server: here the local one is used, with its own key.
    let person = Person::beside(&server).with("COCKROACH_API_KEY", "CCDB1_other_secret");
    person.run(&["cluster", "list"]).ok();
    // A server without a key gets none of those that lie about.
    let person = Person::new().with("OOTHECA_API_KEY", &server.admin_key());
    let refused = person.run(&["cluster", "list", "--server", &address(&server)]);
    assert!(refused.fails(2).contains("there is no key for it"), "{refused:?}");
    let refused = person.run(&["cluster", "list"]);
    assert!(refused.fails(2).contains("OOTHECA_SERVER"), "{refused:?}");
    assert!(server.log().lines().all(|line| !line.contains(&server.admin_key())));
}
