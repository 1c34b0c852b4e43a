//! The SQL shell of the console: `POST /api/ootheca/v1/clusters/{id}/sql` runs one statement in a cluster.
//!
//! Requires CLUSTER_ADMIN. The statement resumes a suspended cluster and counts as activity. It has one audit
//! entry, refused or not, which is written as *interrupted* before the statement runs and completed with its
//! result.

mod rules;

use crate::{
    api::{
        audit,
        extension::{Actor, Answer, ExtensionRequest, read},
        hierarchy, redact,
    },
    documents,
    identity::authenticate::Caller,
    lifecycle::power,
    metering::limit_status::standing,
};
use ootheca_engine::statement::{self, Limits, Refused, Statement};
use ootheca_model::{
    Cluster, ClusterId, Error, ErrorKind, Resource, Result, Role,
    audit::{AuditEntry, INTERRUPTED},
    identity::{Requirement, Target, authorize},
    names,
};
use ootheca_store::Batch;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// The name of the operation in the audit log.
const OPERATION: &str = "RunStatement";
/// The official API has no action for statements.
const ACTION: &str = "UPDATE_CLUSTER";
const LIMITS: Limits = Limits { rows: 1000, bytes: 1 << 20, time: Duration::from_secs(10) };

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    database: String,
    statement: String,
    #[serde(default)]
    write: bool,
    #[serde(default)]
    explain: bool,
}

/// Runs the statement.
pub(crate) async fn run(call: &ExtensionRequest, id: &str, body: &[u8]) -> Result<Answer> {
    let caller = call.caller().await?;
    let wish = read::<Wish>(body);
    let mut entry = entry(call, &caller, id, wish.as_ref().ok()).await?;
    let admitted = async { admit(call, &caller, id, wish?).await };
    let (cluster, wish) = match admitted.await {
        Ok(admitted) => admitted,
        Err(error) => return call.refuse(entry, error).await,
    };
    entry.error = Some(INTERRUPTED.to_owned());
    let mut batch = Batch::server("shell");
    batch.audit.push(entry.clone());
    let api = &call.api;
    api.context.store.commit(batch, api.context.now()).await?;
    let result = execute(call, cluster, wish).await;
    let error = result.as_ref().err().map(redact::error);
    api.context.store.complete_audit(entry.id, &entry.payload, error.as_deref()).await?;
    result.map(|answer| show(&answer).into())
}

/// Authorizes the caller and checks whether the statement can run. Returns the cluster.
async fn admit(call: &ExtensionRequest, caller: &Caller, id: &str, wish: Wish) -> Result<(ClusterId, Wish)> {
    call.check_extensions()?;
    let (api, principal) = (&call.api, &caller.principal);
    // A malformed ID is treated as unknown.
    let id = ClusterId(id.parse().unwrap_or(Uuid::nil()));
    let target =
        Target::Cluster(id, hierarchy::folders(&api.context, principal, Resource::Cluster(id)).await?);
    let granted = authorize(principal, Requirement::Roles(&[Role::ClusterAdmin]), target)?;
    let found =
        documents::get::<Cluster>(&*api.context.store, granted.organization(), &id.to_string()).await?;
    let cluster = Some(found.value).filter(Cluster::is_active).ok_or_else(|| Error::not_found("cluster"))?;
    rules::check(&wish.statement)?;
    if wish.database.is_empty() || wish.database.contains('\0') {
        return Err(Error::invalid("database", "is required"));
    }
    if names::engine_database(&wish.database) {
        return Err(Error::not_found(format!("database {}", wish.database)));
    }
    rules::admit(&standing(&api.metering, &cluster).await?, &wish.statement, wish.write)?;
    Ok((id, wish))
}

async fn execute(call: &ExtensionRequest, cluster: ClusterId, wish: Wish) -> Result<statement::Answer> {
    let api = &call.api;
    let (_use, _) = power::ready(&api.lifecycle, cluster, || api.context.engine.endpoint(cluster)).await?;
    let Wish { database, statement: text, write, explain } = wish;
    // If the statement is already an EXPLAIN, it is not explained again.
    let explain = explain && ootheca_gateway::first_word(&text).as_deref() != Some("explain");
    let statement = Statement { database, text, write, explain, limits: LIMITS };
    api.context.engine.run(cluster, &statement).await?.map_err(|refused| failure(&refused))
}

/// The error of the SQL server as text: message, SQLSTATE, and position, followed by further lines as in
/// `psql`.
fn failure(refused: &Refused) -> Error {
    let Refused { sqlstate, message, detail, hint, position } = refused;
    let position = position.map(|position| format!(", position {position}")).unwrap_or_default();
    let mut text = format!("{message} (SQLSTATE {sqlstate}{position})");
    let ours = advice(sqlstate);
    for (label, more) in [("DETAIL", detail), ("HINT", hint), ("HINT", &ours)] {
        if let Some(more) = more {
            text.push_str(&format!("\n{label}: {more}"));
        }
    }
    // Errors of the server are temporary; all others are about the statement.
    let passing = ["08", "53", "57P"].iter().any(|class| sqlstate.starts_with(class));
    Error::new(if passing { ErrorKind::Unavailable } else { ErrorKind::Invalid }, text)
}

/// A hint for errors that are caused by how the shell runs statements.
fn advice(sqlstate: &str) -> Option<String> {
    Some(match sqlstate {
        "57014" => {
            let seconds = LIMITS.time.as_secs();
            format!("In the SQL shell, a statement can run for {seconds} s. SQL clients have no such limit.")
        }
        "25006" => "Allow the statement to write.".to_owned(),
        "25001" => "Every statement here is in a transaction; a SQL client can do this.".to_owned(),
        _ => return None,
    })
}

fn show(answer: &statement::Answer) -> Value {
    let columns = answer.columns.iter();
    let columns = columns.map(|column| json!({ "name": column.name, "type": column.kind }));
    json!({
        "columns": columns.collect::<Vec<_>>(),
        "rows": answer.rows,
        "row_count": row_count(answer),
        "truncated": answer.truncated,
        "tag": answer.tag,
        "elapsed_ms": (answer.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        "notices": answer.notices,
    })
}

/// The number of rows that were returned or affected, even if not all are shown.
fn row_count(answer: &statement::Answer) -> usize {
    let told = answer.tag.rsplit(' ').next().and_then(|word| word.parse().ok());
    told.unwrap_or(answer.rows.len())
}

async fn entry(
    call: &ExtensionRequest,
    caller: &Caller,
    id: &str,
    wish: Option<&Wish>,
) -> Result<AuditEntry> {
    let cluster = match id.parse::<ClusterId>() {
        Ok(id) => call.api.context.find::<Cluster>(&id.to_string()).await?,
        Err(_) => None,
    };
    let cluster = cluster.filter(|found| found.row.organization == caller.principal.organization);
    let request = wish.map_or(Value::Null, |wish| {
        json!({
            "database": wish.database.chars().take(100).collect::<String>(),
            "statement": rules::kept(&wish.statement),
            "write": wish.write,
            "explain": wish.explain,
        })
    });
    let body = request.to_string();
    Ok(AuditEntry {
        cluster: cluster.as_ref().map(|found| found.value.id),
        cluster_name: cluster.map(|found| found.value.name.clone()),
        source: audit::source(Some(&call.user_agent), caller.session.is_some()).to_owned(),
        payload: redact::payload(OPERATION, [("cluster_id", id)].into_iter(), body.as_bytes()),
        ..call.entry(ACTION, OPERATION, Actor::Caller(caller), &Value::Null)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_and_what_to_do() {
        let refused = Refused {
            sqlstate: "42P01".into(),
            message: "no such table".into(),
            hint: Some("make it".into()),
            position: Some(15),
            ..Refused::default()
        };
        let error = failure(&refused);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), "no such table (SQLSTATE 42P01, position 15)\nHINT: make it");
        let late = failure(&Refused { sqlstate: "57014".into(), ..Refused::default() });
        assert_eq!(late.kind(), ErrorKind::Invalid);
        assert!(late.message().contains("10 s"));
        let passing = failure(&Refused { sqlstate: "57P01".into(), ..Refused::default() });
        assert_eq!(passing.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn rows_are_counted_by_the_server() {
        let rows = |tag: &str, rows: usize| {
            row_count(&statement::Answer {
                tag: tag.into(),
                rows: vec![Vec::new(); rows],
                ..statement::Answer::default()
            })
        };
        assert_eq!(
            [rows("SELECT 3", 3), rows("INSERT 0 5", 0), rows("CREATE TABLE", 0), rows("", 7)],
            [3, 5, 0, 7]
        );
    }
}
