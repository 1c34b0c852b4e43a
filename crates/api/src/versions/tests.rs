use super::*;
use serde_json::json;

fn page(next: Option<&str>, place: Option<(usize, usize)>) -> Page {
    Page {
        next: next.map(str::to_owned),
        previous: None,
        limit: 2,
        as_of: "2022-03-14T14:15:22Z".parse().unwrap(),
        order: SortOrder::Asc,
        place,
    }
}

fn shown(version: Version, op: Op, page: Page) -> Value {
    serde_json::to_value(version.pagination(op, page)).unwrap()
}

#[test]
fn the_header_selects_the_version() {
    assert_eq!(Version::from_header(None).unwrap(), Version::V2022_03_31);
    assert_eq!(Version::from_header(Some("latest")).unwrap(), Version::V2026_09_15);
    assert_eq!(Version::ALL.last(), Some(&Version::LATEST));
    for version in Version::ALL {
        assert_eq!(Version::from_header(Some(version.header())).unwrap(), version);
    }
    for text in ["", "2022-07-12", "2024-9-16", "LATEST", "2026-10-04"] {
        let error = Version::from_header(Some(text)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "invalid Cc-Version"), "{text}");
    }
}

#[test]
fn the_default_dialect_has_empty_responses_to_patch_and_delete() {
    let body = br#"{"id":"x"}"#.to_vec();
    for op in [Op::UpdateCluster, Op::DeleteCluster] {
        assert!(Version::V2022_03_31.downgrade(op, body.clone()).is_empty());
        for version in [Version::V2024_09_16, Version::V2026_09_15] {
            assert_eq!(version.downgrade(op, body.clone()), body);
        }
    }
    assert_eq!(Version::V2022_03_31.downgrade(Op::GetCluster, body.clone()), body);
    assert_eq!(Version::V2022_03_31.downgrade(Op::DeleteSQLUser, body.clone()), body);
}

#[test]
fn the_default_dialect_names_regions() {
    let body = json!({ "regions": [{ "name": "a", "distance": 0.0 }, { "name": "b" }], "pagination": {} });
    let downgraded = Version::V2022_03_31.downgrade(Op::ListAvailableRegions, body.to_string().into_bytes());
    let downgraded: Value = serde_json::from_slice(&downgraded).unwrap();
    assert_eq!(downgraded, json!({ "regions": ["a", "b"], "pagination": {} }));
}

#[test]
fn nodes_have_the_pagination_of_the_page() {
    let expected = json!({
        "next": 0, "last": 0, "limit": 2, "total_results": 1, "time": "2022-03-14T14:15:22.000000Z", "order": "ASC",
        "next_page": "", "previous_page": "",
    });
    assert_eq!(shown(Version::default(), Op::ListClusterNodes, page(None, Some((0, 1)))), expected);
    let second = shown(Version::default(), Op::ListClusterNodes, page(Some("t"), Some((2, 9))));
    assert_eq!((&second["next"], &second["last"], &second["next_page"]), (&json!(4), &json!(0), &json!("t")));
}

#[test]
fn other_lists_contain_older_and_newer_members() {
    let shown_default = shown(Version::default(), Op::ListClusters, page(Some("t"), None));
    let expected = json!({
        "next": "t", "last": "", "limit": 2, "time": "2022-03-14T14:15:22.000000Z", "order": "ASC",
        "next_page": "t", "previous_page": "",
    });
    assert_eq!(shown_default, expected);
    let newer = shown(Version::V2024_09_16, Op::ListClusters, page(Some("t"), None));
    assert_eq!(newer, json!({ "next_page": "t", "previous_page": "" }));
}

fn cluster() -> Value {
    json!({
        "plan": "BASIC", "operation_status": "UNSPECIFIED", "state": "CREATED",
        "config": { "serverless": {
            "routing_id": "a-1", "upgrade_type": "AUTOMATIC",
            "usage_limits": { "request_unit_limit": "20000000", "storage_mib_limit": "2048" },
        }},
    })
}

fn downgraded(version: Version, op: Op, body: &Value) -> Value {
    serde_json::from_slice(&version.downgrade(op, body.to_string().into_bytes())).unwrap()
}

#[test]
fn a_cluster_in_each_version() {
    for version in [Version::V2022_03_31, Version::V2024_09_16] {
        assert_eq!(downgraded(version, Op::GetCluster, &cluster()), cluster());
    }
    let mut expected = cluster();
    expected["plan"] = "SERVERLESS".into();
    let block = &mut expected["config"]["serverless"];
    block.as_object_mut().unwrap().remove("upgrade_type");
    block["spend_limit"] = 500.into();
    assert_eq!(downgraded(Version::V2023_04_10, Op::GetCluster, &cluster()), expected);
    let listed = json!({ "clusters": [cluster()], "pagination": {} });
    assert_eq!(downgraded(Version::V2023_04_10, Op::ListClusters, &listed)["clusters"][0], expected);

    expected["operation_status"] = "CLUSTER_STATUS_UNSPECIFIED".into();
    expected["config"]["serverless"].as_object_mut().unwrap().remove("usage_limits");
    for op in [Op::GetCluster, Op::UpdateCluster, Op::DeleteCluster, Op::CreateCluster] {
        assert_eq!(downgraded(Version::V2022_09_20, op, &cluster()), expected, "{op:?}");
    }
    let invoices = json!({ "invoices": [{ "invoice_items": [{ "cluster": cluster() }] }] });
    let older = downgraded(Version::V2022_09_20, Op::ListInvoices, &invoices);
    assert_eq!(older["invoices"][0]["invoice_items"][0]["cluster"], expected);
}

#[test]
fn members_of_extensions_are_in_every_version() {
    let cluster = json!({ "plan": "BASIC", "expires_at": "2026-11-30T12:00:00.000000Z" });
    for version in Version::ALL {
        let shown = downgraded(version, Op::GetCluster, &cluster);
        assert_eq!(shown["expires_at"], cluster["expires_at"], "{version:?}");
    }
}

#[test]
fn plans_and_limits_have_older_names() {
    let plans = [("BASIC", "SERVERLESS"), ("STANDARD", "SERVERLESS"), ("ADVANCED", "DEDICATED")];
    for (newer, older) in plans {
        let shown = downgraded(Version::V2023_04_10, Op::GetCluster, &json!({ "plan": newer }));
        assert_eq!(shown, json!({ "plan": older }));
    }
    let limits = |limits: Value| {
        let body = json!({ "plan": "BASIC", "config": { "serverless": { "usage_limits": limits } } });
        downgraded(Version::V2023_04_10, Op::GetCluster, &body)["config"]["serverless"].clone()
    };
    assert_eq!(limits(Value::Null), json!({ "spend_limit": 0 }));
    assert_eq!(limits(json!({ "provisioned_virtual_cpus": "2" })), json!({ "spend_limit": 0 }));
    let pair = json!({ "request_unit_limit": "0", "storage_mib_limit": "4096" });
    let storage = limits(json!({ "storage_mib_limit": "4096" }));
    assert_eq!(storage, json!({ "spend_limit": 1000, "usage_limits": pair }));
}

#[test]
fn an_advanced_cluster_keeps_its_members() {
    let advanced = json!({
        "plan": "ADVANCED", "operation_status": "CRDB_SCALE_RUNNING", "network_visibility": "PRIVATE",
        "egress_traffic_policy": "ERROR", "config": { "dedicated": { "storage_gib": 1 } },
    });
    let expected = json!({
        "plan": "DEDICATED", "operation_status": "CRDB_SCALE_RUNNING", "network_visibility": "NETWORK_VISIBILITY_PRIVATE",
        "egress_traffic_policy": "POLICY_ERROR", "config": { "dedicated": { "storage_gib": 1 } },
    });
    assert_eq!(downgraded(Version::V2022_09_20, Op::GetCluster, &advanced), expected);
    let allowed = json!({ "plan": "ADVANCED", "egress_traffic_policy": "ALLOW_ALL" });
    assert_eq!(
        downgraded(Version::V2022_09_20, Op::GetCluster, &allowed)["egress_traffic_policy"],
        "ALLOW_ALL"
    );
}

#[test]
fn older_role_names_have_a_prefix() {
    let role = json!({ "name": "ORG_ADMIN" });
    let all = json!({ "name": "unchanged", "roles": [role], "group_roles": [{ "role": role }] });
    let older = json!({ "name": "ORG_ROLE_ORG_ADMIN" });
    let expected = json!({ "name": "unchanged", "roles": [older], "group_roles": [{ "role": older }] });
    for op in [Op::GetAllRolesForUser, Op::SetRolesForUser, Op::GetServiceAccount] {
        assert_eq!(downgraded(Version::V2022_09_20, op, &all), expected, "{op:?}");
        assert_eq!(downgraded(Version::V2023_04_10, op, &all), all);
        assert_eq!(downgraded(Version::V2022_03_31, op, &all), all);
    }
    assert_eq!(parameter("role_name", "ORG_ROLE_ORG_ADMIN"), "ORG_ADMIN");
    assert_eq!(parameter("role_name", "ORG_ADMIN"), "ORG_ADMIN");
    assert_eq!(parameter("os", "OS_MAC"), "MAC");
    assert_eq!(parameter("database", "OS_MAC"), "OS_MAC");
}

fn upgraded(version: Version, op: Op, mut body: Value) -> Result<Value> {
    version.upgrade(op, &mut body)?;
    Ok(body)
}

#[test]
fn spend_limits_are_converted_to_usage_limits() {
    let body = json!({ "serverless": { "spend_limit": 500 } });
    let limits = json!({ "request_unit_limit": "20000000", "storage_mib_limit": "2048" });
    let expected = json!({ "serverless": { "usage_limits": limits } });
    for version in [Version::V2022_09_20, Version::V2023_04_10] {
        assert_eq!(upgraded(version, Op::UpdateCluster, body.clone()).unwrap(), expected);
        let create = upgraded(version, Op::CreateCluster, json!({ "spec": body })).unwrap();
        assert_eq!(create, json!({ "spec": expected }));
        let free = upgraded(version, Op::UpdateCluster, json!({ "serverless": { "spend_limit": "0" } }));
        assert_eq!(free.unwrap(), json!({ "serverless": { "usage_limits": {} } }));
        for wrong in [json!(-1), json!(1.5), json!("much"), json!(4_000_000_000_u64), json!([])] {
            let error =
                upgraded(version, Op::UpdateCluster, json!({ "serverless": { "spend_limit": wrong } }));
            assert!(error.unwrap_err().message().contains("serverless.spend_limit"), "{wrong}");
        }
    }
    for version in [Version::V2022_03_31, Version::V2024_09_16] {
        assert_eq!(upgraded(version, Op::UpdateCluster, body.clone()).unwrap(), body, "an unknown member");
    }
}

#[test]
fn each_version_has_its_required_members() {
    let create = |block: Value| json!({ "spec": { "serverless": block } });
    let missing = upgraded(Version::V2022_09_20, Op::CreateCluster, create(json!({ "regions": ["a"] })));
    assert!(missing.unwrap_err().message().contains("serverless.spend_limit: is required"));
    upgraded(Version::V2023_04_10, Op::CreateCluster, create(json!({ "regions": ["a"] }))).unwrap();
    let half = create(json!({ "usage_limits": { "request_unit_limit": "1" } }));
    for version in [Version::V2022_09_20, Version::V2023_04_10] {
        let error = upgraded(version, Op::CreateCluster, half.clone()).unwrap_err();
        assert!(error.message().contains("must have both"), "{error}");
        let newer = create(json!({ "usage_limits": { "provisioned_virtual_cpus": "2" } }));
        assert_eq!(upgraded(version, Op::CreateCluster, newer.clone()).unwrap(), newer);
    }
    assert_eq!(upgraded(Version::V2024_09_16, Op::CreateCluster, half.clone()).unwrap(), half);
}

#[test]
fn older_values_are_accepted_in_every_version() {
    for version in Version::ALL {
        let body = json!({ "roles": [{ "name": "ORG_ROLE_ORG_ADMIN" }, { "name": "ORG_MEMBER" }] });
        let expected = json!({ "roles": [{ "name": "ORG_ADMIN" }, { "name": "ORG_MEMBER" }] });
        assert_eq!(upgraded(version, Op::SetRolesForUser, body).unwrap(), expected);
        let body = json!({ "spec": { "dedicated": { "network_visibility": "NETWORK_VISIBILITY_PRIVATE" } } });
        let expected = json!({ "spec": { "dedicated": { "network_visibility": "PRIVATE" } } });
        assert_eq!(upgraded(version, Op::CreateCluster, body).unwrap(), expected);
    }
}

#[test]
fn without_a_plan_a_cluster_is_standard() {
    let plan = |version, block: Value| {
        let body = json!({ "spec": { "serverless": block } });
        upgraded(version, Op::CreateCluster, body).unwrap()["spec"]["plan"].clone()
    };
    assert_eq!(plan(Version::V2022_03_31, json!({})), "STANDARD");
    assert_eq!(
        plan(Version::V2022_03_31, json!({ "usage_limits": { "storage_mib_limit": 1 } })),
        Value::Null
    );
    assert_eq!(plan(Version::V2024_09_16, json!({})), Value::Null);
    for block in [json!({}), json!({ "usage_limits": { "provisioned_virtual_cpus": null } })] {
        let body = json!({ "spec": { "serverless": block } });
        let body = upgraded(Version::V2022_03_31, Op::CreateCluster, body).unwrap();
        let limits = &body["spec"]["serverless"]["usage_limits"];
        assert_eq!(*limits, json!({ "provisioned_virtual_cpus": "2" }));
    }
}

proptest::proptest! {
    #[test]
    fn spend_limits_round_trip(cents: i32) {
        let body = json!({ "serverless": { "spend_limit": cents.saturating_abs() } });
        let body = upgraded(Version::V2022_09_20, Op::UpdateCluster, body).unwrap();
        let cluster = json!({ "plan": "BASIC", "config": body });
        let shown = downgraded(Version::V2022_09_20, Op::GetCluster, &cluster);
        proptest::prop_assert_eq!(&shown["config"]["serverless"]["spend_limit"], &json!(cents.saturating_abs()));
    }
}
