//! A server whose settings turn backups off. Users of clusters that should get backups can see it.

use super::{
    shared::{condition, first_backup},
    verify::enable,
};
use crate::support::{advance, column, id, simulated};
use ootheca_testkit::{Client, ServerBuilder};

/// The message of the condition.
#[track_caller]
fn disabled(client: &Client, cluster: &str) -> Option<String> {
    condition(client, cluster, "BackupsDisabled")
}

#[test]
fn clusters_have_a_condition_while_the_settings_turn_backups_off() {
    let mut server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    let message = disabled(&server, &cluster).expect("the condition");
    for part in ["backups.enabled", "No new backups", "can be restored"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let listed = server.get("/clusters");
    let kinds = column(&listed.ok()["clusters"][0]["ootheca"]["conditions"], "kind");
    assert_eq!(kinds, ["BackupsDisabled"]);

    server.terminate();
    server.relaunch(ServerBuilder::backups);
    server.start();
    assert_eq!(disabled(&server, &cluster), None);
    advance(&server, 10);
    first_backup(&server, &cluster);
}

#[test]
fn clusters_that_would_get_no_backups_anyway_do_not_have_the_condition() {
    let server = simulated();
    let cluster = id(&server.create_cluster("some-cluster", "STANDARD"));
    enable(&server, &cluster, false);
    assert_eq!(disabled(&server, &cluster), None, "its own configuration disables them");
    enable(&server, &cluster, true);
    assert!(disabled(&server, &cluster).is_some());
    server.delete(&format!("/clusters/{cluster}")).ok();
    assert_eq!(disabled(&server, &cluster), None, "it is deleted");
}
