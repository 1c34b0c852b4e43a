use super::*;
use serde_json::json;

fn normal(op: Op, body: Value) -> Result<Value> {
    normalize(op, body.as_object().cloned().unwrap())
}

#[test]
fn a_patch_has_three_shapes() {
    let expected = json!({ "serverless": { "usage_limits": { "provisioned_virtual_cpus": "4" } } });
    for body in [
        expected.clone(),
        json!({ "spec": expected }),
        json!({ "usage_limits": { "provisioned_virtual_cpus": "4" } }),
        json!({ "usageLimits": { "provisionedVirtualCpus": "4" }, "spec": null }),
    ] {
        assert_eq!(normal(Op::UpdateCluster, body.clone()).unwrap(), expected, "{body}");
    }
}

#[test]
fn repeated_members_must_agree() {
    let same = json!({ "plan": "BASIC", "spec": { "plan": "BASIC" } });
    assert_eq!(normal(Op::CreateCluster, same).unwrap(), json!({ "spec": { "plan": "BASIC" } }));
    for (op, body) in [
        (Op::CreateCluster, json!({ "plan": "BASIC", "spec": { "plan": "STANDARD" } })),
        (Op::UpdateCluster, json!({ "plan": "BASIC", "spec": { "plan": "STANDARD" } })),
        (Op::UpdateCluster, json!({ "usage_limits": {}, "serverless": { "usage_limits": { "a": 1 } } })),
        (Op::CreateDatabase, json!({ "newName": "a", "new_name": "b" })),
    ] {
        let error = normal(op, body.clone()).unwrap_err();
        assert!(error.message().contains("two different values"), "{body}: {error}");
    }
}

#[test]
fn names_become_snake_case_except_in_labels() {
    let body = json!({ "spec": { "deleteProtection": "ENABLED", "labels": { "ownTeam": "a", "x": "b" } } });
    let expected =
        json!({ "spec": { "delete_protection": "ENABLED", "labels": { "ownTeam": "a", "x": "b" } } });
    assert_eq!(normal(Op::CreateCluster, body).unwrap(), expected);
    assert_eq!(snake_case("pagination.asOfTime"), "pagination.as_of_time");
}

#[test]
fn a_plan_alone_creates_a_spec() {
    assert_eq!(
        normal(Op::CreateCluster, json!({ "plan": "BASIC" })).unwrap(),
        json!({ "spec": { "plan": "BASIC" } })
    );
}

#[test]
fn the_source_and_the_expiry_of_a_new_cluster_are_beside_its_spec() {
    let body = json!({
        "plan": "BASIC", "expiresAt": "2026-11-30T12:00:00Z",
        "restoreFrom": { "sourceClusterId": "a", "pointInTime": "2026-11-29T12:00:00Z", "maskingSql": "SELECT aB" },
    });
    let expected = json!({
        "spec": { "plan": "BASIC" }, "expires_at": "2026-11-30T12:00:00Z",
        "restore_from": {
            "source_cluster_id": "a", "point_in_time": "2026-11-29T12:00:00Z", "masking_sql": "SELECT aB",
        },
    });
    assert_eq!(normal(Op::CreateCluster, body).unwrap(), expected);
}

#[test]
fn the_misspelled_value_is_accepted() {
    let body = json!({ "upgrade_status": "UPGRADE_AVAIALBLE" });
    assert_eq!(normal(Op::UpdateCluster, body).unwrap(), json!({ "upgrade_status": "UPGRADE_AVAILABLE" }));
}

#[test]
fn normalized_bodies_are_unchanged() {
    let body = json!({ "plan": "BASIC", "serverless": { "regions": ["a"], "usage_limits": {} }, "labels": { "aB": "c" } });
    let once = normal(Op::UpdateCluster, body.clone()).unwrap();
    assert_eq!(once, body);
}
