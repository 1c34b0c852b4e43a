//! An engine that is restarted between steps.

use crate::support::{Driver, Folder, new_cluster, plan, ready};
use ootheca_engine::Engine;
use ootheca_model::{ErrorKind, Result, instance::InstancePlan};

pub(crate) struct Fixture {
    pub(crate) driver: Driver,
    pub(crate) folder: Folder,
    pub(crate) engine: Box<dyn Engine>,
    /// Whether its servers archive WAL.
    archives: bool,
}

impl Fixture {
    pub(crate) async fn new(driver: Driver) -> Self {
        Self::open(driver, false).await
    }

    /// An engine whose servers archive WAL.
    pub(crate) async fn archiving(driver: Driver) -> Self {
        Self::open(driver, true).await
    }

    async fn open(driver: Driver, archives: bool) -> Self {
        let folder = Folder::new();
        let engine = open(driver, &folder, archives).await;
        Self { driver, folder, engine, archives }
    }

    /// Starts an empty cluster.
    pub(crate) async fn empty_cluster(&self) -> InstancePlan {
        let plan = plan(&*self.engine, new_cluster());
        ready(&*self.engine, &plan).await;
        plan
    }

    /// Restarts the engine. `detach` keeps the servers running.
    pub(crate) async fn restart(&mut self, detach: bool) {
        self.engine.close(detach).await;
        self.engine = open(self.driver, &self.folder, self.archives).await;
    }

    /// The epochs that have an instance.
    pub(crate) async fn epochs(&self) -> Vec<u64> {
        self.engine.report().await.unwrap().into_iter().map(|report| report.epoch).collect()
    }

    pub(crate) async fn close(self) {
        self.engine.close(false).await;
    }
}

async fn open(driver: Driver, folder: &Folder, archives: bool) -> Box<dyn Engine> {
    match archives {
        true => driver.open_archiving(folder).await,
        false => driver.open(folder).await,
    }
}

pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}
