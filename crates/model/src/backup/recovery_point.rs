//! Recovery points, and the backups that they stand for.

use super::BackupConfiguration;
use crate::{ClusterId, OrganizationId, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, ops::RangeInclusive, str::FromStr};
use uuid::{Builder, Uuid};

/// In microseconds.
const MILLISECOND: i64 = 1000;
/// In microseconds.
const MINUTE: i64 = 60_000_000;
/// In microseconds.
const DAY: i64 = 24 * 60 * MINUTE;

/// The ID of a backup: a UUID of version 8 that contains the milliseconds of the backup's time and seven bytes of the
/// cluster's ID. So an ID leads to its cluster and its recovery point without an index, and IDs are ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(pub Uuid);

impl BackupId {
    /// The ID of the backup of `cluster` at `time`, which is in whole milliseconds.
    pub fn new(cluster: ClusterId, time: Timestamp) -> Self {
        let millis = u64::try_from(time.0 / MILLISECOND).unwrap_or(0).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&millis[2..]);
        bytes[9..].copy_from_slice(&cluster.0.as_bytes()[..7]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The time of the backup, in whole milliseconds.
    pub fn time(self) -> Timestamp {
        let mut millis = [0; 8];
        millis[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        Timestamp(i64::from_be_bytes(millis) * MILLISECOND)
    }

    /// Whether it can be the ID of a backup of `cluster`. Other clusters whose IDs start with the same seven bytes are
    /// possible, but only in theory.
    pub fn may_be_of(self, cluster: ClusterId) -> bool {
        self == Self::new(cluster, self.time())
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for BackupId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A backup as the API lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    pub id: BackupId,
    /// The time to which it restores the data, in whole milliseconds.
    pub as_of_time: Timestamp,
}

/// A moment to which a cluster can be restored exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// The ID of its first backup, see [`BackupId`].
    pub id: BackupId,
    pub organization: OrganizationId,
    pub cluster: ClusterId,
    /// The data epoch of the data directory.
    pub epoch: u64,
    /// The ID of the base that a restore begins with.
    pub base: String,
    /// The last WAL segment that a restore needs; empty if the base is enough.
    pub last_segment: String,
    /// When the data was as it is restored, in whole milliseconds. Everything that was committed until then is
    /// contained.
    pub as_of_time: Timestamp,
    /// Until when it is certain that the data was the same; at least `as_of_time`.
    pub unchanged_until: Timestamp,
    /// The minutes between two backups, when the recovery point was taken.
    pub frequency_minutes: u16,
    /// The days for which each backup is kept, when the recovery point was taken.
    pub retention_days: u16,
    /// Whether something that a restore needs was found to be damaged or missing. Then its backups are not listed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

impl RecoveryPoint {
    /// The backups that it stands for and that have not expired at `now`, oldest first: at `as_of_time`, and at each
    /// multiple of the frequency after it until `unchanged_until`.
    pub fn backups(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = Backup> {
        self.places(now).map(|place| self.at(place))
    }

    /// The backup with this ID, if it is one of them.
    pub fn backup(&self, id: BackupId, now: Timestamp) -> Option<Backup> {
        let place = id.time().0.saturating_sub(self.as_of_time.0) / self.interval();
        let backup = self.at(place);
        (backup.id == id && self.places(now).contains(&place)).then_some(backup)
    }

    /// When its last backup expires.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.at(self.last_place()).as_of_time.0.saturating_add(self.retention()))
    }

    /// When the next backup is due: at the first multiple of the frequency after the last one that it stands for.
    pub fn next_due(&self, configuration: &BackupConfiguration) -> Timestamp {
        let interval = i64::from(configuration.frequency_minutes.max(1)) * MINUTE;
        let passed = self.unchanged_until.0.saturating_sub(self.as_of_time.0).max(0) / interval;
        Timestamp(self.as_of_time.0.saturating_add((passed + 1).saturating_mul(interval)))
    }

    /// Whether it has the schedule of the configuration, and backups were not disabled in between.
    pub fn is_of(&self, configuration: &BackupConfiguration) -> bool {
        let schedule = (configuration.frequency_minutes, configuration.retention_days);
        // Recovery points have times in whole milliseconds.
        let enabled_at = configuration.enabled_at.map(|at| backup_time(at, None));
        (self.frequency_minutes, self.retention_days) == schedule
            && enabled_at.is_none_or(|at| self.unchanged_until >= at)
    }

    /// The places of the backups that have not expired, counted from 0.
    fn places(&self, now: Timestamp) -> RangeInclusive<i64> {
        let overdue = now.0.saturating_sub(self.retention()).saturating_sub(self.as_of_time.0);
        let first = if overdue < 0 { 0 } else { overdue / self.interval() + 1 };
        first..=self.last_place()
    }

    fn last_place(&self) -> i64 {
        self.unchanged_until.0.saturating_sub(self.as_of_time.0).max(0) / self.interval()
    }

    fn at(&self, place: i64) -> Backup {
        let as_of_time = Timestamp(self.as_of_time.0.saturating_add(place * self.interval()));
        Backup { id: BackupId::new(self.cluster, as_of_time), as_of_time }
    }

    /// The microseconds between two backups.
    fn interval(&self) -> i64 {
        i64::from(self.frequency_minutes.max(1)) * MINUTE
    }

    /// The microseconds for which each backup is kept.
    fn retention(&self) -> i64 {
        i64::from(self.retention_days) * DAY
    }
}

/// `now` in whole milliseconds, or the first whole millisecond after `after` if that is later.
pub fn backup_time(now: Timestamp, after: Option<Timestamp>) -> Timestamp {
    let whole = |time: Timestamp| time.0.div_euclid(MILLISECOND) * MILLISECOND;
    let earliest = after.map(|after| whole(after) + MILLISECOND);
    Timestamp(earliest.map_or(whole(now), |earliest| earliest.max(whole(now))))
}

#[cfg(test)]
#[path = "recovery_point_tests.rs"]
mod tests;
