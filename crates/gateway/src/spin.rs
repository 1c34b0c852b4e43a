//! Looks for the next bytes for a moment before a thread goes to sleep.
//!
//! The next statement of a busy client, and the server's answer to it, come within microseconds, and
//! waking a sleeping thread costs more than looking again. Between two looks the thread gives way to
//! whoever else wants its core. With more than a few clients there is always something to do, and the
//! time is better given to them.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use tokio::{task::yield_now, time::sleep};

/// How long a thread looks on after bytes were moved on it.
const PATIENCE: Duration = Duration::from_micros(30);
/// The most connections of a thread that looks on.
const FEW: usize = 3;
const PAUSE: Duration = Duration::from_millis(100);

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    static PARKED: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Says that bytes were moved on this thread.
pub(crate) fn touch() {
    LAST.set(Some(Instant::now()));
    PARKED.with_borrow_mut(|parked| {
        if let Some(waker) = parked.take() {
            waker.wake();
        }
    });
}

/// Keeps this thread awake for a moment after bytes were moved on it, as long as it serves few
/// connections. Never ends.
pub(crate) async fn run(connections: &AtomicUsize) {
    loop {
        while LAST.get().is_some_and(|last| last.elapsed() < PATIENCE)
            && connections.load(Ordering::Relaxed) <= FEW
        {
            thread::yield_now();
            yield_now().await;
        }
        if connections.load(Ordering::Relaxed) > FEW {
            // Being woken for every statement would only cost.
            sleep(PAUSE).await;
        }
        LAST.set(None);
        poll_fn(|cx| match LAST.get() {
            Some(_) => Poll::Ready(()),
            None => {
                PARKED.with_borrow_mut(|parked| *parked = Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await;
    }
}
