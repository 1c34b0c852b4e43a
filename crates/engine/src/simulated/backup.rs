//! Backups of the simulated engine. A base and a WAL segment contain all data at one time, as JSON, and a segment also the
//! changes since the segment before. Its name is the number of changes until its end.

use super::{
    changes::DataChange,
    state::{ClusterData, ClusterDocument, ClusterFiles, Clusters, SimulatedCluster},
};
use crate::{
    ClusterSource,
    backup::{BackupReader, WalEnd},
    files::{failed, make_folder, names_in, write_atomically},
};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, ErrorKind, Result, Timestamp, instance::Phase};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fs, io, path::PathBuf};
use tokio::io::AsyncReadExt;

/// The content of a WAL segment.
#[derive(Serialize, Deserialize)]
struct Segment {
    /// In order. Segments of earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<DataChange>,
    #[serde(flatten)]
    data: ClusterData,
}

impl Clusters {
    /// What serves with this epoch.
    fn with_epoch(&mut self, cluster: ClusterId, epoch: u64) -> Result<&mut SimulatedCluster> {
        let Some(simulated) = self.serving.get_mut(&cluster) else {
            return Err(Error::unavailable("the cluster has no instance"));
        };
        let current = simulated.last_plan().epoch;
        if current != epoch {
            let message = format!("the cluster is served with data epoch {current} instead of {epoch}");
            return Err(Error::new(ErrorKind::Stale, message));
        }
        match simulated.phase() {
            Phase::Ready | Phase::Suspended => Ok(simulated),
            _ => Err(Error::unavailable("the cluster is neither ready nor suspended")),
        }
    }
}

impl ClusterFiles {
    /// The content of a base.
    pub(super) fn base(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<u8>> {
        encode(&self.lock().with_epoch(cluster, epoch)?.document.data)
    }

    /// The present data of a cluster.
    pub(super) fn present(&self, source: &ClusterSource) -> Result<ClusterData> {
        let mut clusters = self.lock();
        if !clusters.serving.contains_key(&source.cluster) {
            return Err(Error::not_found("source cluster"));
        }
        Ok(clusters.with_epoch(source.cluster, source.epoch)?.document.data.clone())
    }

    pub(super) fn end_segment(&self, cluster: ClusterId, epoch: u64) -> Result<WalEnd> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let simulated = clusters.with_epoch(cluster, epoch)?;
        let changes = simulated.document.changes;
        if simulated.document.archived != changes {
            self.archive(simulated)?;
        }
        let last_segment = if changes == 0 { String::new() } else { segment_name(changes) };
        Ok(WalEnd { last_segment, changed: simulated.ended.replace(changes) != Some(changes) })
    }

    /// Ends the WAL segment with the recent changes.
    pub(super) fn archive(&self, simulated: &mut SimulatedCluster) -> Result<()> {
        // The segment comes first: if it is written again, its content is the same.
        self.write_segment(&simulated.document)?;
        let document = ClusterDocument {
            archived: simulated.document.changes,
            recent: Vec::new(),
            ..simulated.document.clone()
        };
        self.write(&document)?;
        simulated.document = document;
        Ok(())
    }

    fn write_segment(&self, document: &ClusterDocument) -> Result<()> {
        let folder = self.segments_folder(document.plan.cluster, document.plan.epoch);
        make_folder(&folder, 0o700)?;
        let segment = Segment { changes: document.recent.clone(), data: document.data.clone() };
        write_atomically(&folder, &segment_name(document.changes), &encode(&segment)?)?;
        failpoint::reach("simulated segment written");
        Ok(())
    }

    pub(super) fn segments(&self, cluster: ClusterId, epoch: u64) -> Result<Vec<String>> {
        self.lock().with_epoch(cluster, epoch)?;
        let mut names = names_in(&self.segments_folder(cluster, epoch));
        names.retain(|name| is_segment(name));
        names.sort();
        Ok(names)
    }

    pub(super) fn read_segment(&self, cluster: ClusterId, epoch: u64, name: &str) -> Result<Vec<u8>> {
        self.lock().with_epoch(cluster, epoch)?;
        let absent = || Error::not_found(format!("WAL segment {name}"));
        if !is_segment(name) {
            return Err(absent());
        }
        let path = self.segments_folder(cluster, epoch).join(name);
        fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => absent(),
            _ => failed("read", &path)(error),
        })
    }

    pub(super) fn remove_segments(&self, cluster: ClusterId, epoch: u64, last: &str) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let names = self.segments(cluster, epoch)?.into_iter().filter(|name| name.as_str() <= last);
        for path in names.map(|name| self.segments_folder(cluster, epoch).join(name)) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(error));
                }
                _ => failpoint::reach("simulated segment removed"),
            }
        }
        Ok(())
    }

    /// The folder with the segments that are ready.
    pub(super) fn segments_folder(&self, cluster: ClusterId, epoch: u64) -> PathBuf {
        self.file(cluster, epoch).with_extension("wal")
    }
}

/// Reads the data of a backup, at its target time.
pub(super) async fn read(backup: &dyn BackupReader) -> Result<ClusterData> {
    let mut base = Vec::new();
    backup.base().await?.read_to_end(&mut base).await.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => damaged(error),
        _ => Error::unavailable("could not read the base").because(error),
    })?;
    let mut data: ClusterData = decode(&base)?;
    if let Some(time) = backup.target_time() {
        data = replay(backup, data, time).await?;
    } else if let Some(last) = backup.segments().last() {
        data = decode::<Segment>(&backup.segment(last).await?)?.data;
    }
    backup.progress(1.0);
    Ok(data)
}

/// Applies the changes that happened by `time` to the data of a base.
async fn replay(backup: &dyn BackupReader, mut data: ClusterData, time: Timestamp) -> Result<ClusterData> {
    for name in backup.segments() {
        let segment: Segment = decode(&backup.segment(name).await?)?;
        for change in segment.changes {
            if change.time > time {
                return Ok(data);
            }
            change.apply(&mut data);
        }
        data = segment.data;
    }
    Ok(data)
}

fn encode(content: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(content)
        .map_err(|error| Error::internal("cannot encode the data of a simulated cluster").because(error))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(damaged)
}

fn damaged(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("the backup is damaged").because(cause)
}

/// Names have the same length, so that their order is that of the numbers.
fn segment_name(changes: u64) -> String {
    format!("{changes:016X}")
}

fn is_segment(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}
