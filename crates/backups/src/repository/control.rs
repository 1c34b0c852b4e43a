//! Copies of the control store, named after the time at which they were taken.

use super::{Repository, name};
use crate::{
    archive::{CONTROL, Object},
    folder,
    upload::Upload,
};
use object_store::path::Path;
use ootheca_model::{Result, Timestamp};
use std::time::Duration;
use tokio::io::AsyncRead;

/// The number of copies that are kept, whatever their age.
const NEWEST: usize = 10;
/// The number of days of which the last copy is kept.
const DAYS: i64 = 30;
/// In microseconds.
const DAY: i64 = 24 * 3600 * 1_000_000;

impl Repository {
    /// Stores a copy of the control store. It must be later than all others. Returns the number of bytes stored.
    pub async fn put_control_copy(
        &self,
        time: Timestamp,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<u64> {
        let object = object(time);
        self.check_present().await?;
        // Also removes what an interrupted upload has left.
        self.in_folder(|folder| {
            let directory = folder.join(CONTROL);
            folder::create_private(&directory)?;
            folder::remove_uploads(&directory, Duration::ZERO)
        })
        .await?;
        let mut upload = Upload::new(self.inner.store.clone(), object.path());
        let written = std::future::ready(Ok(()));
        let stored = self.store_stream(&object, content, written, &mut upload).await;
        if stored.is_err() {
            upload.abort().await;
        }
        stored.map(|((), bytes)| bytes)
    }

    /// A copy of the control store. `NotFound` if it is missing, `Internal` if it is damaged; the rest is checked while
    /// it is read, which fails with `InvalidData`.
    pub async fn read_control_copy(&self, time: Timestamp) -> Result<Box<dyn AsyncRead + Send + Unpin>> {
        self.read_stream(object(time)).await
    }

    /// The times of all copies of the control store, oldest first.
    pub async fn control_copies(&self) -> Result<Vec<Timestamp>> {
        let found = self.inner.store.list(Some(&Path::from(CONTROL)));
        let objects = self.collect(CONTROL, found).await?;
        let mut times: Vec<Timestamp> =
            objects.iter().filter_map(name).filter_map(|name| time_in(&name)).collect();
        times.sort();
        Ok(times)
    }

    /// Removes outdated copies: the ten newest ones are kept, and the last one of each day for 30 days.
    pub async fn remove_outdated_control_copies(&self) -> Result<()> {
        let outdated = outdated(&self.control_copies().await?);
        if outdated.is_empty() {
            return Ok(());
        }
        self.delete(CONTROL, outdated.into_iter().map(|time| object(time).path()).collect()).await
    }
}

fn object(time: Timestamp) -> Object {
    Object { cluster: None, name: format!("{CONTROL}/{}", name_at(time)) }
}

/// Such as `2026-11-30T10-30-00.000000Z`.
fn name_at(time: Timestamp) -> String {
    time.to_string().replace(':', "-")
}

fn time_in(name: &str) -> Option<Timestamp> {
    let (day, time) = name.split_once('T')?;
    format!("{day}T{}", time.replace('-', ":")).parse().ok()
}

/// The copies that are not kept. `times` is sorted.
fn outdated(times: &[Timestamp]) -> Vec<Timestamp> {
    let day = |time: &Timestamp| time.0.div_euclid(DAY);
    let last_day = times.last().map_or(0, day);
    let is_kept = |at: usize, time: &Timestamp| {
        let ends_day = times.get(at + 1).is_none_or(|next| day(next) != day(time));
        at + NEWEST >= times.len() || (ends_day && last_day - day(time) < DAYS)
    };
    times.iter().enumerate().filter(|(at, time)| !is_kept(*at, time)).map(|(_, time)| *time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_contain_the_time_and_are_sorted_by_it() {
        let times = [0, 1, DAY - 1, DAY, 1_764_498_600_000_001].map(Timestamp);
        let names = times.map(name_at);
        assert_eq!(names[4], "2025-11-30T10-30-00.000001Z");
        assert!(names.is_sorted());
        assert_eq!(names.each_ref().map(|name| time_in(name)), times.map(Some));
        for other in ["", "T", "2025-11-30", "2025-11-30T10-30-00.000001Z#1"] {
            assert_eq!(time_in(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_copy_of_each_day_is_kept_for_a_month() {
        let times: Vec<Timestamp> = (0..40 * 4).map(|quarter| Timestamp(quarter * DAY / 4)).collect();
        let gone = outdated(&times);
        let kept: Vec<i64> =
            times.iter().filter(|time| !gone.contains(time)).map(|time| time.0 * 4 / DAY).collect();
        let days = (10..40).map(|day| 4 * day + 3);
        let mut expected: Vec<i64> = days.chain(150..160).collect();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(kept, expected);
    }

    proptest! {
        #[test]
        fn the_newest_copies_are_kept(times in prop::collection::btree_set(0..100 * DAY, 0..60)) {
            let times: Vec<Timestamp> = times.into_iter().map(Timestamp).collect();
            let gone = outdated(&times);
            let newest = &times[times.len().saturating_sub(NEWEST)..];
            prop_assert!(newest.iter().all(|time| !gone.contains(time)));
            // What is left does not change.
            let left: Vec<Timestamp> = times.iter().copied().filter(|time| !gone.contains(time)).collect();
            prop_assert!(outdated(&left).is_empty());
            prop_assert!(left.len() <= NEWEST + DAYS as usize);
        }
    }
}
