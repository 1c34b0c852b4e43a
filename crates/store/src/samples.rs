//! Samples of clusters, which charts display. They have their own table without the revisions, keys, and
//! hints of other rows, because there are many of them, they are written often, and they are looked up only
//! by cluster and time.

use crate::{
    sql,
    transaction::{SqlTransaction, StatementError},
    value::{Columns, Record, Value},
};
use ootheca_model::{ClusterId, Error, Result, Timestamp};

/// Samples of one cluster over a period of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleRow {
    pub cluster: ClusterId,
    /// The time that each sample covers, in seconds.
    pub step_seconds: i64,
    /// The start of the first sample.
    pub starts_at: Timestamp,
    /// The samples. The writer defines the format.
    pub document: String,
}

/// Selects samples.
#[derive(Clone, Copy, Debug)]
pub struct SampleRows<'a> {
    /// The clusters.
    pub clusters: &'a [ClusterId],
    /// The time that each sample covers, in seconds.
    pub step_seconds: i64,
    /// The inclusive lower bound of the start time.
    pub from: Timestamp,
    /// The exclusive upper bound of the start time.
    pub to: Timestamp,
}

impl SampleRows<'_> {
    pub(crate) fn params(&self) -> Result<[Value; 4]> {
        let ids: Vec<String> = self.clusters.iter().map(ClusterId::to_string).collect();
        let ids = serde_json::to_string(&ids)
            .map_err(|error| Error::internal("store: cannot encode ids").because(error))?;
        Ok([ids.into(), self.step_seconds.into(), self.from.into(), self.to.into()])
    }
}

pub(crate) async fn keep<S: SqlTransaction>(session: &mut S, row: &SampleRow) -> Result<(), StatementError> {
    let params = [
        row.cluster.to_string().into(),
        row.step_seconds.into(),
        row.starts_at.into(),
        row.document.as_str().into(),
    ];
    session.execute(sql::SAMPLES_KEEP, &params).await.map(|_| ())
}

/// Parses a record of [`sql::samples`].
pub(crate) fn row(record: Record) -> Result<SampleRow> {
    let mut columns = Columns::of(record);
    let cluster = columns.text()?.parse();
    Ok(SampleRow {
        cluster: cluster.map_err(|error| Error::internal("store: invalid samples").because(error))?,
        step_seconds: columns.int()?,
        starts_at: Timestamp(columns.int()?),
        document: columns.text()?,
    })
}
