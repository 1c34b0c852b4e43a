//! Samples of each running cluster, taken every ten seconds, for charts.
//!
//! They cost almost nothing, because no server is queried: at the end of a tick, a sample is created from
//! what the meter has read and recorded since the previous one. So a suspended cluster has no samples, and
//! sampling neither resumes a cluster nor keeps it running. Samples are written every two minutes, in three
//! rows for each cluster: one of the fine series, and one of each of the two coarser series, whose samples are
//! sums of finer ones.
//!
//! Only the server that does the metering takes samples. Its lease does not guard the writes: in the worst
//! case two servers write the same row, and a moment of a chart is lost.

pub mod buffer;
pub mod downsample;
pub mod row;
pub mod sample;
#[cfg(test)]
mod tests;

use crate::{
    documents::{self, Stored},
    metering::Metering,
};
use buffer::Timed;
use downsample::{FINE, STEPS, Step, roll_up};
use ootheca_model::{ClusterId, Result, Timestamp, meter::Meter};
use ootheca_store::{Batch, Kind, Mutation, Query, SampleRow, SampleRows};
use row::Places;
use std::collections::{BTreeMap, HashMap};

/// The number of clusters whose samples are written in one batch.
const TOGETHER: usize = 100;

/// A time in seconds.
pub(crate) fn second(moment: Timestamp) -> i64 {
    moment.0.div_euclid(1_000_000)
}

fn moment(second: i64) -> Timestamp {
    Timestamp(second.saturating_mul(1_000_000))
}

/// The interval of samples: at least the interval of the meter.
pub(crate) fn seconds_between(metering: &Metering) -> i64 {
    let seconds =
        metering.context.settings.samples.seconds.max(metering.context.settings.metering.tick_seconds);
    i64::try_from(seconds).unwrap_or(i64::MAX).max(FINE.seconds)
}

/// If it is time, takes a sample of every cluster that the meter has just found running.
pub(crate) async fn tick(metering: &Metering) -> Result<()> {
    let (buffer, now) = (&metering.samples, second(metering.context.now()));
    let seconds = i64::try_from(metering.context.settings.samples.seconds).unwrap_or(i64::MAX);
    if !metering.context.settings.samples.enabled || !buffer.is_due(now, seconds) {
        return Ok(());
    }
    load_storage(metering).await?;
    buffer.sample(now, |cluster| metering.activity.sessions(cluster));
    if let Some(samples) = buffer.unwritten(now) {
        write(metering, &samples).await?;
    }
    if buffer.forgets(now) {
        forget(metering, now).await?;
    }
    Ok(())
}

/// Writes all samples that are not written yet, when the server stops.
pub(crate) async fn close(metering: &Metering) -> Result<()> {
    write(metering, &metering.samples.all_unwritten(second(metering.context.now()))).await
}

/// A cluster without a session since it resumed was not measured, so its storage is read from its meter.
async fn load_storage(metering: &Metering) -> Result<()> {
    let unknown = metering.samples.without_storage();
    if unknown.is_empty() {
        return Ok(());
    }
    let ids = Some(unknown.iter().map(ClusterId::to_string).collect());
    for row in metering.context.store.list(&Query { ids, ..Query::all(Kind::Meter) }).await? {
        let meter: Stored<Meter> = documents::decode(row)?;
        metering.samples.stores(meter.value.cluster, meter.value.last.storage_bytes);
    }
    unknown.into_iter().for_each(|cluster| metering.samples.stores(cluster, 0));
    Ok(())
}

async fn write(metering: &Metering, samples: &[(ClusterId, Timed)]) -> Result<()> {
    for portion in samples.chunks(TOGETHER) {
        let mut by_row: BTreeMap<i64, Vec<(ClusterId, Timed)>> = BTreeMap::new();
        for (cluster, samples) in portion {
            let mut rows: BTreeMap<i64, Timed> = BTreeMap::new();
            for (second, sample) in samples {
                rows.entry(FINE.row_start(*second)).or_default().insert(*second, *sample);
            }
            for (start, samples) in rows {
                by_row.entry(start).or_default().push((*cluster, samples));
            }
        }
        for (start, samples) in by_row {
            write_rows(metering, start, &samples).await?;
        }
        metering.samples.mark_written(portion);
    }
    Ok(())
}

/// Writes the samples of the fine row that starts at `start`.
async fn write_rows(metering: &Metering, start: i64, samples: &[(ClusterId, Timed)]) -> Result<()> {
    let clusters: Vec<ClusterId> = samples.iter().map(|(cluster, _)| *cluster).collect();
    let mut known: Vec<HashMap<ClusterId, Places>> = Vec::new();
    for step in STEPS {
        let from = step.row_start(start);
        known.push(
            read(metering, &clusters, step, from, from + 1).await?.into_iter().map(two_of_three).collect(),
        );
    }
    let mut batch = Batch::server("samples");
    for (cluster, samples) in samples {
        let mut rows = known.iter_mut().map(|rows| rows.remove(cluster).unwrap_or_default());
        let (mut finer, mut below) = (rows.next().unwrap_or_default(), FINE);
        for (second, sample) in samples {
            finer.entry(FINE.place(*second)).or_default().add(sample);
        }
        batch.mutations.push(change(*cluster, FINE, start, &finer));
        for (step, mut places) in STEPS.into_iter().skip(1).zip(rows) {
            let from = (below, below.row_start(start), &finer);
            roll_up(from, (step, step.row_start(start), &mut places));
            batch.mutations.push(change(*cluster, step, start, &places));
            (finer, below) = (places, step);
        }
    }
    metering.context.store.commit(batch, metering.context.now()).await.map(|_| ())
}

fn two_of_three((cluster, _, places): (ClusterId, i64, Places)) -> (ClusterId, Places) {
    (cluster, places)
}

fn change(cluster: ClusterId, step: Step, second: i64, places: &Places) -> Mutation {
    Mutation::KeepSamples(SampleRow {
        cluster,
        step_seconds: step.seconds,
        starts_at: moment(step.row_start(second)),
        document: row::encode(places),
    })
}

/// The rows of some clusters that start within `[from, to)`. A row that cannot be decoded is ignored.
pub(crate) async fn read(
    metering: &Metering,
    clusters: &[ClusterId],
    step: Step,
    from: i64,
    to: i64,
) -> Result<Vec<(ClusterId, i64, Places)>> {
    let wanted = SampleRows { clusters, step_seconds: step.seconds, from: moment(from), to: moment(to) };
    let rows = metering.context.store.samples(&wanted).await?.into_iter();
    let places = rows.map(|found| {
        let places = row::decode(&found.document).unwrap_or_else(|error| {
            tracing::warn!(cluster = %found.cluster, error = error.chain(), "samples: damaged row skipped");
            Places::new()
        });
        (found.cluster, second(found.starts_at), places)
    });
    Ok(places.collect())
}

async fn forget(metering: &Metering, now: i64) -> Result<()> {
    for step in STEPS {
        metering.context.store.forget_samples(step.seconds, moment(step.forgotten_before(now))).await?;
    }
    Ok(())
}
