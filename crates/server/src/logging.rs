//! Writes logs and messages to standard error without blocking or failing its caller.
//!
//! A thread writes the lines of a bounded queue. If standard error is a pipe that is not read, or is closed, lines
//! that don't fit are dropped and counted.

use ootheca_model::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tracing_subscriber::EnvFilter;

/// The maximum number of bytes that wait to be written.
const CAPACITY: usize = 1024 * 1024;

/// The lines that wait for a thread that writes them.
struct Output {
    queue: Mutex<Queue>,
    /// Notified when a line was added or written.
    changed: Condvar,
    /// The number of lines that were not written.
    dropped: AtomicU64,
    running: AtomicBool,
}

struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// The bytes of `lines`, and of the line that is being written.
    bytes: usize,
}

static STDERR: Output = Output::new();

type SetFilter = dyn Fn(EnvFilter) -> Result<()> + Send + Sync;

static SET_FILTER: OnceLock<Box<SetFilter>> = OnceLock::new();

impl Output {
    const fn new() -> Self {
        Self {
            queue: Mutex::new(Queue { lines: VecDeque::new(), bytes: 0 }),
            changed: Condvar::new(),
            dropped: AtomicU64::new(0),
            running: AtomicBool::new(false),
        }
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.queue.lock();
        if queue.bytes + line.len() > CAPACITY {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    /// Writes every line, forever. `report` gets the number of lines that were dropped since it was last called.
    fn write(&self, mut file: impl Write, report: impl Fn(u64)) {
        let mut reported = 0;
        loop {
            let line = self.next();
            let written = file.write_all(&line).and_then(|()| file.flush()).is_ok();
            if !written {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.queue.lock().bytes -= line.len();
            self.changed.notify_all();
            if !written {
                continue;
            }
            let dropped = self.dropped.load(Ordering::Relaxed);
            if dropped > reported {
                report(dropped - reported);
                reported = dropped;
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                return line;
            }
            self.changed.wait(&mut queue);
        }
    }

    /// Waits until everything is written, for at most `limit`.
    fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut queue = self.queue.lock();
        while queue.bytes > 0 && !self.changed.wait_until(&mut queue, deadline).timed_out() {}
    }
}

/// Standard error, as the logger sees it.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts logging. The filter is the variable `OOTHECA_LOG` until [`set_filter`] is called.
pub fn start() -> Result<()> {
    let failed = |error: io::Error| Error::internal("could not start logging").because(error);
    // A copy, because the lock of the standard library would be held while a write blocks.
    let file = File::from(io::stderr().as_fd().try_clone_to_owned().map_err(failed)?);
    let report =
        |lines| tracing::warn!(lines, "log lines dropped, because standard error was not read fast enough");
    thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || STDERR.write(file, report))
        .map_err(failed)?;
    STDERR.running.store(true, Ordering::Relaxed);
    let filter = EnvFilter::try_from_env("OOTHECA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_writer(|| Stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    subscriber.init();
    let _ = SET_FILTER.set(Box::new(move |filter| {
        handle.reload(filter).map_err(|error| Error::internal("could not set the log filter").because(error))
    }));
    // The default hook blocks if standard error is not read.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a thread panicked");
    }));
    Ok(())
}

/// Whether this process logs, so that messages have to pass through the queue.
pub fn is_running() -> bool {
    STDERR.running.load(Ordering::Relaxed)
}

/// Parses a filter, such as `info` or `info,ootheca_gateway=debug`.
pub fn parse_filter(text: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(text).map_err(|error| {
        let rule = format!("must be a level, or a list such as \"info,ootheca_gateway=debug\": {error}");
        Error::invalid("log", rule)
    })
}

/// Replaces the filter. Does nothing if this process doesn't log.
pub fn set_filter(text: &str) -> Result<()> {
    let filter = parse_filter(text)?;
    SET_FILTER.get().map_or(Ok(()), |set| set(filter))
}

/// Prints a message that is not a log line.
pub fn print(text: &str) {
    STDERR.push(text.as_bytes());
}

/// The number of lines that were not written.
pub fn dropped() -> u64 {
    STDERR.dropped.load(Ordering::Relaxed)
}

/// Waits until everything is written, for at most `limit`.
pub fn flush(limit: Duration) {
    STDERR.flush(limit);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Gives each line to a channel, and writes the next one only after the previous one was received.
    struct Slow(mpsc::SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
            self.0.send(line.to_vec()).map_err(gone).map(|()| line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_do_not_fit_are_dropped_and_counted() {
        static OUTPUT: Output = Output::new();
        let (send, receive) = mpsc::sync_channel(0);
        let (report, reported) = mpsc::channel();
        thread::spawn(move || OUTPUT.write(Slow(send), |lines| report.send(lines).unwrap()));
        let line = vec![b'x'; CAPACITY / 4];
        for _ in 0..6 {
            OUTPUT.push(&line);
        }
        OUTPUT.flush(Duration::from_millis(1));
        assert_eq!(OUTPUT.dropped.load(Ordering::Relaxed), 2);
        for _ in 0..4 {
            assert_eq!(receive.recv().unwrap(), line);
        }
        assert_eq!(reported.recv().unwrap(), 2);
        OUTPUT.push(b"fits again");
        assert_eq!(receive.recv().unwrap(), b"fits again");
        OUTPUT.flush(Duration::from_secs(30));
        assert_eq!(OUTPUT.queue.lock().bytes, 0);
        assert!(reported.try_recv().is_err(), "each dropped line is reported once");
        // Lines that can't be written don't block later ones, nor do they cause further lines.
        drop(receive);
        OUTPUT.push(b"lost");
        OUTPUT.flush(Duration::from_secs(30));
        assert_eq!(OUTPUT.dropped.load(Ordering::Relaxed), 3);
        assert!(reported.try_recv().is_err());
    }

    #[test]
    fn filters_are_checked() {
        parse_filter("info,ootheca_gateway=debug").unwrap();
        let error = parse_filter("ootheca=loud").unwrap_err();
        assert!(error.message().contains("log:"), "{error}");
    }
}
