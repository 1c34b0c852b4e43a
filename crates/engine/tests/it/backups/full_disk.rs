//! A restore that the error of a full disk interrupts. The error comes from the base, because a test can't fill the disk.

use super::at_epoch;
use crate::{
    archive::{Archive, Backup},
    fixture::Fixture,
    support::Driver,
};
use async_trait::async_trait;
use ootheca_engine::{
    Source,
    backup::{BackupReader, BaseReader},
};
use ootheca_model::{ErrorKind, Result};
use std::{
    io::{self, Cursor},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// A backup that can be read up to the middle of its base.
#[derive(Debug)]
struct Interrupted(Backup);

#[async_trait]
impl BackupReader for Interrupted {
    async fn base(&self) -> Result<BaseReader> {
        let half = self.0.base[..self.0.base.len() / 2].to_vec();
        Ok(Box::new(Cursor::new(half).chain(FullDisk)))
    }

    fn base_bytes(&self) -> u64 {
        self.0.base_bytes()
    }

    fn engine_major(&self) -> &str {
        self.0.engine_major()
    }

    fn segments(&self) -> &[String] {
        self.0.segments()
    }

    async fn segment(&self, name: &str) -> Result<Vec<u8>> {
        self.0.segment(name).await
    }

    fn progress(&self, fraction: f32) {
        self.0.progress(fraction);
    }
}

struct FullDisk;

impl AsyncRead for FullDisk {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::StorageFull.into()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_data_if_the_disk_is_full() {
    keeps_the_data_if_the_disk_is_full(Driver::Postgres).await;
}

#[tokio::test]
async fn simulated_keeps_the_data_if_the_disk_is_full() {
    keeps_the_data_if_the_disk_is_full(Driver::Simulated).await;
}

async fn keeps_the_data_if_the_disk_is_full(driver: Driver) {
    let fixture = Fixture::archiving(driver).await;
    let engine = &*fixture.engine;
    let plan = fixture.cluster().await;
    let mut archive = Archive::begin(engine, &plan).await;
    let backup = archive.take(engine, &plan).await;
    fixture.add(plan.cluster, "zeta").await;
    let source = Source::Backup(Arc::new(Interrupted(backup.clone())));
    for _ in 0..2 {
        let error = engine.stage(plan.cluster, 1, &source, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "the backup is not damaged: {}", error.chain());
        assert_eq!(fixture.epochs().await, [0]);
        fixture.instances_on_disk(1).await;
        fixture.contains(&plan, &["first", "zeta"]).await;
    }
    fixture.stage(plan.cluster, 1, &backup).await.unwrap();
    fixture.contains(&at_epoch(&plan, 1), &["first"]).await;
    fixture.close().await;
}
