//! Clones: new clusters that begin with data of another one. The reconciler copies the data.

use crate::{
    api::{
        call::Call,
        handlers::{
            backup_sources::{self, Moment, Source, given},
            restores::fresh_job,
        },
    },
    documents,
    ids::fresh_id,
};
use ootheca_api::{
    operations::{Op, operation},
    wire::RestoreFrom,
};
use ootheca_model::{
    Cluster, Error, Result, Timestamp,
    backup::{CloneSource, MaskingScript, NewClone, clone_into, specification_of},
    cluster::create::NewCluster,
    identity::{Target, authorize},
};
use ootheca_store::Mutation;

/// The data that a new cluster begins with.
pub(super) struct Data {
    source: Source,
    /// `None` for the present data.
    moment: Option<Moment>,
    masking: Option<MaskingScript>,
}

impl Data {
    /// The data that a request names, if the caller can restore it. A source that the caller has no access to is the same
    /// as none.
    pub(super) async fn named(call: &Call, from: RestoreFrom) -> Result<Self> {
        let masking = MaskingScript::requested(from.masking_sql, from.masking_database)?;
        let requirement = operation(Op::CreateRestore).requirement;
        // Without any role of the operation, the response does not depend on what exists.
        authorize(call.granted.principal(), requirement, Target::Visible)?;
        let store = &*call.context.store;
        let source = backup_sources::named_source(call, requirement, from.source_cluster_id).await?;
        let required =
            || Error::invalid("restore_from.source_cluster_id", "is required unless backup_id is given");
        let (source, moment) = match (given(from.backup_id), from.point_in_time) {
            (Some(_), Some(_)) => {
                let field = "restore_from.point_in_time";
                return Err(Error::invalid(field, "can't be combined with backup_id"));
            }
            (Some(id), None) => {
                let field = "restore_from.backup_id";
                let (source, found) =
                    backup_sources::named_backup(call, requirement, field, &id, source).await?;
                (source, Some(Moment::of(store, found).await?))
            }
            (None, Some(time)) => {
                let (source, field) = (source.ok_or_else(required)?, "restore_from.point_in_time");
                let (id, now) = (source.value.id, call.context.now());
                let moment = backup_sources::moment(store, id, field, time, now).await?;
                (source, Some(moment))
            }
            (None, None) => (source.ok_or_else(required)?, None),
        };
        Ok(Self { source, moment, masking })
    }

    /// The request with plan, regions, configuration, and limits of the source.
    pub(super) fn specify(&self, request: NewCluster) -> NewCluster {
        let NewCluster { name, expires_at, .. } = request;
        NewCluster { name, expires_at, ..specification_of(&self.source.value) }
    }

    /// The engine major version of the data.
    pub(super) fn engine_major(&self) -> String {
        self.source().engine_major().to_owned()
    }

    /// Lets a new cluster begin with the data. Returns the cluster, and the mutations that create it. `explicit_version` is
    /// whether the request names its version.
    pub(super) fn begin(
        &self,
        cluster: Cluster,
        explicit_version: bool,
        now: Timestamp,
    ) -> Result<(Cluster, Vec<Mutation>)> {
        let id = fresh_id().to_string();
        let request = NewClone { id, job: fresh_job(), masking: self.masking.clone(), explicit_version };
        let (restore, cluster) = clone_into(cluster, &self.source(), request, now)?;
        let mut mutations = vec![documents::insert(&cluster)?, documents::insert(&restore)?];
        // Prevents that the recovery point is removed at the same time.
        mutations.extend(self.moment.iter().map(|moment| documents::touch(&moment.point.row)));
        Ok((cluster, mutations))
    }

    fn source(&self) -> CloneSource<'_> {
        let moment = self.moment.as_ref();
        CloneSource {
            cluster: &self.source.value,
            backup: moment.map(|moment| (moment.backup, &moment.point.value, &moment.base.value)),
            point_in_time: moment.and_then(|moment| moment.point_in_time.clone()),
        }
    }
}
