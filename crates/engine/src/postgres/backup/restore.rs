//! Builds a data directory from a backup.

use super::{
    control_file::ControlFile,
    label::{self, LABEL},
    recovery::{Recovery, Target, ends_early},
    unpack::{unpack, write_file},
    wal::{Lsn, USUAL_SEGMENT_BYTES, WAL_FOLDER, WalLayout},
};
use crate::{
    backup::BackupReader,
    files::{blocking, disk_space, failed, write_for_owner},
    postgres::{
        binaries::Programs,
        context::EngineContext,
        control_secret,
        missing::version_file,
        owner::Owner,
        server::MAX_WAL_BYTES,
        shared::Shared,
        staging::create_data_folder,
        template::{ACCESS, ACCESS_FILE},
    },
};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, Result, backup::MaskingScript};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

const MIB: u64 = 1 << 20;
/// The progress when the base is unpacked, and when its WAL is there.
const UNPACKED: f64 = 0.8;
const WAL_ADDED: f64 = 0.9;

impl Shared {
    /// Builds the data of a backup in the folder of a new instance of the cluster, which is returned. The data is neither
    /// adapted to the cluster nor durable yet.
    pub(in crate::postgres) async fn restore(
        self: &Arc<Self>,
        cluster: ClusterId,
        programs: &Programs,
        id: &str,
        reader: &dyn BackupReader,
    ) -> Result<PathBuf> {
        check_space(&self.context, reader)?;
        let (folder, owner) = create_data_folder(&self.context, id).await?;
        let data = folder.join("data");
        let restore = Restore { shared: self, cluster, programs, owner: &owner, data: &data, reader };
        restore.unpack_base().await?;
        let end = restore.add_wal().await?;
        // Without WAL, the data is that of the base.
        let target = reader.target_time().zip(end).map(|(time, end)| Target { time, end });
        let recovery = Recovery {
            context: &self.context,
            id,
            programs,
            owner: &owner,
            data: &data,
            sockets: &self.context.run().join(id),
            log: &folder.join("log"),
        };
        let recovered = recovery.run(target, self.staging_interrupted(cluster)).await?;
        if target.is_none() && end.is_some_and(|end| recovered < end) {
            return Err(ends_early());
        }
        failpoint::reach("backup recovered");
        reader.progress(1.0);
        Ok(folder)
    }

    /// Adapts the complete data of a new instance, whose server does not run, to its cluster: gives it the control password
    /// and the rules for connections, and runs masking.
    pub(in crate::postgres) async fn adapt(
        &self,
        cluster: ClusterId,
        programs: &Programs,
        id: &str,
        folder: &Path,
        masking: Option<&MaskingScript>,
    ) -> Result<()> {
        let recovery = Recovery {
            context: &self.context,
            id,
            programs,
            owner: &self.context.owner_of(id, folder)?,
            data: &folder.join("data"),
            sockets: &self.context.run().join(id),
            log: &folder.join("log"),
        };
        let statements = control_secret::statements(&self.context, cluster).await?;
        recovery.change(&statements, self.staging_interrupted(cluster)).await?;
        let folder = folder.to_owned();
        blocking(move || {
            write_for_owner(&folder.join("data"), ACCESS_FILE, ACCESS.as_bytes())?;
            control_secret::record(&folder, cluster)
        })
        .await?;
        match masking {
            Some(masking) => recovery.mask(masking, self.staging_interrupted(cluster)).await,
            None => Ok(()),
        }
    }
}

/// Besides what the backup contains, the server needs space for new WAL.
fn check_space(context: &EngineContext, reader: &dyn BackupReader) -> Result<()> {
    let wal = USUAL_SEGMENT_BYTES.saturating_mul(reader.segments().len() as u64);
    let spare = MAX_WAL_BYTES.saturating_add(context.settings.disk_reserve_bytes);
    let needed = reader.base_bytes().saturating_add(wal).saturating_add(spare);
    match disk_space(&context.instances()) {
        Some(space) if space.free_bytes < needed => Err(Error::precondition(format!(
            "the restore needs {} MiB of disk space, and {} MiB are free",
            needed.div_ceil(MIB),
            space.free_bytes / MIB
        ))),
        _ => Ok(()),
    }
}

/// A restore into a data directory.
struct Restore<'a> {
    shared: &'a Shared,
    cluster: ClusterId,
    programs: &'a Programs,
    owner: &'a Owner,
    data: &'a Path,
    reader: &'a dyn BackupReader,
}

/// Where the recovery of an unpacked base begins.
struct Start {
    /// The first WAL segment that it needs.
    segment: String,
    /// `None` if the base contains a label: then it is not consistent without WAL.
    stopped: Option<ControlFile>,
}

impl Restore<'_> {
    async fn unpack_base(&self) -> Result<()> {
        let (mut unpacked, total) = (0, self.reader.base_bytes());
        let advance = |bytes: u64| {
            unpacked += bytes;
            self.report(UNPACKED * fraction(unpacked, total));
            self.check()
        };
        unpack(self.reader.base().await?, self.data, self.owner, advance).await?;
        failpoint::reach("backup unpacked");
        Ok(())
    }

    /// Adds the WAL segments to the data. Returns where the WAL ends, unless the base is recovered without any.
    async fn add_wal(&self) -> Result<Option<Lsn>> {
        let (data, major) = (self.data.to_owned(), self.programs.major.to_string());
        let start = blocking(move || find_start(&data, &major)).await?;
        // Earlier ones may be there as well.
        let names: Vec<&String> =
            self.reader.segments().iter().filter(|name| **name >= start.segment).collect();
        let mut last: Option<(WalLayout, u64)> = None;
        for (at, name) in names.iter().enumerate() {
            self.check()?;
            let expected = match last {
                Some((layout, number)) => layout.name(number + 1),
                None => start.segment.clone(),
            };
            if **name != expected {
                return Err(missing(&expected));
            }
            let content = self.reader.segment(name).await?;
            last = Some(self.add_segment(name, content, last).await?);
            let added = fraction(at as u64 + 1, names.len() as u64);
            self.report(UNPACKED + (WAL_ADDED - UNPACKED) * added);
        }
        match (last, start.stopped) {
            (None, None) => return Err(missing(&start.segment)),
            // To an archive recovery, such a label would be that of an incomplete base, and it needs none.
            (Some(_), Some(control)) if control.shut_down && self.reader.target_time().is_none() => {
                let label = label::for_stopped_server(&control, &start.segment);
                self.write(LABEL, label.into_bytes()).await?;
            }
            _ => {}
        }
        Ok(last.map(|(layout, number)| layout.start(number + 1)))
    }

    /// Writes a segment, which must have the same layout as the previous one. Returns its layout and number.
    async fn add_segment(
        &self,
        name: &str,
        content: Vec<u8>,
        previous: Option<(WalLayout, u64)>,
    ) -> Result<(WalLayout, u64)> {
        let layout = WalLayout::of(name, content.len() as u64)
            .filter(|layout| previous.is_none_or(|(previous, _)| previous == *layout));
        let numbered = layout.and_then(|layout| Some((layout, layout.number(name)?)));
        let numbered = numbered.ok_or_else(|| Error::internal(format!("WAL segment {name} is damaged")))?;
        self.write(&format!("{WAL_FOLDER}/{name}"), content).await?;
        Ok(numbered)
    }

    async fn write(&self, name: &str, content: Vec<u8>) -> Result<()> {
        let (path, owner) = (self.data.join(name), self.owner.clone());
        blocking(move || write_file(&path, &owner, &content)).await
    }

    /// The progress only informs, so it does not have to be exact.
    fn report(&self, progress: f64) {
        self.reader.progress(progress as f32);
    }

    fn check(&self) -> Result<()> {
        if self.shared.is_staging_interrupted(self.cluster) {
            return Err(Error::unavailable("the restore was interrupted"));
        }
        Ok(())
    }
}

/// Reads an unpacked base, which must be that of this major version.
fn find_start(data: &Path, major: &str) -> Result<Start> {
    let path = version_file(data);
    let version = fs::read_to_string(&path).map_err(failed("read", &path))?;
    let version = version.trim();
    if version != major {
        let message = format!("the base of the backup belongs to PostgreSQL {version} instead of {major}");
        return Err(Error::internal(message));
    }
    let control = ControlFile::read(data)?;
    let path = data.join(LABEL);
    match fs::read_to_string(&path) {
        Ok(label) => {
            let segment = label::start_segment(&label);
            let segment = segment.ok_or_else(|| Error::internal("the label of the backup is damaged"))?;
            Ok(Start { segment: segment.to_owned(), stopped: None })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let layout = WalLayout::read(&data.join(WAL_FOLDER))?;
            Ok(Start { segment: layout.name(layout.containing(control.redo)), stopped: Some(control) })
        }
        Err(error) => Err(failed("read", &path)(error)),
    }
}

fn missing(segment: &str) -> Error {
    Error::internal(format!("WAL segment {segment} is missing"))
}

fn fraction(part: u64, whole: u64) -> f64 {
    (part as f64 / whole.max(1) as f64).min(1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fractions_do_not_exceed_one() {
        assert!((fraction(1, 4) - 0.25).abs() < 1e-9);
        assert!([(0, 0), (5, 4), (4, 4)].iter().all(|(part, whole)| fraction(*part, *whole) <= 1.0));
    }

    #[test]
    fn a_base_that_is_no_data_directory_is_damaged() {
        let data = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir_all(data.join("global")).unwrap();
        let error = || find_start(&data, "15").err().unwrap();
        assert!(error().message().contains("PG_VERSION"), "{}", error());
        fs::write(data.join("PG_VERSION"), "14\n").unwrap();
        assert!(error().message().contains("PostgreSQL 14 instead of 15"), "{}", error());
        fs::write(data.join("PG_VERSION"), "15\n").unwrap();
        assert!(error().message().contains("pg_control"), "{}", error());
        fs::write(data.join("global/pg_control"), vec![1; 8192]).unwrap();
        assert!(error().message().contains("pg_wal"), "{}", error());
        fs::write(data.join(LABEL), "x").unwrap();
        assert!(error().message().contains("label"), "{}", error());
        fs::remove_dir_all(&data).unwrap();
    }
}
