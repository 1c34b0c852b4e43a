use super::*;
use crate::{
    ClusterId, ErrorKind, Plan, PrincipalId,
    backup::{
        BackupId,
        restore::tests::{NOW, base, catalog, cluster, point},
    },
    cluster::{
        DeleteProtection,
        create::{Birth, create},
    },
    instance::Condition,
};
use uuid::Uuid;

fn request() -> NewClone {
    NewClone { id: "clone".to_owned(), job: 42, masking: None, explicit_version: false }
}

/// A cluster that was created just now.
fn new_cluster(plan: Plan) -> Cluster {
    Cluster { state: ClusterState::Creating, epoch: 0, ..cluster(2, plan) }
}

/// A clone of the present data.
fn cloned(source: &Cluster, request: NewClone) -> Result<(Restore, Cluster)> {
    let source = CloneSource { cluster: source, backup: None, point_in_time: None };
    clone_into(new_cluster(Plan::Basic), &source, request, NOW)
}

#[test]
fn a_clone_is_being_created_until_its_data_is_restored() {
    let source = cluster(1, Plan::Advanced);
    let masking = MaskingScript { database: "shop".to_owned(), text: "SELECT 1".to_owned() };
    let request = NewClone { masking: Some(masking.clone()), ..request() };
    let (restore, clone) = cloned(&source, request).unwrap();
    let running = RestoreInProgress { id: "clone".to_owned(), epoch: 1, added: false, creates: true };
    assert_eq!((clone.state, clone.epoch, clone.restore), (ClusterState::Creating, 0, Some(running)));
    assert_eq!((clone.plan, clone.power), (Plan::Basic, Power::On));
    assert_eq!((restore.source, &restore.source_name), (source.id, &source.name));
    assert_eq!((restore.destination, &restore.destination_name), (clone.id, &clone.name));
    assert_eq!((restore.kind, restore.masking, restore.job), (RestoreType::Cluster, Some(masking), 42));
    assert_eq!((restore.backup, restore.recovery_point, restore.backup_end_time), (None, None, NOW));
}

#[test]
fn a_clone_can_begin_with_a_backup_or_a_point_in_time() {
    let source = Cluster { state: ClusterState::Deleted, ..cluster(1, Plan::Standard) };
    let (point, base) = (point(&source), base(&source));
    let backup = point.backups(NOW).next_back().unwrap();
    let later = PointInTime { time: Timestamp(NOW.0 + 1), last_segment: "7".to_owned() };
    for point_in_time in [None, Some(later)] {
        let data = Some((backup, &point, &base));
        let source = CloneSource { cluster: &source, backup: data, point_in_time: point_in_time.clone() };
        let (restore, clone) = clone_into(new_cluster(Plan::Basic), &source, request(), NOW).unwrap();
        assert_eq!((restore.backup, restore.backup_end_time), (Some(backup.id), backup.as_of_time));
        assert_eq!(restore.recovery_point, Some(BackupId::new(source.cluster.id, NOW)));
        assert_eq!(restore.point_in_time, point_in_time);
        let text = serde_json::to_string(&(&restore, &clone)).unwrap();
        assert_eq!(serde_json::from_str::<(Restore, Cluster)>(&text).unwrap(), (restore, clone));
    }
}

#[test]
fn the_source_of_present_data_must_have_it() {
    let state = |state| Cluster { state, ..cluster(1, Plan::Basic) };
    let mut missing = cluster(1, Plan::Basic);
    let condition =
        Condition { kind: Condition::DATA_MISSING.to_owned(), holds: true, message: String::new() };
    missing.observed.conditions = vec![condition];
    for (source, text) in [
        (state(ClusterState::Creating), "still being created"),
        (state(ClusterState::CreationFailed), "has failed"),
        (state(ClusterState::Locked), "locked while a backup is restored"),
        (state(ClusterState::Deleted), "is deleted; set backup_id or point_in_time"),
        (missing, "data of the source cluster is missing; set backup_id or point_in_time"),
    ] {
        let refused = cloned(&source, request()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Precondition);
        assert!(refused.message().contains(text), "{refused}");
    }
    let suspended = Cluster { power: Power::Off, ..cluster(1, Plan::Basic) };
    assert_eq!(cloned(&suspended, request()).unwrap().1.power, Power::On);
    let organization = OrganizationId(Uuid::from_u128(1));
    let foreign = Cluster { organization, ..cluster(1, Plan::Basic) };
    let refused = cloned(&foreign, request()).unwrap_err();
    assert_eq!((refused.kind(), refused.message()), (ErrorKind::NotFound, "source cluster does not exist"));
}

#[test]
fn the_version_of_a_clone_is_that_of_its_data() {
    let newer = ("v26.1".to_owned(), "v26.1.2".to_owned(), "18".to_owned());
    let (version, full_version, engine_major) = newer.clone();
    let source = Cluster { version, full_version, engine_major, ..cluster(1, Plan::Advanced) };
    let versions = |cluster: Cluster| (cluster.version, cluster.full_version, cluster.engine_major);
    assert_eq!(versions(cloned(&source, request()).unwrap().1), newer);

    let explicit = || NewClone { explicit_version: true, ..request() };
    let refused = cloned(&source, explicit()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Precondition);
    let expected = "cockroach_version: v25.4 uses PostgreSQL 17, but the data of the source cluster is that of PostgreSQL 18";
    assert_eq!(refused.message(), expected);

    let same_major = Cluster { engine_major: "17".to_owned(), ..source.clone() };
    assert_eq!(cloned(&same_major, explicit()).unwrap().1.version, "v25.4");

    let before_its_upgrade = Base { engine_major: "17".to_owned(), ..base(&source) };
    let point = point(&source);
    let backup = point.backups(NOW).next().unwrap();
    let backup = Some((backup, &point, &before_its_upgrade));
    let source = CloneSource { cluster: &source, backup, point_in_time: None };
    let (_, clone) = clone_into(new_cluster(Plan::Advanced), &source, explicit(), NOW).unwrap();
    assert_eq!((&*clone.version, &*clone.engine_major), ("v25.4", "17"));
}

#[test]
fn a_masking_script_has_a_text_and_a_database() {
    let requested = |text: &str, database: &str| {
        MaskingScript::requested(Some(text.to_owned()), Some(database.to_owned()))
    };
    let script =
        |database: &str| Some(MaskingScript { database: database.to_owned(), text: "SELECT 1".to_owned() });
    assert_eq!(MaskingScript::requested(None, None).unwrap(), None);
    assert!(MaskingScript::requested(None, Some("shop".to_owned())).is_err());
    assert_eq!(requested("SELECT 1", "").unwrap(), script("defaultdb"));
    assert_eq!(requested("SELECT 1", "Shop").unwrap(), script("Shop"));
    requested(&"a".repeat(1 << 20), "").unwrap();
    let long = "a".repeat(256);
    for (text, database, expected) in [
        ("", "shop", "masking_sql: must not be empty"),
        (" \n", "", "masking_sql: must not be empty"),
        (&*"a".repeat((1 << 20) + 1), "", "masking_sql: must have at most 1048576 bytes"),
        ("SELECT '\0'", "", "masking_sql: must not contain a zero byte"),
        ("SELECT 1", &*long, "masking_database: names must have at most 255 bytes and no zero bytes"),
        ("SELECT 1", "postgres", "masking_database: must not be postgres, template0, or template1"),
    ] {
        let refused = requested(text, database).unwrap_err();
        assert_eq!(refused.message(), format!("invalid argument: restore_from.{expected}"));
    }
}

#[test]
fn a_specification_is_that_of_the_source() {
    for plan in Plan::ALL {
        let source = Cluster {
            labels: [("team".to_owned(), "shop".to_owned())].into(),
            delete_protection: DeleteProtection::Enabled,
            ..cluster(1, *plan)
        };
        let request = NewCluster { name: "branch".to_owned(), ..specification_of(&source) };
        let birth = Birth {
            id: ClusterId(Uuid::from_u128(7)),
            tenant: 7,
            organization: source.organization,
            creator: PrincipalId(Uuid::nil()),
            now: NOW,
        };
        let (branch, open) = create(request, birth, &catalog(), |_| Ok("17".to_owned())).unwrap();
        assert_eq!((branch.plan, branch.provider), (*plan, source.provider));
        assert_eq!(branch.regions, source.regions);
        assert_eq!((&branch.config, &branch.cidr_range), (&source.config, &source.cidr_range));
        assert_eq!((branch.network_visibility, open), (source.network_visibility, *plan != Plan::Advanced));
        assert_eq!((branch.labels.len(), branch.delete_protection), (0, DeleteProtection::Disabled));
    }
}
