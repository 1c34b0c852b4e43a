//! A repository in memory, for the backups of one cluster.

use crate::support::until;
use async_trait::async_trait;
use ootheca_engine::{
    Engine, Source,
    backup::{BackupReader, BaseInfo, BaseReader},
};
use ootheca_model::{Error, ErrorKind, Result, Timestamp, instance::InstancePlan};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Cursor},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// The newest base, and all WAL segments that were ready so far.
pub(crate) struct Archive {
    info: BaseInfo,
    base: Arc<[u8]>,
    segments: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Begins with a base.
    pub(crate) async fn begin(engine: &dyn Engine, plan: &InstancePlan) -> Self {
        let (info, base) = copy_base(engine, plan).await;
        Self { info, base, segments: BTreeMap::new() }
    }

    /// The next backups begin with a new base.
    pub(crate) async fn renew_base(&mut self, engine: &dyn Engine, plan: &InstancePlan) {
        (self.info, self.base) = copy_base(engine, plan).await;
    }

    /// Takes a backup: ends the WAL segment, and moves the segments that are ready to the archive.
    pub(crate) async fn take(&mut self, engine: &dyn Engine, plan: &InstancePlan) -> Backup {
        let (cluster, epoch) = (plan.cluster, plan.epoch);
        let end =
            until("the end of a segment", || async { available(engine.end_segment(cluster, epoch).await) })
                .await;
        let ready =
            until("the segments", || async { available(engine.segments(cluster, epoch).await) }).await;
        for name in &ready {
            let content = until("the content of a segment", || async {
                available(engine.read_segment(cluster, epoch, name).await)
            })
            .await;
            self.segments.insert(name.clone(), content);
        }
        if let Some(last) = ready.last() {
            until("the removal of segments", || async {
                available(engine.remove_segments(cluster, epoch, last).await)
            })
            .await;
        }
        let last_segment = end.last_segment.max(self.info.last_segment.clone());
        assert!(last_segment.is_empty() || self.segments.contains_key(&last_segment), "no {last_segment}");
        self.backup(last_segment, end.changed)
    }

    fn backup(&self, last_segment: String, changed: bool) -> Backup {
        let needed = self.info.first_segment.as_str()..=last_segment.as_str();
        let segments = self.segments.iter().filter(|(name, _)| needed.contains(&name.as_str()));
        let segments: BTreeMap<String, Vec<u8>> =
            segments.map(|(name, content)| (name.clone(), content.clone())).collect();
        Backup {
            changed,
            engine_major: self.info.engine_major.clone(),
            bytes: self.info.bytes,
            base: self.base.clone(),
            is_base_damaged: false,
            names: segments.keys().cloned().collect(),
            segments,
            target_time: None,
            bases_read: Arc::default(),
            progress: Arc::default(),
            last_segment,
        }
    }
}

async fn copy_base(engine: &dyn Engine, plan: &InstancePlan) -> (BaseInfo, Arc<[u8]>) {
    let (info, base) = until("a base", || async {
        let mut base = Vec::<u8>::new();
        let copied = engine.copy_base(plan.cluster, plan.epoch, &mut base).await;
        available(copied).map(|info| (info, base))
    })
    .await;
    (info, base.into())
}

/// `None` if the call should be repeated.
fn available<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::Unavailable => None,
        Err(error) => panic!("{}", error.chain()),
    }
}

/// A backup in an archive. Tests damage it by changing its fields.
#[derive(Clone)]
pub(crate) struct Backup {
    /// Whether anything may have changed since the previous backup.
    pub(crate) changed: bool,
    pub(crate) last_segment: String,
    pub(crate) engine_major: String,
    pub(crate) bytes: u64,
    pub(crate) base: Arc<[u8]>,
    /// Whether reading fails after the content of the base.
    pub(crate) is_base_damaged: bool,
    /// The names of the segments that the backup needs.
    pub(crate) names: Vec<String>,
    pub(crate) segments: BTreeMap<String, Vec<u8>>,
    /// The moment to which it is restored, if that is not where its segments end.
    pub(crate) target_time: Option<Timestamp>,
    /// The number of times that the base was read, by this backup and its clones.
    pub(crate) bases_read: Arc<Mutex<u32>>,
    pub(crate) progress: Arc<Mutex<Vec<f32>>>,
}

impl Backup {
    pub(crate) fn source(&self) -> Source {
        Source::Backup(Arc::new(self.clone()))
    }

    /// A moment before the end of this backup.
    pub(crate) fn at(&self, time: Timestamp) -> Self {
        Self { target_time: Some(time), ..self.clone() }
    }
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("names", &self.names).finish_non_exhaustive()
    }
}

#[async_trait]
impl BackupReader for Backup {
    async fn base(&self) -> Result<BaseReader> {
        *self.bases_read.lock() += 1;
        let content = Cursor::new(self.base.clone());
        let reader: BaseReader = match self.is_base_damaged {
            true => Box::new(content.chain(Damaged)),
            false => Box::new(content),
        };
        Ok(reader)
    }

    fn base_bytes(&self) -> u64 {
        self.bytes
    }

    fn engine_major(&self) -> &str {
        &self.engine_major
    }

    fn segments(&self) -> &[String] {
        &self.names
    }

    async fn segment(&self, name: &str) -> Result<Vec<u8>> {
        let missing = || Error::internal(format!("WAL segment {name} is missing"));
        self.segments.get(name).cloned().ok_or_else(missing)
    }

    fn target_time(&self) -> Option<Timestamp> {
        self.target_time
    }

    fn progress(&self, fraction: f32) {
        self.progress.lock().push(fraction);
    }
}

/// Fails like an object whose authentication fails.
struct Damaged;

impl AsyncRead for Damaged {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}
