//! Property tests of the model: the role check, names, networks, and creating and changing clusters.

#![allow(clippy::unwrap_used)]

use ootheca_model::{
    Cluster, ClusterId, ErrorKind, Grant, OrganizationId, Plan, Principal, PrincipalId, Resource, Role,
    Timestamp, allowlist,
    backup::{self, BackupConfiguration, BackupPatch},
    blackout::{self, BlackoutPatch},
    catalog::{Catalog, Region, Version},
    cluster::{
        CloudProvider, ClusterVersionDeferralPolicy, Config, DeleteProtection, ReleaseType, SupportStatus,
        UsageLimits,
        create::{Birth, MachineSpec, NewCluster, NewDedicated, NewServerless, create},
        patch::{ClusterPatch, PatchServerless, STANDARD_PAUSE, patch},
    },
    identity::{Requirement, Target, authorize, normal_grants},
    maintenance::{self, MaintenanceWindow},
    names,
    role::may_grant,
    sql_name,
};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

fn cluster_id(n: u8) -> ClusterId {
    ClusterId(Uuid::from_u128(u128::from(n) + 1))
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let resource =
        prop_oneof![Just(Resource::Organization), (0u8..3).prop_map(|n| Resource::Cluster(cluster_id(n)))];
    (prop::sample::select(Role::ALL), resource)
        .prop_filter_map("a role of that scope", |(role, resource)| Grant::new(role, resource).ok())
}

fn principal(grants: Vec<Grant>) -> Arc<Principal> {
    let organization = OrganizationId(Uuid::nil());
    let grants = normal_grants(grants);
    Arc::new(Principal {
        organization,
        id: PrincipalId(Uuid::nil()),
        name: "p".into(),
        person: false,
        grants,
    })
}

const ROLES: &[Role] = &[Role::ClusterAdmin, Role::ClusterDeveloper];

/// Bytes of names, with characters that need escaping more often than at random.
fn sql_name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<char>().prop_map(|character| character.to_string().into_bytes()),
        prop::sample::select(&[r"\", r"\x", r"\xff", r"\\xff", "ff", "\n"][..]).prop_map(|text| text.into()),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    /// The check agrees with the direct definition: some grant has one of the roles and covers the target.
    #[test]
    fn a_role_applies_exactly_to_what_it_covers(grants in prop::collection::vec(any_grant(), 0..6), n in 0u8..3) {
        let who = principal(grants);
        let holds = |on: Resource| who.grants.iter().any(|g| ROLES.contains(&g.role) && g.resource.covers(on, &[]));
        let on_cluster = authorize(&who, Requirement::Roles(ROLES), Target::Cluster(cluster_id(n), Vec::new()));
        prop_assert_eq!(on_cluster.is_ok(), holds(Resource::Cluster(cluster_id(n))));
        let on_organization = authorize(&who, Requirement::Roles(ROLES), Target::Organization);
        prop_assert_eq!(on_organization.is_ok(), holds(Resource::Organization));
        if let Ok(granted) = authorize(&who, Requirement::Roles(ROLES), Target::Visible) {
            for n in 0..3 {
                let cluster = Resource::Cluster(cluster_id(n));
                prop_assert_eq!(granted.visible().shows(cluster, &[]), holds(cluster));
            }
        }
    }

    /// A principal without any of the roles gets the same error for every cluster.
    #[test]
    fn without_a_role_all_clusters_return_the_same_error(n in 0u8..3) {
        let who = principal(vec![Grant::organization(Role::BillingViewer)]);
        let refused = authorize(&who, Requirement::Roles(ROLES), Target::Cluster(cluster_id(n), Vec::new())).unwrap_err();
        prop_assert_eq!(refused.kind(), ErrorKind::Denied);
    }

    /// Additional grants never revoke a permission, and only ORG_ADMIN can grant organization roles.
    #[test]
    fn granting_is_monotonic(held in prop::collection::vec(any_grant(), 0..4), more in any_grant(), wanted in any_grant()) {
        let mut larger = held.clone();
        larger.push(more);
        prop_assert!(!may_grant(&held, wanted, &[]) || may_grant(&larger, wanted, &[]));
        if wanted.resource == Resource::Organization && may_grant(&held, wanted, &[]) {
            prop_assert!(held.iter().any(|grant| grant.role == Role::OrgAdmin));
        }
    }

    #[test]
    fn a_cluster_name_is_a_dns_label(name in "\\PC{0,70}") {
        if names::cluster(&name, 57).is_ok() {
            prop_assert!((6..=57).contains(&name.len()));
            prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!name.starts_with('-') && !name.ends_with('-'));
        }
    }

    #[test]
    fn valid_cluster_names_are_accepted(name in "[a-z0-9][a-z0-9-]{4,55}[a-z0-9]") {
        prop_assert!(names::cluster(&name, 57).is_ok());
    }

    #[test]
    fn reserved_user_names_are_rejected_in_any_case(name in prop::sample::select(&names::RESERVED_USERS[..]), upper in any::<bool>()) {
        let name = if upper { name.to_uppercase() } else { name.to_owned() };
        prop_assert!(names::sql_user(&name).is_err());
        let prefixed = format!("pg_{name}");
        prop_assert!(names::sql_user(&prefixed).is_err());
    }

    #[test]
    fn names_used_by_the_engine_are_reserved(name in "\\PC{0,20}", own in prop::sample::select(&["", "pg_", "admin", "template1"][..])) {
        let name = format!("{own}{name}");
        prop_assert!(!names::engine_user(&name) || names::reserved_user(&name));
        prop_assert!(!names::engine_database(&name) || names::reserved_database(&name));
    }

    /// Therefore different names are always displayed differently.
    #[test]
    fn displayed_sql_names_are_parsed_back(name in sql_name()) {
        let shown = sql_name::show(&name);
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert_eq!(sql_name::parse(&shown), Some(name));
    }

    #[test]
    fn displayed_text_is_unambiguous(text in "(\\\\|x|f|\\\\xff|\\\\x0a|\\PC|\\n){0,8}") {
        if let Some(name) = sql_name::parse(&text) {
            prop_assert_eq!(sql_name::show(&name), text);
        }
    }

    #[test]
    fn names_created_over_the_api_are_displayed_unchanged(name in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,62}") {
        prop_assert_eq!(sql_name::show(name.as_bytes()), name);
    }

    #[test]
    fn errors_do_not_contain_the_password(password in "\\PC{0,11}") {
        let error = names::password(&password).unwrap_err();
        prop_assert!(password.len() < 4 || !error.message().contains(&password));
    }

    /// A network is either stored exactly as sent or rejected.
    #[test]
    fn networks_are_stored_as_sent(ip in any::<u32>(), mask in -1i64..40) {
        let text = std::net::Ipv4Addr::from(ip).to_string();
        match allowlist::network(&text, mask) {
            Ok(network) => {
                prop_assert_eq!(network.addr().to_string(), text);
                prop_assert_eq!(i64::from(network.prefix_len()), mask);
                prop_assert_eq!(network.addr(), network.network());
            }
            Err(error) => prop_assert!(error.message().contains("cidr_")),
        }
    }
}

fn catalog() -> Catalog {
    let version = |version: &str, release_type, allowed: &[&str]| Version {
        version: version.into(),
        full_version: format!("{version}.1"),
        release_type,
        support_status: SupportStatus::Supported,
        support_end: Timestamp(0),
        allowed_upgrades: allowed.iter().map(|name| (*name).to_owned()).collect(),
        postgres: "newest".into(),
    };
    let region = |name: &str, serverless| Region {
        provider: CloudProvider::Gcp,
        name: name.into(),
        location: String::new(),
        serverless,
    };
    Catalog {
        default_version: "v25.4".into(),
        versions: vec![
            version("v25.4", ReleaseType::Regular, &[]),
            version("v25.2", ReleaseType::Regular, &["v25.4"]),
        ],
        regions: vec![region("us-central1", true), region("us-east1", true), region("us-west4", false)],
    }
}

fn birth() -> Birth {
    Birth {
        id: cluster_id(0),
        tenant: 123,
        organization: OrganizationId(Uuid::nil()),
        creator: PrincipalId(Uuid::nil()),
        now: Timestamp(1_000_000),
    }
}

fn serverless(plan: Option<Plan>, limits: UsageLimits) -> NewCluster {
    NewCluster {
        name: "notorious-moose".into(),
        provider: Some(CloudProvider::Gcp),
        plan,
        serverless: Some(NewServerless { regions: vec!["us-central1".into()], limits, ..Default::default() }),
        ..Default::default()
    }
}

fn make(request: NewCluster) -> ootheca_model::Result<Cluster> {
    create(request, birth(), &catalog(), |_| Ok("15".into())).map(|(cluster, _)| cluster)
}

fn any_limits() -> impl Strategy<Value = UsageLimits> {
    let limit = || prop::option::of(prop_oneof![Just(0i64), -5i64..300, Just(5_242_880)]);
    (limit(), limit(), limit()).prop_map(|(request_units, storage_mib, virtual_cpus)| UsageLimits {
        request_units,
        storage_mib,
        virtual_cpus,
    })
}

fn any_patch() -> impl Strategy<Value = ClusterPatch> {
    let plan = prop::option::of(prop::sample::select(Plan::ALL));
    let regions = prop::option::of(prop::sample::subsequence(
        vec!["us-central1".to_owned(), "us-east1".into(), "us-west4".into()],
        0..=3,
    ));
    let block = (
        regions,
        prop::option::of(any_limits()),
        prop::option::of(prop_oneof![Just(String::new()), Just("us-east1".into())]),
    );
    let block = block.prop_map(|(regions, limits, primary_region)| PatchServerless {
        regions,
        limits,
        primary_region,
        upgrade_type: None,
    });
    (plan, prop::option::of(block)).prop_map(|(plan, serverless)| ClusterPatch {
        plan,
        serverless,
        ..Default::default()
    })
}

fn limits_of(cluster: &Cluster) -> UsageLimits {
    match &cluster.config {
        Config::Serverless { limits, .. } => *limits,
        Config::Dedicated { .. } => UsageLimits::default(),
    }
}

proptest! {
    /// An accepted request conforms to the rules of its plan.
    #[test]
    fn created_clusters_conform_to_the_rules(plan in prop::option::of(prop::sample::select(Plan::ALL)), limits in any_limits()) {
        if let Ok(cluster) = make(serverless(plan, limits)) {
            rules(&cluster)?;
        }
    }

    /// A patch conforms to the rules, preserves immutable fields, never loses a region, and is idempotent.
    #[test]
    fn patched_clusters_conform_to_the_rules(first in any_patch(), second in any_patch(), standard in any::<bool>()) {
        let plan = if standard { Plan::Standard } else { Plan::Basic };
        let limits = UsageLimits { virtual_cpus: standard.then_some(2), ..Default::default() };
        let mut cluster = make(serverless(Some(plan), limits)).unwrap();
        for (n, wanted) in [first, second].iter().enumerate() {
            let now = Timestamp(2_000_000 + n as i64);
            let Ok(after) = patch(&cluster, wanted, &catalog(), now) else { continue };
            rules(&after)?;
            prop_assert_eq!((&after.id, &after.name, after.tenant, after.provider, after.created_at),
                            (&cluster.id, &cluster.name, cluster.tenant, cluster.provider, cluster.created_at));
            for region in &cluster.regions {
                prop_assert!(after.regions.iter().any(|kept| kept.name == region.name));
            }
            let runs_another = after.plan_instance().cpu_millis != cluster.plan_instance().cpu_millis;
            prop_assert_eq!(after.generation, cluster.generation + u64::from(runs_another));
            if let Ok(again) = patch(&after, wanted, &catalog(), now) {
                prop_assert_eq!(&again, &after);
            }
            cluster = after;
        }
    }
}

fn rules(cluster: &Cluster) -> Result<(), TestCaseError> {
    let limits = limits_of(cluster);
    for limit in [limits.request_units, limits.storage_mib, limits.virtual_cpus].into_iter().flatten() {
        prop_assert!(limit > 0);
    }
    match cluster.plan {
        Plan::Basic => {
            prop_assert!(limits.virtual_cpus.is_none());
            prop_assert_eq!(cluster.backup_configuration(), BackupConfiguration::default_of(Plan::Basic));
        }
        Plan::Standard => {
            prop_assert!(limits.virtual_cpus.is_some_and(|cpus| (2..=200).contains(&cpus)));
            prop_assert!(limits.request_units.is_none() && limits.storage_mib.is_none());
        }
        Plan::Advanced => {
            let dedicated = matches!(cluster.config, Config::Dedicated { .. });
            prop_assert!(dedicated);
        }
    }
    let primaries = cluster.regions.iter().filter(|region| region.primary).count();
    prop_assert_eq!(primaries, usize::from(cluster.regions.len() > 1));
    prop_assert!(cluster.regions.is_sorted_by(|a, b| a.name < b.name));
    Ok(())
}

#[test]
fn an_absent_plan_is_derived_from_the_limits_or_the_api_version() {
    let plan =
        |limits, default_plan| make(NewCluster { default_plan, ..serverless(None, limits) }).unwrap().plan;
    let units = UsageLimits { request_units: Some(1), ..Default::default() };
    let cpus = UsageLimits { virtual_cpus: Some(2), ..Default::default() };
    assert_eq!(plan(UsageLimits::default(), Some(Plan::Basic)), Plan::Basic);
    assert_eq!(plan(units, None), Plan::Basic);
    assert_eq!(plan(cpus, Some(Plan::Basic)), Plan::Standard);
    for plan in [None, Some(Plan::Standard)] {
        let refused = make(serverless(plan, UsageLimits::default())).unwrap_err();
        assert!(refused.message().contains("provisioned_virtual_cpus: is required"), "{refused}");
    }
}

#[test]
fn a_cluster_can_expire_later_unless_it_is_protected_from_deletion() {
    let now = birth().now;
    let create = |expires_at: i64, delete_protection| {
        let basic = serverless(Some(Plan::Basic), UsageLimits::default());
        make(NewCluster { expires_at: Some(Timestamp(expires_at)), delete_protection, ..basic })
    };
    for protection in [None, Some(DeleteProtection::Disabled)] {
        let cluster = create(now.0 + 1, protection).unwrap();
        assert_eq!(cluster.expires_at, Some(Timestamp(now.0 + 1)));
        let text = serde_json::to_string(&cluster).unwrap();
        assert_eq!(serde_json::from_str::<Cluster>(&text).unwrap(), cluster);
    }
    for (expires_at, protection, rule) in [
        (now.0, None, "must be in the future"),
        (now.0 + 1, Some(DeleteProtection::Enabled), "can't be combined with delete_protection ENABLED"),
    ] {
        let refused = create(expires_at, protection).unwrap_err();
        assert_eq!(refused.message(), format!("invalid argument: expires_at: {rule}"));
    }
    let kept = make(serverless(Some(Plan::Basic), UsageLimits::default())).unwrap();
    assert!(!serde_json::to_string(&kept).unwrap().contains("expires_at"));
}

fn to(plan: Plan, virtual_cpus: Option<i64>) -> ClusterPatch {
    ClusterPatch {
        plan: Some(plan),
        serverless: Some(PatchServerless {
            limits: Some(UsageLimits { virtual_cpus, ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn changing_back_to_standard_requires_a_waiting_period() {
    let limits = UsageLimits { virtual_cpus: Some(2), ..Default::default() };
    let cluster = make(serverless(Some(Plan::Standard), limits)).unwrap();
    let left = Timestamp(5_000_000);
    let basic = patch(&cluster, &to(Plan::Basic, None), &catalog(), left).unwrap();
    let back = to(Plan::Standard, Some(2));
    let soon = patch(&basic, &back, &catalog(), left.after(STANDARD_PAUSE / 2)).unwrap_err();
    assert_eq!(soon.kind(), ErrorKind::Precondition);
    assert!(patch(&basic, &back, &catalog(), left.after(STANDARD_PAUSE)).is_ok());
}

#[test]
fn a_change_of_the_plan_changes_the_backup_configuration() {
    let now = Timestamp(5_000_000);
    let basic = make(serverless(Some(Plan::Basic), UsageLimits::default())).unwrap();
    let fixed = BackupConfiguration::default_of(Plan::Basic);
    assert_eq!((basic.backup, basic.backup_configuration()), (None, fixed));
    let standard = patch(&basic, &to(Plan::Standard, Some(2)), &catalog(), now).unwrap();
    assert_eq!(standard.backup_configuration(), fixed, "the schedule is kept");
    let wanted = BackupPatch { enabled: Some(true), frequency_minutes: Some(5), retention_days: Some(7) };
    let changed = backup::patch(&standard, &wanted, now.after(STANDARD_PAUSE)).unwrap();
    assert_eq!(changed.backup_configuration().frequency_minutes, 5);
    assert_eq!((changed.updated_at, changed.generation), (now.after(STANDARD_PAUSE), standard.generation));
    let basic = patch(&changed, &to(Plan::Basic, None), &catalog(), now).unwrap();
    let expected = BackupConfiguration { retention_changed: true, ..fixed };
    assert_eq!(basic.backup_configuration(), expected);
    assert_eq!(backup::patch(&basic, &BackupPatch::default(), now.after(STANDARD_PAUSE)).unwrap(), basic);
}

fn advanced(nodes: i64) -> NewCluster {
    NewCluster {
        name: "demo-adv".into(),
        provider: Some(CloudProvider::Gcp),
        dedicated: Some(NewDedicated {
            region_nodes: [("us-west4".to_owned(), nodes)].into(),
            machine: MachineSpec { virtual_cpus: Some(4), machine_type: None },
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn each_node_of_an_advanced_cluster_has_the_cpus_of_its_machine() {
    assert_eq!(make(advanced(1)).unwrap().plan_instance().cpu_millis, Some(4000));
    let nodes = make(advanced(3)).unwrap().plan_instance().nodes;
    assert!(nodes.len() == 3 && nodes.iter().all(|node| node.cpu_millis == Some(4000)), "{nodes:?}");
}

#[test]
fn only_changes_of_windows_and_deferrals_change_the_cluster() {
    let [first, second, third] = [1, 2, 3].map(|n| Timestamp(5_000_000 + n));
    let cluster = make(advanced(1)).unwrap();
    let set = |cluster: &Cluster, now| {
        maintenance::set_window(cluster, Some("172800s"), Some("21600s"), now).unwrap()
    };
    let (changed, window) = set(&cluster, first);
    assert_eq!(window, MaintenanceWindow { offset_seconds: 172_800, length_seconds: 21_600 });
    assert_eq!((changed.maintenance_window, changed.updated_at), (Some(window), first));
    assert_eq!(changed.generation, cluster.generation, "the instance stays as it is");
    assert_eq!(set(&changed, second), (changed.clone(), window));
    let (removed, was) = maintenance::delete_window(&changed, third).unwrap();
    assert_eq!((was, &removed), (window, &Cluster { updated_at: third, ..cluster.clone() }));
    assert_eq!(maintenance::delete_window(&removed, third).unwrap_err().kind(), ErrorKind::NotFound);

    assert_eq!(cluster.deferral_policy(), ClusterVersionDeferralPolicy::NotDeferred);
    for policy in ClusterVersionDeferralPolicy::ALL {
        let changed = maintenance::set_deferral(&cluster, Some(*policy), first).unwrap();
        assert_eq!(changed.deferral_policy(), *policy);
        let same = maintenance::set_deferral(&changed, Some(*policy), second).unwrap();
        assert_eq!(same, changed);
        let none = ClusterVersionDeferralPolicy::NotDeferred;
        let removed = maintenance::set_deferral(&changed, Some(none), cluster.updated_at).unwrap();
        assert_eq!(removed, cluster);
    }
}

#[test]
fn only_advanced_clusters_have_windows_and_deferrals() {
    let now = Timestamp(5_000_000);
    let days = |days: u64| Some(now.after(std::time::Duration::from_secs(days * 24 * 3600)));
    let create = |cluster: &Cluster, start, end| {
        blackout::create(cluster, "id".to_owned(), &BlackoutPatch { start_time: start, end_time: end }, now)
    };
    for plan in [Plan::Basic, Plan::Standard] {
        let limits =
            UsageLimits { virtual_cpus: (plan == Plan::Standard).then_some(2), ..Default::default() };
        let cluster = make(serverless(Some(plan), limits)).unwrap();
        let refused = maintenance::set_window(&cluster, None, None, now).unwrap_err();
        assert_eq!(refused.message(), "maintenance windows are supported for advanced clusters only");
        let refused = maintenance::set_deferral(&cluster, None, now).unwrap_err();
        assert_eq!(refused.message(), "version deferral is supported for advanced clusters only");
        let refused = create(&cluster, None, None).unwrap_err();
        let message = "invalid argument: blackout windows are supported for advanced clusters only";
        assert_eq!(refused.message(), message);
    }
    let cluster = make(advanced(1)).unwrap();
    let window = create(&cluster, days(7), days(21)).unwrap();
    assert_eq!((Some(window.start_time), Some(window.end_time)), (days(7), days(21)));
    assert_eq!((window.cluster, window.organization), (cluster.id, cluster.organization));
    for (start, end, field) in [
        (None, days(8), "start_time: is required"),
        (days(7), None, "end_time: is required"),
        (days(6), days(8), "start_time: must be at least 7 days from now"),
        (days(7), days(7), "end_time: must be after start_time"),
        (days(7), days(22), "end_time: must be at most 14 days after start_time"),
        (days(89), days(91), "end_time: must be at most 3 months from now"),
    ] {
        let refused = create(&cluster, start, end).unwrap_err();
        assert_eq!(refused.message(), format!("invalid argument: {field}"));
    }
}

#[test]
fn only_clusters_with_several_nodes_are_stored_with_nodes() {
    let fields = ["nodes", "last_node", "leadership", "quorum", "next_quorum", "operation"];
    let single = make(advanced(1)).unwrap();
    let stored = serde_json::to_value(&single).unwrap();
    assert!(fields.iter().all(|field| stored.get(field).is_none()), "{stored}");
    assert_eq!(serde_json::from_value::<Cluster>(stored).unwrap(), single);
    assert_eq!(single.members().len(), 1);

    let several = make(advanced(3)).unwrap();
    let stored = serde_json::to_value(&several).unwrap();
    assert_eq!(stored["last_node"], 3);
    assert_eq!(serde_json::from_value::<Cluster>(stored).unwrap(), several);
    assert_eq!(several.members(), several.nodes);
}
