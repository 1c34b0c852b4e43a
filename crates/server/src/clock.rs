//! The system clock, and the test clock, which users can advance.
//!
//! The test clock is disabled unless the server was started with `--test-clock`, and logs warnings while it
//! is in use. It can only be advanced, and its offset is stored.

use crate::documents;
use ootheca_model::{Result, Timestamp, time::Clock};
use ootheca_store::{Batch, Kind, Mutation, Row, Store};
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::SystemTime,
};

/// The system clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// The setting in the store that contains the offset of the test clock.
const SETTING: &str = "test-clock";

/// The system time plus an offset.
#[derive(Default)]
pub struct TestClock {
    ahead_micros: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add(self.ahead_micros.load(Ordering::SeqCst)))
    }
}

impl TestClock {
    /// Opens the clock with the offset in the store.
    pub async fn open(store: &dyn Store) -> Result<Self> {
        let row = store.get(Kind::Setting, SETTING).await?;
        let ahead = row.and_then(|row| row.document.parse().ok()).unwrap_or(0);
        let clock = Self { ahead_micros: AtomicI64::new(ahead) };
        tracing::warn!(now = %clock.now(), "TEST CLOCK: the API can advance the time; do not use in production");
        Ok(clock)
    }

    /// Advances the clock permanently.
    pub(crate) async fn advance(&self, store: &dyn Store, seconds: i64) -> Result<Timestamp> {
        let micros = seconds.saturating_mul(1_000_000);
        let ahead = self.ahead_micros.fetch_add(micros, Ordering::SeqCst).saturating_add(micros);
        let now = self.now();
        let change = match store.get(Kind::Setting, SETTING).await? {
            Some(row) => Mutation::Update(Row { document: ahead.to_string(), ..row }),
            None => Mutation::Insert(documents::setting(SETTING, ahead.to_string(), now)),
        };
        store.commit(Batch::server("test clock").with(change), now).await?;
        tracing::warn!(%now, seconds, "TEST CLOCK: time advanced");
        Ok(now)
    }
}
