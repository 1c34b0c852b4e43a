#![allow(clippy::unwrap_used)]

use super::*;
use ootheca_model::OrganizationId;
use ootheca_store::{Batch, Mutation, Row};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestCaseResult, TestRunner},
};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// In microseconds.
const MINUTE: i64 = 60_000_000;
const START: i64 = 1_796_000_000_000_000;

/// A recovery point, and how it differs from the one before.
#[derive(Clone, Debug)]
struct Part {
    /// The minutes in which the data is the same.
    length: i64,
    /// The minutes until the next recovery point.
    pause: i64,
    /// Whether its backups are 5 instead of 10 minutes apart.
    often: bool,
    /// Whether they are kept for 7 days instead of 2.
    long: bool,
    damaged: bool,
    /// Whether it begins a data epoch.
    restored: bool,
    /// Whether it has a new base.
    replaced: bool,
    /// If it has a new base: whether the chain of that one ends before the next base.
    ended: bool,
    /// If it has a new base: whether that one was copied while the server was stopped.
    stopped: bool,
}

fn any_part() -> impl Strategy<Value = Part> {
    let rarely = || prop::bool::weighted(0.15);
    let times = (prop_oneof![Just(0), 0..90_i64], 1..40_i64);
    let flags = (any::<bool>(), any::<bool>(), rarely(), rarely(), any::<bool>(), rarely(), any::<bool>());
    (times, flags).prop_map(|(times, flags)| {
        let ((length, pause), (often, long, damaged, restored, replaced, ended, stopped)) = (times, flags);
        Part { length, pause, often, long, damaged, restored, replaced, ended, stopped }
    })
}

/// What is stored of a cluster.
struct History {
    cluster: ClusterId,
    points: Vec<RecoveryPoint>,
    /// The base of each recovery point, and whether its chain has ended.
    bases: Vec<(Base, bool)>,
}

impl History {
    /// Recovery points one after the other. Each one needs another WAL segment.
    fn of(parts: &[Part]) -> Self {
        let cluster = ClusterId(crate::ids::fresh_id());
        let mut history = Self { cluster, points: Vec::new(), bases: Vec::new() };
        let (mut time, mut epoch) = (Timestamp(START), 0);
        for (number, part) in parts.iter().enumerate() {
            epoch += u64::from(part.restored);
            let segment = format!("{epoch:08}{number:016}");
            let (base, ended) = match history.bases.last() {
                Some(known) if !part.replaced && !part.restored => known.clone(),
                _ => (base_of(cluster, epoch, &segment, time, part.stopped), part.ended),
            };
            let point = RecoveryPoint {
                id: BackupId::new(cluster, time),
                organization: OrganizationId(Uuid::nil()),
                cluster,
                epoch,
                base: base.id.clone(),
                last_segment: segment,
                as_of_time: time,
                unchanged_until: Timestamp(time.0 + part.length * MINUTE),
                frequency_minutes: if part.often { 5 } else { 10 },
                retention_days: if part.long { 7 } else { 2 },
                damaged: part.damaged,
            };
            time = Timestamp(point.unchanged_until.0 + part.pause * MINUTE);
            history.points.push(point);
            history.bases.push((base, ended));
        }
        history
    }

    fn batch(&self) -> Batch {
        let mut mutations: Vec<Mutation> =
            self.points.iter().map(|point| documents::insert(point).unwrap()).collect();
        let mut bases = self.bases.clone();
        bases.dedup_by(|later, first| later.0.id == first.0.id);
        mutations.extend(bases.into_iter().map(|(base, ended)| {
            let ended_at = ended.then_some(base.created_at);
            match documents::insert(&base).unwrap() {
                Mutation::Insert(row) => Mutation::Insert(Row { ended_at, ..row }),
                other => panic!("{other:?}"),
            }
        }));
        Batch { mutations, ..Batch::server("test") }
    }

    /// The backups that are listed, and the places of their recovery points.
    fn listed(&self, now: Timestamp) -> Vec<(usize, Backup)> {
        let intact = self.points.iter().enumerate().filter(|(_, point)| !point.damaged);
        intact.flat_map(|(place, point)| point.backups(now).map(move |backup| (place, backup))).collect()
    }

    /// The backup with which a restore to a moment begins, and the last WAL segment that is replayed; or a part of the
    /// error if the moment can't be restored.
    fn expected(&self, time: Timestamp, now: Timestamp) -> Result<(Backup, &str), &'static str> {
        let listed = self.listed(now);
        let (Some((_, oldest)), Some((newest, _))) = (listed.first(), listed.last()) else {
            return Err("has no backup");
        };
        if time < oldest.as_of_time || time > self.points[*newest].unchanged_until {
            return Err("must be between");
        }
        let (from, backup) = *listed.iter().rfind(|(_, backup)| backup.as_of_time <= time).unwrap();
        let to = (from..self.points.len()).find(|place| self.points[*place].unchanged_until >= time).unwrap();
        for place in from..to {
            let (before, next) = (&self.points[place], &self.points[place + 1]);
            if before.epoch != next.epoch {
                return Err("was replaced");
            }
            if next.damaged {
                return Err("is damaged");
            }
            if before.base != next.base && self.bases[place].1 {
                return Err("is incomplete");
            }
        }
        let (segment, base) = (&self.points[to].last_segment, &self.bases[from].0);
        let is_enough = base.first_segment.is_empty() && *segment == base.last_segment;
        Ok((backup, if is_enough { "" } else { segment.as_str() }))
    }
}

/// A base that needs `segment`, or contains it if it was copied while the server was stopped.
fn base_of(cluster: ClusterId, epoch: u64, segment: &str, created_at: Timestamp, stopped: bool) -> Base {
    Base {
        id: crate::ids::fresh_id().to_string(),
        organization: OrganizationId(Uuid::nil()),
        cluster,
        epoch,
        engine_major: "17".to_owned(),
        first_segment: if stopped { String::new() } else { segment.to_owned() },
        last_segment: segment.to_owned(),
        bytes: 0,
        stored_bytes: 0,
        created_at,
        stored_segment: String::new(),
        wal_bytes: 0,
        verified_at: None,
        damaged: false,
    }
}

/// Checks histories in a store, with a time in minutes after their start.
fn check_histories<T: std::fmt::Debug>(
    more: impl Strategy<Value = T>,
    check: impl Fn(&Runtime, &dyn Store, &History, Timestamp, T) -> TestCaseResult,
) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    let store = &*runtime.block_on(ootheca_store::open(&url)).unwrap();
    let parts = prop::collection::vec(any_part(), 0..12);
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let strategy = (parts, -10..4500_i64, more);
    let result = TestRunner::new(config).run(&strategy, |(parts, now, more)| {
        let (history, now) = (History::of(&parts), minutes(now));
        runtime.block_on(store.commit(history.batch(), now)).unwrap();
        check(&runtime, store, &history, now, more)
    });
    result.unwrap();
}

/// The time so many minutes after the start.
fn minutes(minutes: i64) -> Timestamp {
    Timestamp(START + minutes * MINUTE)
}

#[test]
fn the_backups_in_a_range_are_read_in_either_direction() {
    let range = (-30..600_i64, -30..600_i64, 1..12_usize);
    check_histories(range, |runtime, store, history, now, (from, until, limit)| {
        let all: Vec<Backup> = history.listed(now).into_iter().map(|(_, backup)| backup).collect();
        for descending in [false, true] {
            let times = minutes(from)..minutes(until);
            let mut expected: Vec<Backup> =
                all.iter().copied().filter(|backup| times.contains(&backup.as_of_time)).collect();
            if descending {
                expected.reverse();
            }
            expected.truncate(limit);
            let wanted = Wanted { times, descending, limit };
            let found = runtime.block_on(backups(store, history.cluster, &wanted, now)).unwrap();
            let found: Vec<Backup> = found.into_iter().map(|(backup, _)| backup).collect();
            prop_assert_eq!(found, expected);
        }
        for backup in history.points.iter().flat_map(|point| point.backups(Timestamp(0))).step_by(9) {
            let found = runtime.block_on(super::backup(store, history.cluster, backup.id, now)).unwrap();
            prop_assert_eq!(found.map(|(found, _)| found), all.contains(&backup).then_some(backup));
        }
        Ok(())
    });
}

#[test]
fn a_moment_begins_with_the_last_backup_and_ends_with_the_next_recovery_point() {
    check_histories(-30..700_i64, |runtime, store, history, now, random| {
        let bounds = history.points.iter().flat_map(|point| {
            let (from, until) = (point.as_of_time.0, point.unchanged_until.0);
            [from - 1, from, until, until + 1].map(Timestamp)
        });
        for time in bounds.step_by(3).chain([minutes(random)]) {
            let found = runtime.block_on(moment(store, history.cluster, "point_in_time", time, now));
            match (found, history.expected(time, now)) {
                (Ok(found), Ok((backup, segment))) => {
                    prop_assert_eq!(found.backup, backup);
                    prop_assert!(found.point.value.backup(backup.id, now).is_some());
                    prop_assert_eq!(&found.base.value.id, &found.point.value.base);
                    let expected = PointInTime { time, last_segment: segment.to_owned() };
                    prop_assert_eq!(found.point_in_time, Some(expected));
                }
                (Err(refused), Err(reason)) => {
                    prop_assert!(refused.message().contains(reason), "{refused} instead of {reason}");
                }
                (found, expected) => {
                    return Err(TestCaseError::fail(format!("{found:?} instead of {expected:?}")));
                }
            }
        }
        Ok(())
    });
}
