//! The administrative operations of the simulated engine.

use super::state::{ClusterData, ClusterFiles, SimulatedCluster};
use crate::{Admin, Database};
use async_trait::async_trait;
use ootheca_model::{
    ClusterId, Error, Result,
    instance::Phase,
    login::{Login, Secret},
    names,
};
use std::sync::Arc;

/// A session with one simulated cluster.
pub(super) struct SimulatedSession {
    state: Arc<ClusterFiles>,
    cluster: ClusterId,
}

impl SimulatedSession {
    pub(super) fn new(state: Arc<ClusterFiles>, cluster: ClusterId) -> Self {
        Self { state, cluster }
    }

    fn read<T>(&self, look: impl FnOnce(&ClusterData) -> T) -> Result<T> {
        let look = |simulated: &SimulatedCluster| {
            (simulated.phase() == Phase::Ready).then(|| look(&simulated.document.data))
        };
        self.state
            .read(self.cluster, look)
            .flatten()
            .ok_or_else(|| Error::unavailable("the cluster is not ready"))
    }

    fn change(&self, change: impl FnOnce(&mut ClusterData) -> Result<()>) -> Result<()> {
        self.state.change(self.cluster, change)
    }
}

#[async_trait]
impl Admin for SimulatedSession {
    async fn users(&mut self) -> Result<Vec<String>> {
        self.read(|data| data.users.keys().cloned().collect())
    }

    async fn logins(&mut self) -> Result<Vec<Login>> {
        let login = |(name, verifier): (&String, &String)| Login {
            name: name.clone(),
            secret: Secret::Scram(verifier.clone()),
        };
        self.read(|data| data.users.iter().map(login).collect())
    }

    async fn create_user(&mut self, name: &str, password: &str) -> Result<()> {
        if names::reserved_user(name) {
            return Err(user_exists(name));
        }
        let verifier = crate::scram::verifier(password).await?;
        self.change(|data| match data.users.contains_key(name) {
            true => Err(user_exists(name)),
            false => {
                data.users.insert(name.to_owned(), verifier);
                Ok(())
            }
        })
    }

    async fn set_password(&mut self, name: &str, password: &str) -> Result<()> {
        let verifier = crate::scram::verifier(password).await?;
        self.change(|data| {
            *data.users.get_mut(name).ok_or_else(|| no_user(name))? = verifier;
            Ok(())
        })
    }

    async fn delete_user(&mut self, name: &str) -> Result<()> {
        self.change(|data| data.users.remove(name).map(|_| ()).ok_or_else(|| no_user(name)))
    }

    async fn databases(&mut self) -> Result<Vec<Database>> {
        let rows = |data: &ClusterData| {
            data.databases.iter().map(|name| Database { name: name.clone(), tables: None }).collect()
        };
        self.read(rows)
    }

    async fn count_tables(&mut self, databases: &[String]) -> Result<Vec<Option<i64>>> {
        self.read(|data| databases.iter().map(|name| data.databases.contains(name).then_some(0)).collect())
    }

    async fn is_empty(&mut self, database: &str) -> Result<bool> {
        match self.read(|data| data.databases.contains(database))? {
            true => Ok(true),
            false => Err(no_database(database)),
        }
    }

    async fn create_database(&mut self, name: &str) -> Result<()> {
        self.change(|data| insert(data, name))
    }

    async fn rename_database(&mut self, name: &str, new_name: &str) -> Result<()> {
        self.change(|data| {
            if !data.databases.remove(name) {
                return Err(no_database(name));
            }
            insert(data, new_name)
        })
    }

    async fn drop_database(&mut self, name: &str) -> Result<()> {
        self.change(|data| if data.databases.remove(name) { Ok(()) } else { Err(no_database(name)) })
    }
}

fn insert(data: &mut ClusterData, name: &str) -> Result<()> {
    if names::reserved_database(name) || !data.databases.insert(name.to_owned()) {
        return Err(Error::exists(format!("database {name}")));
    }
    Ok(())
}

fn user_exists(name: &str) -> Error {
    Error::exists(format!("SQL user {name}"))
}

fn no_user(name: &str) -> Error {
    Error::not_found(format!("SQL user {name}"))
}

fn no_database(name: &str) -> Error {
    Error::not_found(format!("database {name}"))
}
