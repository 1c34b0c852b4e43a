//! Random IDs. The model takes them as arguments, so that its decisions are pure.

use rand::RngExt;
use uuid::{Builder, Uuid};

/// A random ID.
pub fn fresh_id() -> Uuid {
    // `Uuid::new_v4` makes a system call for every ID.
    Builder::from_random_bytes(rand::rng().random()).into_uuid()
}

/// A random number for a routing ID. It is combined with a unique name, so it does not have to be unique.
pub fn fresh_tenant() -> u32 {
    rand::rng().random_range(1_000..100_000)
}
