//! The loop of a task that only the server with the lease performs.

use crate::lifecycle::Lifecycle;
use ootheca_store::Lease;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// Calls `turn` at once, when the lease changes, when the test clock is advanced, and otherwise every `interval`. Without
/// the lease, it is called with `None`. A turn is given up when the lease changes. Ends when `stop` is true.
pub(super) async fn repeat<Turn: Future<Output = ()> + Send>(
    lifecycle: Arc<Lifecycle>,
    interval: Duration,
    mut stop: watch::Receiver<bool>,
    turn: impl Fn(Arc<Lifecycle>, Option<Lease>) -> Turn,
) {
    let mut leases = lifecycle.context.lease.subscribe();
    let mut clock = lifecycle.context.clock_moved.subscribe();
    loop {
        let lease = leases.borrow_and_update().clone();
        let work = async {
            turn(lifecycle.clone(), lease.clone()).await;
            tokio::select! {
                () = sleep(interval) => {}
                _ = clock.changed() => {}
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = leases.wait_for(|known| *known != lease) => {}
            () = work => {}
        }
    }
}
