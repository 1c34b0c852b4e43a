//! The control password of each cluster.
//!
//! Foreign code in a server learns the key of a password from a login with it, so no two clusters have the same one. It
//! is derived from the machine's secret, which is the password of templates and spares, and the ID of the cluster. A
//! server gets it when it is claimed, staged data before that, and data that an earlier version has created at its
//! next start. A file of the instance records that. From then on, nothing logs in there with the machine's secret.

use super::{
    context::{CONTROL_USER, EngineContext},
    instance::Instance,
    replication_user, server,
    sql::Literal,
};
use crate::{
    files::{blocking, write_atomically},
    scram::verifier,
};
use ootheca_durable::failpoint;
use ootheca_model::{ClusterId, Error, Result, hex};
use ootheca_pg_protocol::scram::sign;
use std::{error::Error as _, fs, path::Path};
use tokio_postgres::{Client, error::SqlState};

/// Contains the ID of the cluster whose control password the data has. Without it, the data has the machine's secret.
const RECORD: &str = "control-secret-of";
const DATABASE: &str = "postgres";

/// The control password of a cluster.
pub fn cluster_secret(machine_secret: &str, cluster: ClusterId) -> String {
    derive(machine_secret, "control", &cluster.to_string())
}

/// Derives a password for one purpose. It says nothing about the secret, or about other passwords.
pub(super) fn derive(secret: &str, purpose: &str, id: &str) -> String {
    hex::encode(&sign(secret.as_bytes(), &[purpose, ":", id]))
}

/// The cluster whose control password the data of an instance has; `None` if it has the machine's secret.
pub(super) fn recorded(folder: &Path) -> Option<ClusterId> {
    fs::read_to_string(folder.join(RECORD)).ok()?.trim().parse().ok()
}

/// Records that the data of an instance has the control password of a cluster.
pub(super) fn record(folder: &Path, cluster: ClusterId) -> Result<()> {
    write_atomically(folder, RECORD, cluster.to_string().as_bytes())
}

/// A session in a server that has the machine's secret, to give it the control password of a cluster.
pub(super) struct SecretChange {
    client: Client,
    cluster: ClusterId,
    statement: String,
}

impl SecretChange {
    pub(super) async fn begin(instance: &Instance, cluster: ClusterId) -> Result<Self> {
        let (machine, sockets) = (instance.context.secret()?, instance.sockets());
        let (client, statement) = tokio::try_join!(
            server::connect_with(machine, &sockets, DATABASE),
            change_statement(&instance.context, cluster)
        )?;
        Ok(Self { client, cluster, statement })
    }

    /// Changes the password, and records that.
    pub(super) async fn finish(self, instance: &Instance) -> Result<()> {
        let changed = self.client.batch_execute(&self.statement).await;
        changed.map_err(|error| Error::unavailable("cannot change the control password").because(error))?;
        failpoint::reach("control password changed");
        record_of(instance, self.cluster).await
    }
}

/// Gives the running server of an instance that an earlier version has claimed the control password of its cluster.
pub(super) async fn upgrade(instance: &Instance) -> Result<()> {
    let Some(cluster) = instance.cluster().filter(|_| recorded(&instance.folder).is_none()) else {
        return Ok(());
    };
    let own = cluster_secret(instance.context.secret()?, cluster);
    // After a crash between the change and its record, the server has the new password.
    match server::connect_with(&own, &instance.sockets(), DATABASE).await {
        Ok(_) => record_of(instance, cluster).await,
        Err(error) if is_wrong_password(&error) => {
            SecretChange::begin(instance, cluster).await?.finish(instance).await
        }
        Err(error) => Err(error),
    }
}

async fn record_of(instance: &Instance, cluster: ClusterId) -> Result<()> {
    let folder = instance.folder.clone();
    blocking(move || record(&folder, cluster)).await
}

fn is_wrong_password(error: &Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>());
    cause.and_then(tokio_postgres::Error::code).is_some_and(|code| *code == SqlState::INVALID_PASSWORD)
}

/// Gives data the control password of a cluster.
pub(super) async fn statements(context: &EngineContext, cluster: ClusterId) -> Result<String> {
    let change = change_statement(context, cluster).await?;
    Ok(format!("{change};\n{}", replication_user::DISABLE))
}

async fn change_statement(context: &EngineContext, cluster: ClusterId) -> Result<String> {
    let verifier = verifier(&cluster_secret(context.secret()?, cluster)).await?;
    Ok(format!("ALTER ROLE {CONTROL_USER} PASSWORD {}", Literal(&verifier)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_cluster_and_every_purpose_has_its_own_password() {
        let (one, other) = (ClusterId(uuid::Uuid::from_u128(1)), ClusterId(uuid::Uuid::from_u128(2)));
        let password = cluster_secret("secret", one);
        assert_eq!(password, cluster_secret("secret", one), "it does not change");
        assert_eq!(password.len(), 64);
        for different in [
            cluster_secret("secret", other),
            cluster_secret("secret of another machine", one),
            derive("secret", "replication", &one.to_string()),
        ] {
            assert_ne!(password, different);
        }
    }

    #[test]
    fn data_without_a_record_has_the_secret_of_the_machine() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        assert_eq!(recorded(&folder), None);
        let cluster = ClusterId(uuid::Uuid::new_v4());
        record(&folder, cluster).unwrap();
        assert_eq!(recorded(&folder), Some(cluster));
        fs::write(folder.join(RECORD), "").unwrap();
        assert_eq!(recorded(&folder), None, "damaged");
        fs::remove_dir_all(&folder).unwrap();
    }
}
