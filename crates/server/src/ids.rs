//! Random IDs. The model takes them as arguments, so that its decisions are pure.

use rand::RngExt;
use uuid::{Builder, Uuid};

/// A random ID.
pub fn fresh_id() -> Uuid {
    #[cfg(test)]
    if let Some(id) = seeded::next() {
        return id;
    }
    // `Uuid::new_v4` makes a system call for every ID.
    Builder::from_random_bytes(rand::rng().random()).into_uuid()
}

/// A random number for a routing ID. It is combined with a unique name, so it does not have to be unique.
pub fn fresh_tenant() -> u32 {
    rand::rng().random_range(1_000..100_000)
}

/// IDs that follow from a seed, for tests that must be repeatable.
#[cfg(test)]
pub(crate) mod seeded {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    use std::cell::RefCell;
    use uuid::{Builder, Uuid};

    thread_local! {
        static IDS: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    }

    /// From now on, the IDs of this thread follow from `seed`.
    pub(crate) fn seed(seed: u64) {
        IDS.set(Some(StdRng::seed_from_u64(seed)));
    }

    pub(super) fn next() -> Option<Uuid> {
        IDS.with_borrow_mut(|ids| Some(Builder::from_random_bytes(ids.as_mut()?.random()).into_uuid()))
    }
}
