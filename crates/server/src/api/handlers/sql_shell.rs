//! The SQL shell of the console, which runs one statement in a cluster.
//!
//! The statement resumes a suspended cluster and counts as activity. Its audit entry is written as
//! *interrupted* before the statement runs, and completed with its result.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::{Decision, Reply},
        statement_rules as rules,
    },
    documents,
    lifecycle::power,
    metering::limit_status::admission_state,
};
use ootheca_api::wire::*;
use ootheca_engine::statement::{self, Limits, Refused, Statement};
use ootheca_model::{Cluster as Model, ClusterId, Error, ErrorKind, Result, names};
use ootheca_store::Batch;
use std::{sync::Arc, time::Duration};

const LIMITS: Limits = Limits { rows: 1000, bytes: 1 << 20, time: Duration::from_secs(10) };

/// `POST /clusters/{cluster_id}/sql`
pub async fn run_statement(
    call: Arc<Call>,
    path: ClusterPath,
    body: RunStatementRequest,
) -> Result<Decision<RunStatementResponse>> {
    let cluster = documents::get::<Model>(
        &*call.context.store,
        call.granted.organization(),
        &path.cluster_id.to_lowercase(),
    )
    .await?
    .value;
    if !cluster.is_active() {
        return Err(Error::not_found("cluster"));
    }
    cluster.check_unlocked()?;
    let text = required("statement", body.statement)?;
    rules::check(&text)?;
    let database = required("database", body.database.filter(|name| !name.is_empty()))?;
    if database.contains('\0') {
        return Err(Error::invalid("database", "must not contain a zero byte"));
    }
    if names::engine_database(&database) {
        return Err(Error::not_found(format!("database {database}")));
    }
    let write = body.write.unwrap_or(false);
    rules::admit(&admission_state(&call.metering, &cluster).await?, &text, write)?;
    // If the statement is already an EXPLAIN, it is not explained again.
    let explains = ootheca_gateway::first_word(&text).as_deref() == Some("explain");
    let explain = body.explain.unwrap_or(false) && !explains;
    let statement = Statement { database, text, write, explain, limits: LIMITS };
    let batch = Batch::by(&call.granted);
    let run = async move { execute(&call, cluster.id, &statement).await.map(show) };
    Ok(Decision::new(batch, Reply::SideEffect(Box::pin(run))))
}

async fn execute(
    call: &Call,
    cluster: ClusterId,
    statement: &Statement,
) -> Result<statement::StatementOutput> {
    let engine = &call.context.engine;
    let (_use, _) = power::ready(&call.lifecycle, cluster, || engine.endpoint(cluster)).await?;
    engine.run(cluster, statement).await?.map_err(|refused| failure(&refused))
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
        "25001" => "The SQL shell runs every statement in a transaction. Use a SQL client.".to_owned(),
        _ => return None,
    })
}

fn show(answer: statement::StatementOutput) -> RunStatementResponse {
    let row_count = row_count(&answer);
    let columns = answer.columns.into_iter();
    RunStatementResponse {
        columns: columns.map(|column| SqlColumn { name: column.name, r#type: column.kind }).collect(),
        rows: answer.rows,
        row_count,
        truncated: answer.truncated,
        tag: answer.tag,
        elapsed_ms: (answer.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        notices: answer.notices,
    }
}

/// The number of rows that were returned or affected, even if not all are shown.
fn row_count(answer: &statement::StatementOutput) -> usize {
    let told = answer.tag.rsplit(' ').next().and_then(|word| word.parse().ok());
    told.unwrap_or(answer.rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_contains_position_and_hint() {
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
    fn the_row_count_is_taken_from_the_command_tag() {
        let rows = |tag: &str, rows: usize| {
            row_count(&statement::StatementOutput {
                tag: tag.into(),
                rows: vec![Vec::new(); rows],
                ..statement::StatementOutput::default()
            })
        };
        assert_eq!(
            [rows("SELECT 3", 3), rows("INSERT 0 5", 0), rows("CREATE TABLE", 0), rows("", 7)],
            [3, 5, 0, 7]
        );
    }
}
