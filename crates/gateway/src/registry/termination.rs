//! How the gateway terminates sessions, and why.

use crate::Notice;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
    task::{Context, Poll},
};

/// Why the gateway terminates a session. Later reasons override earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Termination {
    /// The gateway shuts down: terminate between two transactions.
    Drain = 1,
    /// The gateway shuts down: terminate immediately.
    Shutdown,
    /// The cluster exceeds its storage limit. One session may connect again.
    Throttled,
    /// The allowlist no longer contains the client's address.
    NotAllowed,
    /// The cluster exceeds its request unit limit.
    Disabled,
    /// The cluster was deleted.
    Deleted,
}

/// Shared between the registry and a session: the requested termination, and the byte counters.
#[derive(Default)]
pub(crate) struct SessionHandle {
    termination: AtomicU8,
    waker: AtomicWaker,
    notice: Mutex<Option<Notice>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl SessionHandle {
    pub(super) fn terminate(&self, termination: Termination) {
        self.termination.fetch_max(termination as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    pub(super) fn terminate_with_notice(&self, termination: Termination, notice: &Notice) {
        *self.notice.lock() = Some(notice.clone());
        self.terminate(termination);
    }

    /// The requested termination, if any. The calling task is woken when it changes.
    pub(crate) fn poll_termination(&self, cx: &mut Context<'_>) -> Option<Termination> {
        self.waker.register(cx.waker());
        match self.termination.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Termination::Drain),
            2 => Some(Termination::Shutdown),
            3 => Some(Termination::Throttled),
            4 => Some(Termination::NotAllowed),
            5 => Some(Termination::Disabled),
            _ => Some(Termination::Deleted),
        }
    }

    /// Waits until termination is requested.
    pub(crate) async fn terminated(&self) -> Termination {
        poll_fn(|cx| self.poll_termination(cx).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// The control plane's explanation of the termination.
    pub(crate) fn notice(&self) -> Option<Notice> {
        self.notice.lock().clone()
    }

    /// Sets the number of bytes sent to the client. Only the session itself calls this.
    pub(crate) fn set_sent(&self, bytes: u64) {
        self.sent.store(bytes, Ordering::Relaxed);
    }

    /// Sets the number of bytes received from the client. Only the session itself calls this.
    pub(crate) fn set_received(&self, bytes: u64) {
        self.received.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}
