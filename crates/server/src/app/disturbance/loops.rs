//! The control loops of one process, and the schedule that decides which of them goes on.

use super::schedule::{Schedule, short};
use crate::{
    context::Context,
    lifecycle::{
        Lifecycle,
        expiry::Expiry,
        reconcile::{Driver, cluster, step::Step},
        scale_to_zero,
    },
    metering::{Metering, collector},
};
use ootheca_model::ClusterId;
use ootheca_store::{Changed, Kind, Store};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast,
    task::{JoinError, JoinSet},
    time::Instant,
};

type StepResult = ootheca_model::Result<Step>;

/// The maximum number of turns until the loops have nothing to do.
const TURNS: usize = 400;
/// Longer than the reconciler waits between two scans.
pub(super) const SCANNED: Duration = Duration::from_secs(16);
/// The pauses of a disturbed run, in milliseconds.
const PAUSES: [u64; 5] = [1, 10, 100, 500, 5_000];

/// A task that runs beside the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Scan,
    Tick,
    Step,
}

/// The control loops of one process. Dropping them is a crash.
pub(super) struct Loops {
    pub(super) lifecycle: Arc<Lifecycle>,
    driver: Driver,
    schedule: Arc<Schedule>,
    truth: Arc<dyn Store>,
    rows: broadcast::Receiver<Changed>,
    instances: broadcast::Receiver<ClusterId>,
    /// Hints that were not delivered yet; `None` means that hints were lost.
    hints: VecDeque<Option<ClusterId>>,
    tasks: JoinSet<Task>,
    running: Vec<Task>,
}

impl Loops {
    /// Starts the loops over `context`. `truth` is the store without disturbances.
    pub(super) fn start(context: Context, truth: Arc<dyn Store>, schedule: Arc<Schedule>) -> Self {
        let context = Arc::new(context);
        let metering = Arc::new(Metering::new(context.clone()));
        let (rows, instances) = (context.store.changes(), context.engine.watch());
        let lifecycle = Arc::new(Lifecycle::new(context, metering));
        let driver = Driver::new(lifecycle.clone(), "the server".to_owned());
        let (hints, tasks, running) = (VecDeque::new(), JoinSet::new(), Vec::new());
        Self { lifecycle, driver, schedule, truth, rows, instances, hints, tasks, running }
    }

    /// Aborts all tasks.
    pub(super) async fn crash(mut self) {
        self.tasks.shutdown().await;
        self.driver.steps.shutdown().await;
    }

    pub(super) fn metering(&self) -> &Arc<Metering> {
        &self.lifecycle.metering
    }

    /// Lets one of the loops go on: the one that the schedule picks, or all of them if nothing is disturbed.
    pub(super) async fn act(&mut self, known: &[ClusterId]) {
        if !self.schedule.is_on() {
            return self.calm_turn().await;
        }
        match self.schedule.below(12) {
            0 | 1 => self.deliver(),
            2..=4 => self.turn().await,
            5 | 6 => tokio::task::yield_now().await,
            7 => self.spawn(Task::Scan),
            8 => self.spawn(Task::Tick),
            9 if !known.is_empty() => {
                let count = u64::try_from(known.len()).unwrap_or(1);
                let id = known[usize::try_from(self.schedule.below(count)).unwrap_or(0)];
                self.duplicate(id);
            }
            _ => {
                let pause = PAUSES[usize::try_from(self.schedule.below(5)).unwrap_or(0)];
                tokio::time::advance(Duration::from_millis(pause)).await;
            }
        }
        self.reap();
    }

    /// Everything that a loop can do now, in order.
    async fn calm_turn(&mut self) {
        self.deliver_all();
        self.turn().await;
        tokio::task::yield_now().await;
        self.reap();
        let pause = self.driver.wake_at().saturating_duration_since(Instant::now());
        tokio::time::advance(pause.clamp(Duration::from_millis(1), Duration::from_millis(100))).await;
    }

    /// Everything that the loops can do until so much time has passed.
    pub(super) async fn act_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.calm_turn().await;
        }
    }

    /// Waits until no step and no task is running.
    pub(super) async fn drain(&mut self) {
        while let Some(done) = self.tasks.join_next().await {
            self.ended(done);
        }
        while let Some(done) = self.driver.steps.join_next().await {
            self.finish(done);
        }
    }

    /// Runs the loops until they have nothing to do, for at least `least`. Returns whether they come to rest.
    /// With `lost`, the clusters whose data is missing are visited again and again.
    pub(super) async fn settle(&mut self, least: Duration, lost: bool) -> bool {
        let start = Instant::now();
        let mut commits = u64::MAX;
        for _ in 0..TURNS {
            self.drain().await;
            self.deliver_all();
            self.turn().await;
            self.drain().await;
            self.scan_and_tick().await;
            self.collect();
            let stamps = [Kind::Cluster, Kind::Meter, Kind::SqlCatalog].map(|kind| self.stamp(kind));
            let before = std::mem::replace(&mut commits, stamps.iter().sum());
            let soon = self.driver.wake_at().saturating_duration_since(Instant::now());
            let visits = if lost { soon < Duration::from_millis(900) } else { self.driver.is_waiting() };
            if commits == before && self.hints.is_empty() && !visits && start.elapsed() >= least {
                return true;
            }
            tokio::time::advance(soon.max(Duration::from_millis(1))).await;
        }
        false
    }

    fn stamp(&self, kind: Kind) -> u64 {
        self.truth.stamp(kind).unwrap_or(0)
    }

    async fn scan_and_tick(&mut self) {
        for task in [Task::Scan, Task::Tick] {
            self.spawn(task);
            while let Some(done) = self.tasks.join_next().await {
                self.ended(done);
            }
        }
    }

    async fn turn(&mut self) {
        if let Err(error) = self.driver.turn().await {
            self.schedule.note(format!("turn failed: {error}"));
        }
    }

    fn spawn(&mut self, task: Task) {
        if self.running.contains(&task) {
            return;
        }
        self.schedule.note(format!("{task:?} starts"));
        self.running.push(task);
        let (lifecycle, metering) = (self.lifecycle.clone(), self.metering().clone());
        self.tasks.spawn(async move {
            let result = match task {
                Task::Tick => collector::tick(&metering).await,
                _ => scan(&lifecycle).await,
            };
            drop(result);
            task
        });
    }

    /// A second step of the same cluster, as after a panic of the first one.
    pub(super) fn duplicate(&mut self, id: ClusterId) {
        let Some(lease) = self.lifecycle.context.lease.borrow().clone() else { return };
        self.schedule.note(format!("step of {} twice", short(id)));
        let lifecycle = self.lifecycle.clone();
        self.tasks.spawn(async move {
            drop(cluster::step(&lifecycle, id, lease, 0).await);
            Task::Step
        });
    }

    /// Receives the hints that were sent since the last time.
    fn collect(&mut self) {
        loop {
            match self.rows.try_recv() {
                Ok(hint) if hint.kind == Kind::Cluster => self.hints.push_back(hint.id.parse().ok()),
                Ok(_) => {}
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.hints.push_back(None),
                Err(_) => break,
            }
        }
        loop {
            match self.instances.try_recv() {
                Ok(id) => self.hints.push_back(Some(id)),
                Err(broadcast::error::TryRecvError::Lagged(_)) => self.hints.push_back(None),
                Err(_) => break,
            }
        }
    }

    fn deliver_all(&mut self) {
        self.collect();
        while let Some(hint) = self.hints.pop_front() {
            self.driver.hint(hint);
        }
    }

    /// Delivers the next hint: once, twice, later, or never.
    fn deliver(&mut self) {
        self.collect();
        let Some(hint) = self.hints.pop_front() else { return };
        let name = hint.map_or_else(|| "all".to_owned(), short);
        match self.schedule.below(10) {
            0 | 1 => self.schedule.note(format!("hint {name}: lost")),
            2 => self.hints.push_back(hint),
            3 => {
                self.schedule.note(format!("hint {name}: twice"));
                self.driver.hint(hint);
                self.driver.hint(hint);
            }
            _ => {
                self.schedule.note(format!("hint {name}"));
                self.driver.hint(hint);
            }
        }
    }

    fn reap(&mut self) {
        while let Some(done) = self.driver.steps.try_join_next() {
            self.finish(done);
        }
        while let Some(done) = self.tasks.try_join_next() {
            self.ended(done);
        }
    }

    fn ended(&mut self, done: Result<Task, JoinError>) {
        match done {
            Ok(done) => self.running.retain(|task| *task != done),
            Err(error) => self.schedule.violated(format!("a task panicked: {error}")),
        }
    }

    fn finish(&mut self, done: Result<(ClusterId, StepResult), JoinError>) {
        match &done {
            Ok((id, Ok(step))) => self.schedule.note(format!("step of {}: {step:?}", short(id))),
            Ok((id, Err(error))) => self.schedule.note(format!("step of {}: {:?}", short(id), error.kind())),
            Err(error) => self.schedule.violated(format!("a step panicked: {error}")),
        }
        self.driver.finish(done.ok());
    }
}

async fn scan(lifecycle: &Arc<Lifecycle>) -> ootheca_model::Result<()> {
    let idle = Duration::from_secs(lifecycle.context.settings.scale_to_zero.idle_seconds);
    let lease = lifecycle.context.lease.borrow().clone();
    let Some(lease) = lease else { return Ok(()) };
    Expiry::new(lifecycle.clone()).visit(&lease).await;
    scale_to_zero::scan(lifecycle, &lease, idle).await.map(drop)
}
