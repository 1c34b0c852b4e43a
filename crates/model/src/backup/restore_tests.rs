use super::*;
use crate::{
    ErrorKind, PrincipalId,
    catalog::{Catalog, Region, Version},
    cluster::{
        CloudProvider, ClusterStatus, ReleaseType, SupportStatus, UsageLimits,
        create::{Birth, MachineSpec, NewCluster, NewDedicated, NewServerless, create},
        patch::{ClusterPatch, patch},
    },
    instance::Condition,
};
use uuid::Uuid;

pub(in crate::backup) const NOW: Timestamp = Timestamp(1_796_000_000_000_000);

pub(in crate::backup) fn catalog() -> Catalog {
    let version = Version {
        version: "v25.4".to_owned(),
        full_version: "v25.4.1".to_owned(),
        release_type: ReleaseType::Regular,
        support_status: SupportStatus::Supported,
        support_end: Timestamp(0),
        allowed_upgrades: Vec::new(),
        postgres: "newest".to_owned(),
    };
    let region = Region {
        provider: CloudProvider::Gcp,
        name: "us-east1".to_owned(),
        location: String::new(),
        serverless: true,
    };
    Catalog { default_version: "v25.4".to_owned(), versions: vec![version], regions: vec![region] }
}

/// A cluster with this number, in state CREATED.
pub(in crate::backup) fn cluster(number: u128, plan: Plan) -> Cluster {
    let region = "us-east1".to_owned();
    let serverless = || NewServerless {
        regions: vec![region.clone()],
        limits: UsageLimits { virtual_cpus: (plan == Plan::Standard).then_some(2), ..Default::default() },
        ..Default::default()
    };
    let dedicated = || NewDedicated {
        region_nodes: [(region.clone(), 1)].into(),
        machine: MachineSpec { virtual_cpus: Some(4), machine_type: None },
        ..Default::default()
    };
    let request = NewCluster {
        name: format!("cluster-{number}"),
        provider: Some(CloudProvider::Gcp),
        plan: Some(plan),
        serverless: (plan != Plan::Advanced).then(serverless),
        dedicated: (plan == Plan::Advanced).then(dedicated),
        ..Default::default()
    };
    let birth = Birth {
        id: ClusterId(Uuid::from_u128(number << 100)),
        tenant: 123,
        organization: OrganizationId(Uuid::nil()),
        creator: PrincipalId(Uuid::nil()),
        now: Timestamp(0),
    };
    let (cluster, _) = create(request, birth, &catalog(), |_| Ok("17".to_owned())).unwrap();
    Cluster { state: ClusterState::Created, epoch: 3, ..cluster }
}

pub(in crate::backup) fn base(source: &Cluster) -> Base {
    Base {
        id: "base".to_owned(),
        organization: source.organization,
        cluster: source.id,
        epoch: source.epoch,
        engine_major: source.engine_major.clone(),
        first_segment: String::new(),
        last_segment: String::new(),
        bytes: 1,
        stored_bytes: 1,
        created_at: NOW,
        stored_segment: String::new(),
        wal_bytes: 0,
        verified_at: None,
        damaged: false,
    }
}

pub(in crate::backup) fn point(source: &Cluster) -> RecoveryPoint {
    RecoveryPoint {
        id: BackupId::new(source.id, NOW),
        organization: source.organization,
        cluster: source.id,
        epoch: source.epoch,
        base: "base".to_owned(),
        last_segment: String::new(),
        as_of_time: NOW,
        unchanged_until: Timestamp(NOW.0 + 3_600_000_000),
        frequency_minutes: 60,
        retention_days: 30,
        damaged: false,
    }
}

fn request(kind: RestoreType) -> NewRestore {
    let (id, options) = ("restore".to_owned(), RestoreOptions::default());
    NewRestore { id, job: 42, kind, objects: Vec::new(), options }
}

fn objects(names: &[&str]) -> Vec<RestoreObject> {
    let names = names.iter().map(|name| name.split_once('.').unwrap_or((*name, "")));
    let objects = names.map(|(database, table)| RestoreObject {
        database: database.to_owned(),
        schema: String::new(),
        table: table.to_owned(),
    });
    objects.collect()
}

/// Restores the second backup of the source.
fn restored(destination: &Cluster, source: &Cluster) -> Result<(Restore, Cluster)> {
    restored_by(request(RestoreType::Cluster), destination, source)
}

fn restored_by(request: NewRestore, destination: &Cluster, source: &Cluster) -> Result<(Restore, Cluster)> {
    let point = point(source);
    let backup = point.backups(NOW).next_back().unwrap();
    create_restore(destination, source, &point, &base(source), backup, None, request, NOW)
}

#[test]
fn a_restore_locks_and_resumes_its_destination() {
    for (plan, status) in [
        (Plan::Basic, ClusterStatus::TenantRestoreRunning),
        (Plan::Standard, ClusterStatus::TenantRestoreRunning),
        (Plan::Advanced, ClusterStatus::DedicatedFullClusterRestoreRunning),
    ] {
        let source = Cluster { state: ClusterState::Deleted, ..cluster(1, plan) };
        let destination = Cluster { power: Power::Off, ..cluster(2, plan) };
        let (restore, locked) = restored(&destination, &source).unwrap();
        let in_progress =
            RestoreInProgress { id: restore.id.clone(), epoch: 4, added: false, creates: false };
        let expected = Cluster {
            state: ClusterState::Locked,
            restore: Some(in_progress),
            power: Power::On,
            updated_at: NOW,
            ..destination.clone()
        };
        assert_eq!(locked, expected, "data epoch and generation are still the same");
        assert_eq!((locked.operation_status(), locked.is_being_replaced()), (status, true));
        let time = Timestamp(NOW.0 + 3_600_000_000);
        assert_eq!((restore.backup, restore.backup_end_time), (Some(BackupId::new(source.id, time)), time));
        assert_eq!(restore.recovery_point, Some(BackupId::new(source.id, NOW)));
        assert_eq!((&restore.point_in_time, &restore.masking), (&None, &None));
        assert_eq!((restore.source, restore.destination), (source.id, destination.id));
        assert_eq!((&*restore.source_name, &*restore.destination_name), ("cluster-1", "cluster-2"));
        assert_eq!((restore.status, restore.completed_at, restore.job), (RestoreStatus::Pending, None, 42));
        let text = serde_json::to_string(&(&restore, &locked)).unwrap();
        assert_eq!(serde_json::from_str::<(Restore, Cluster)>(&text).unwrap(), (restore, locked));
    }
}

#[test]
fn a_cluster_can_be_restored_into_itself() {
    let source = cluster(1, Plan::Basic);
    let (restore, locked) = restored(&source, &source).unwrap();
    assert_eq!((restore.source, restore.destination, locked.id), (source.id, source.id, source.id));
}

#[test]
fn a_locked_cluster_is_neither_changed_nor_restored_again() {
    let source = cluster(1, Plan::Basic);
    let (_, locked) = restored(&source, &source).unwrap();
    let message = "the cluster is locked while a backup is restored into it; try again when restore restore is complete";
    let refusals = [
        restored(&locked, &source).unwrap_err(),
        patch(&locked, &ClusterPatch::default(), &catalog(), NOW).unwrap_err(),
        locked.check_unlocked().unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!((refused.kind(), refused.message()), (ErrorKind::Precondition, message));
    }
    let deleted = Cluster { state: ClusterState::Deleted, ..locked };
    deleted.check_unlocked().unwrap();
    assert_eq!(deleted.operation_status(), ClusterStatus::Unspecified);
    assert_eq!(restored(&source, &deleted).unwrap().0.source, deleted.id);
}

#[test]
fn the_destination_must_be_created_and_have_its_data() {
    let source = cluster(1, Plan::Standard);
    let mut missing = cluster(2, Plan::Standard);
    let condition =
        Condition { kind: Condition::DATA_MISSING.to_owned(), holds: true, message: String::new() };
    missing.observed.conditions = vec![condition];
    let state = |state| Cluster { state, ..cluster(2, Plan::Standard) };
    for (destination, kind, text) in [
        (state(ClusterState::Creating), ErrorKind::Precondition, "still being created"),
        (state(ClusterState::CreationFailed), ErrorKind::Precondition, "has failed"),
        (state(ClusterState::Locked), ErrorKind::Precondition, "locked"),
        (state(ClusterState::Deleted), ErrorKind::NotFound, "cluster does not exist"),
        (missing, ErrorKind::Precondition, "data of the destination cluster is missing"),
    ] {
        let refused = restored(&destination, &source).unwrap_err();
        assert_eq!(refused.kind(), kind);
        assert!(refused.message().contains(text), "{refused}");
    }
}

#[test]
fn plan_organization_and_engine_version_must_be_those_of_the_backup() {
    let destination = cluster(2, Plan::Basic);
    let other_organization =
        Cluster { organization: OrganizationId(Uuid::from_u128(1)), ..cluster(1, Plan::Basic) };
    let other_engine = Cluster { engine_major: "15".to_owned(), ..cluster(1, Plan::Basic) };
    for (source, kind, text) in [
        (
            cluster(1, Plan::Standard),
            ErrorKind::Precondition,
            "BASIC, but that of the source cluster is STANDARD",
        ),
        (other_organization, ErrorKind::NotFound, "source cluster does not exist"),
        (
            other_engine,
            ErrorKind::Precondition,
            "PostgreSQL 15, but the destination cluster uses PostgreSQL 17",
        ),
    ] {
        let refused = restored(&destination, &source).unwrap_err();
        assert_eq!(refused.kind(), kind);
        assert!(refused.message().contains(text), "{refused}");
    }
}

#[test]
fn types_have_their_own_objects_and_options() {
    use RestoreType::{Database, Table};
    let request =
        |kind, names: &[&str], options| NewRestore { objects: objects(names), options, ..request(kind) };
    let none = RestoreOptions::default;
    let into_db = || RestoreOptions { into_db: "a".to_owned(), ..none() };
    let new_db_name = || RestoreOptions { new_db_name: "a".to_owned(), ..none() };
    let reserved_name = || RestoreOptions { new_db_name: "Postgres".to_owned(), ..none() };
    let reserved_into = || RestoreOptions { into_db: "template1".to_owned(), ..none() };
    let schema_only = || RestoreOptions { schema_only: true, ..none() };
    let long = "a".repeat(256);
    let destination = cluster(1, Plan::Advanced);
    for (request, expected) in [
        (
            request(RestoreType::Cluster, &["a"], none()),
            "objects: is only valid for types DATABASE and TABLE",
        ),
        (request(Database, &[], none()), "objects: is required for type DATABASE"),
        (request(Table, &[], none()), "objects: is required for type TABLE"),
        (request(Database, &["a", ""], none()), "objects: must contain the name of a database in each item"),
        (
            request(Database, &["a.t"], none()),
            "objects: must contain only the name of a database in each item for type DATABASE",
        ),
        (
            request(Database, &["a", "template0"], none()),
            "objects: must not contain the databases postgres, template0, and template1",
        ),
        (request(Database, &["a", "b", "a"], none()), "objects: must not contain the same object twice"),
        (
            request(Table, &["a.t", "b.u"], none()),
            "restore_opts.into_db: is required for tables of several databases",
        ),
        (
            request(Table, &["a.t", "b.u", "b.t"], into_db()),
            "objects: must not contain tables of several databases with the same schema and name",
        ),
        (request(Table, &["a.t", "a.u", "a.t"], none()), "objects: must not contain the same object twice"),
        (request(Database, &[&long], none()), "objects: names must have at most 255 bytes and no zero bytes"),
        (request(Table, &["a.t\0"], none()), "objects: names must have at most 255 bytes and no zero bytes"),
        (request(Database, &["a"; 1001], none()), "objects: must have at most 1000 items"),
        (
            request(Table, &["a"], none()),
            "objects: must contain the name of a table in each item for type TABLE",
        ),
        (
            request(RestoreType::Cluster, &[], schema_only()),
            "restore_opts.schema_only: is only valid for types DATABASE and TABLE",
        ),
        (
            request(RestoreType::Cluster, &[], into_db()),
            "restore_opts.into_db: is only valid for types DATABASE and TABLE",
        ),
        (request(Database, &["a"], into_db()), "restore_opts.into_db: is only valid for type TABLE"),
        (
            request(Database, &["a", "b"], new_db_name()),
            "restore_opts.new_db_name: is only valid with a single database",
        ),
        (
            request(Table, &["a.t"], new_db_name()),
            "restore_opts.new_db_name: is only valid for type DATABASE",
        ),
        (request(Database, &["a"], reserved_name()), "restore_opts.new_db_name: \"Postgres\" is reserved"),
        (
            request(Table, &["a.t"], reserved_into()),
            "restore_opts.into_db: must not be postgres, template0, or template1",
        ),
    ] {
        let refused = request.check(&destination).unwrap_err();
        assert_eq!(refused.message(), format!("invalid argument: {expected}"));
    }
    for request in [
        request(RestoreType::Cluster, &[], none()),
        request(Database, &["a", "b"], schema_only()),
        request(Database, &["a"], new_db_name()),
        request(Table, &["a.t", "a.u"], none()),
        request(Table, &["a.t"], into_db()),
        request(Table, &["a.t", "b.u"], into_db()),
    ] {
        request.check(&destination).unwrap();
    }
}

#[test]
fn only_advanced_clusters_restore_databases_and_tables() {
    for (kind, names) in [(RestoreType::Database, "a"), (RestoreType::Table, "a.t")] {
        let request = NewRestore { objects: objects(&[names]), ..request(kind) };
        for plan in [Plan::Basic, Plan::Standard] {
            let refused = request.check(&cluster(1, plan)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Precondition);
            assert!(refused.message().contains("only ADVANCED clusters"), "{refused}");
        }
        request.check(&cluster(1, Plan::Advanced)).unwrap();
    }
}

#[test]
fn databases_and_tables_are_restored_into_a_usable_cluster_one_restore_at_a_time() {
    let (source, destination) = (cluster(1, Plan::Advanced), cluster(2, Plan::Advanced));
    let tables = || NewRestore {
        objects: objects(&["a.v", "a.u", "a.t"]),
        options: RestoreOptions { skip_missing_views: true, ..RestoreOptions::default() },
        ..request(RestoreType::Table)
    };
    let (restore, after) = restored_by(tables(), &destination, &source).unwrap();
    let running = RestoreInProgress { id: restore.id.clone(), epoch: 4, added: false, creates: false };
    assert_eq!(after, Cluster { restore: Some(running), ..destination.clone() });
    assert_eq!(
        (after.operation_status(), after.is_being_replaced()),
        (destination.operation_status(), false)
    );
    after.check_unlocked().unwrap();
    assert_eq!((restore.kind, &restore.objects), (RestoreType::Table, &objects(&["a.t", "a.u", "a.v"])));
    assert_eq!(restore.options, tables().options);
    let text = serde_json::to_string(&(&restore, &after)).unwrap();
    assert_eq!(serde_json::from_str::<(Restore, Cluster)>(&text).unwrap(), (restore, after.clone()));
    for request in [request(RestoreType::Cluster), tables()] {
        let refused = restored_by(request, &after, &source).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Precondition);
        assert!(refused.message().contains("locked for other restores"), "{refused}");
    }
}

#[test]
fn a_restore_without_a_type_is_that_of_a_cluster() {
    let source = cluster(1, Plan::Basic);
    let (restore, _) = restored(&source, &source).unwrap();
    let mut row = serde_json::to_value(&restore).unwrap();
    assert_eq!((row.get("objects"), row.get("options")), (None, None));
    row.as_object_mut().unwrap().remove("kind");
    assert_eq!(serde_json::from_value::<Restore>(row).unwrap(), restore);
}

#[test]
fn a_restore_to_a_point_in_time_begins_with_the_backup_before_it() {
    let source = cluster(1, Plan::Basic);
    let (point, base) = (point(&source), base(&source));
    let backup = point.backups(NOW).next().unwrap();
    let wanted = PointInTime { time: Timestamp(NOW.0 + 1), last_segment: "7".to_owned() };
    let moment = Some(wanted.clone());
    let request = request(RestoreType::Cluster);
    let (restore, _) = create_restore(&source, &source, &point, &base, backup, moment, request, NOW).unwrap();
    assert_eq!((restore.backup, restore.backup_end_time), (Some(backup.id), NOW));
    assert_eq!(restore.point_in_time, Some(wanted));
    let text = serde_json::to_string(&restore).unwrap();
    assert_eq!(serde_json::from_str::<Restore>(&text).unwrap(), restore);
}

#[test]
fn restores_of_an_earlier_release_are_read() {
    let source = cluster(1, Plan::Basic);
    let (restore, locked) = restored(&source, &source).unwrap();
    let row = serde_json::to_value(&restore).unwrap();
    assert!(row["backup"].is_string() && row["recovery_point"].is_string(), "{row}");
    assert_eq!((row.get("point_in_time"), row.get("masking")), (None, None));
    let running = serde_json::to_value(&locked.restore).unwrap();
    assert_eq!(running, serde_json::json!({ "id": restore.id, "epoch": 4 }));
}
