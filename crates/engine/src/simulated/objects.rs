//! Restores of databases and tables in the simulated engine, which has no tables: it only checks their databases.

use super::state::{ClusterFiles, Clusters, SimulatedCluster};
use crate::backup::{ObjectRestore, exists_in_destination, missing_in_backup, missing_in_destination};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, Result, backup::RestoreType, instance::Phase};
use std::collections::BTreeSet;

impl Clusters {
    fn ready(&mut self, cluster: ClusterId) -> Result<&mut SimulatedCluster> {
        let simulated = self.serving.get_mut(&cluster).filter(|simulated| simulated.phase() == Phase::Ready);
        simulated.ok_or_else(|| Error::unavailable("the cluster is not ready"))
    }
}

impl ClusterFiles {
    /// Copies databases of staged data, unless an earlier call has done so.
    pub(super) fn restore_objects(
        &self,
        cluster: ClusterId,
        epoch: u64,
        restore: &ObjectRestore,
    ) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let staged = clusters.idle.get(&(cluster, epoch)).map(|staged| staged.data.databases.clone());
        let simulated = clusters.ready(cluster)?;
        let mut document = simulated.document.clone();
        if !document.restored.insert(restore.id.clone()) {
            return document.confirmed();
        }
        let missing = || Error::unavailable(format!("no data of epoch {epoch} is staged"));
        let staged = staged.ok_or_else(missing)?;
        document.change(self.now(), |data| apply(restore, &staged, &mut data.databases))?;
        self.write(&document)?;
        simulated.document = document;
        failpoint::reach("simulated objects restored");
        simulated.document.confirmed()
    }

    /// Forgets that a restore was completed.
    pub(super) fn forget_restore(&self, cluster: ClusterId, id: &str) -> Result<()> {
        let _exclusive = self.exclusive()?;
        let mut clusters = self.lock();
        let simulated = clusters.ready(cluster)?;
        let mut document = simulated.document.clone();
        if document.restored.remove(id) {
            self.write(&document)?;
            simulated.document = document;
        }
        Ok(())
    }
}

fn apply(restore: &ObjectRestore, backup: &BTreeSet<String>, databases: &mut BTreeSet<String>) -> Result<()> {
    let named = |name: &str| format!("database {name}");
    let source = |name: &str| match backup.contains(name) {
        true => Ok(()),
        false => Err(missing_in_backup(named(name))),
    };
    if restore.kind == RestoreType::Table {
        let (from, into) = restore.databases_of_tables()?;
        for name in from {
            source(name)?;
        }
        return match databases.contains(into) {
            true => Ok(()),
            false => Err(missing_in_destination(named(into))),
        };
    }
    let mut names = BTreeSet::new();
    for object in &restore.objects {
        source(&object.database)?;
        let name = restore.database_name(object);
        if databases.contains(name) {
            return Err(exists_in_destination(named(name)));
        }
        names.insert(name.to_owned());
    }
    databases.extend(names);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ootheca_model::{
        ErrorKind,
        backup::{RestoreObject, RestoreOptions},
    };

    fn restore(kind: RestoreType, databases: &[&str], options: RestoreOptions) -> ObjectRestore {
        let object = |name: &&str| RestoreObject {
            database: (*name).to_owned(),
            table: "t".to_owned(),
            ..RestoreObject::default()
        };
        ObjectRestore { id: String::new(), kind, objects: databases.iter().map(object).collect(), options }
    }

    #[test]
    fn all_databases_are_restored_or_none() {
        let names =
            |names: &[&str]| -> BTreeSet<String> { names.iter().copied().map(str::to_owned).collect() };
        let (backup, before) = (names(&["a", "b", "c"]), names(&["b"]));
        let run = |kind, databases: &[&str], options| {
            let mut after = before.clone();
            let result = apply(&restore(kind, databases, options), &backup, &mut after);
            result.map(|()| after).map_err(|error| error.kind())
        };
        let (database, table) = (RestoreType::Database, RestoreType::Table);
        let new_name = || RestoreOptions { new_db_name: "x".to_owned(), ..RestoreOptions::default() };
        let into = |name: &str| RestoreOptions { into_db: name.to_owned(), ..RestoreOptions::default() };
        let refused = Err(ErrorKind::Precondition);
        assert_eq!(run(database, &["a", "c", "a"], RestoreOptions::default()), Ok(names(&["a", "b", "c"])));
        assert_eq!(run(database, &["b"], new_name()), Ok(names(&["b", "x"])));
        assert_eq!(run(database, &["a", "b"], RestoreOptions::default()), refused, "it exists");
        assert_eq!(run(database, &["a", "d"], RestoreOptions::default()), refused, "it is missing");
        assert_eq!(run(table, &["b", "b"], RestoreOptions::default()), Ok(before.clone()));
        assert_eq!(run(table, &["a"], into("b")), Ok(before.clone()));
        assert_eq!(run(table, &["a"], RestoreOptions::default()), refused, "no such destination");
        assert_eq!(run(table, &["a", "b"], into("b")), Ok(before.clone()), "two databases");
        assert_eq!(run(table, &["a", "d"], into("b")), refused, "one of two is missing");
        assert_eq!(run(table, &["b", "a"], RestoreOptions::default()), refused, "two destinations");
    }
}
