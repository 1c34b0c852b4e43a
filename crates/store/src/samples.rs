//! Samples of clusters: what charts show. A table of its own, without the revisions, keys and hints of
//! other rows: they are many, written often, found by their cluster and time only, and told to nobody.

use crate::{
    sql,
    transaction::{Failure, Session},
    value::{Columns, Record, Value},
};
use ootheca_model::{ClusterId, Error, Result, Timestamp};

/// Samples of one cluster over some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRow {
    /// The cluster.
    pub cluster: ClusterId,
    /// How much time one of them covers.
    pub step_seconds: i64,
    /// When the first may begin.
    pub starts_at: Timestamp,
    /// The samples, in whatever form their writer likes.
    pub document: String,
}

/// Which samples are wanted.
#[derive(Clone, Copy, Debug)]
pub struct SampleRows<'a> {
    /// Of these clusters.
    pub clusters: &'a [ClusterId],
    /// Of this step.
    pub step_seconds: i64,
    /// Rows that start at this moment or later.
    pub from: Timestamp,
    /// And before this one.
    pub to: Timestamp,
}

impl SampleRows<'_> {
    pub(crate) fn params(&self) -> Result<[Value; 4]> {
        let ids: Vec<String> = self.clusters.iter().map(ClusterId::to_string).collect();
        let ids =
            serde_json::to_string(&ids).map_err(|error| Error::internal("store: ids").because(error))?;
        Ok([ids.into(), self.step_seconds.into(), self.from.into(), self.to.into()])
    }
}

/// Writes a row.
pub(crate) async fn keep<S: Session>(session: &mut S, row: &SampleRow) -> Result<(), Failure> {
    let params = [
        row.cluster.to_string().into(),
        row.step_seconds.into(),
        row.starts_at.into(),
        row.document.as_str().into(),
    ];
    session.execute(sql::SAMPLES_KEEP, &params).await.map(|_| ())
}

/// Reads a record of [`sql::samples`].
pub(crate) fn row(record: Record) -> Result<SampleRow> {
    let mut columns = Columns::of(record);
    let cluster = columns.text()?.parse();
    Ok(SampleRow {
        cluster: cluster.map_err(|error| Error::internal("store: damaged samples").because(error))?,
        step_seconds: columns.int()?,
        starts_at: Timestamp(columns.int()?),
        document: columns.text()?,
    })
}
