//! `ootheca audit list` and `ootheca audit tail`.

use super::{Context, GlobalArgs};
use crate::{
    failure::{Failure, Result},
    output::{self, Column, Format},
    terminal,
};
use chrono::{DateTime, SecondsFormat, TimeDelta};
use clap::Args;
use serde_json::Value;
use std::{thread, time::Duration};

const LOG: &str = "/api/v1/auditlogevents";
/// Polling interval of `tail`. The stream of events doesn't contain refused requests.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of entries in a request of `tail`.
const PAGE_SIZE: usize = 500;

/// Flags of `audit list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Approximate number of entries; entries with the same time are never split
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
    /// Time of the first entry, such as 2026-03-01T10:30:00Z [default: the newest, or the oldest with --ascending]
    #[arg(long, value_name = "TIME")]
    starting_from: Option<String>,
    /// List the oldest entries first
    #[arg(long)]
    ascending: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// Flags of `audit tail`.
#[derive(Args)]
pub(crate) struct TailArgs {
    /// Print entries from this time on, such as 2026-03-01T10:30:00Z
    #[arg(long, value_name = "TIME")]
    starting_from: Option<String>,
    /// Number of existing entries to print first
    #[arg(long, value_name = "COUNT", default_value_t = 10, conflicts_with = "starting_from")]
    lines: u32,
    /// Exit after this number of entries
    #[arg(long, value_name = "COUNT")]
    count: Option<usize>,
    #[command(flatten)]
    global: GlobalArgs,
}

const COLUMNS: [Column; 6] = [
    Column::time("TIME", "/created_at"),
    Column::by("ACTION", action),
    Column::by("ACTOR", actor),
    Column::text("CLUSTER", "/cluster_name"),
    Column::text("TRACE ID", "/trace_id"),
    Column::text("ERROR", "/error"),
];

/// Lists entries.
pub(crate) fn list(args: &ListArgs) -> Result<()> {
    let context = args.global.context()?;
    let order = if args.ascending { "ASC" } else { "DESC" };
    let response = page(&context, args.starting_from.as_deref(), order, args.limit as usize)?;
    if context.out.format == Format::Json {
        return output::json(&response);
    }
    context.out.table(&COLUMNS, &entries(&response))?;
    if let Some(next) = response["next_starting_from"].as_str().filter(|_| !entries(&response).is_empty()) {
        let flag = if args.ascending { " --ascending" } else { "" };
        terminal::message(format!("Next page: ootheca audit list --starting-from {next}{flag}"));
    }
    Ok(())
}

/// Prints new entries until interrupted. No entry is lost or printed twice, because the server returns the
/// time to continue from, and later entries have later times.
pub(crate) fn tail(args: &TailArgs) -> Result<()> {
    let context = args.global.context()?;
    let mut left = args.count.unwrap_or(usize::MAX);
    let mut from = match &args.starting_from {
        Some(time) => Some(time.clone()),
        None => last_entries(&context, args.lines as usize, &mut left)?,
    };
    let mut reported = false;
    while left > 0 {
        match page(&context, from.as_deref(), "ASC", PAGE_SIZE) {
            Ok(response) => {
                reported = false;
                let new = entries(&response);
                print(&context, &new, &mut left)?;
                if let Some(next) = response["next_starting_from"].as_str() {
                    from = Some(next.to_owned());
                }
                if !new.is_empty() {
                    continue;
                }
            }
            Err(failure) if failure.transient => {
                if !reported {
                    terminal::message(format!("{}; retrying", failure.message));
                }
                reported = true;
            }
            Err(failure) => return Err(failure),
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Prints the last entries, and returns the time after them.
fn last_entries(context: &Context, lines: usize, left: &mut usize) -> Result<Option<String>> {
    let response = page(context, None, "DESC", lines.max(1))?;
    let mut last = entries(&response);
    last.reverse();
    let from = last.last().map(after).transpose()?;
    if lines > 0 {
        print(context, &last, left)?;
    }
    Ok(from)
}

/// The time after an entry. Times of entries differ by at least a microsecond.
fn after(entry: &Value) -> Result<String> {
    let text = entry["created_at"].as_str().unwrap_or_default();
    let time = DateTime::parse_from_rfc3339(text);
    let time =
        time.map_err(|error| Failure::failed(format!("invalid audit log entry: created_at: {error}")))?;
    let next = time.to_utc() + TimeDelta::microseconds(1);
    Ok(next.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn page(context: &Context, from: Option<&str>, order: &str, limit: usize) -> Result<Value> {
    let mut query =
        vec![("sort_order".to_owned(), order.to_owned()), ("limit".to_owned(), limit.to_string())];
    if let Some(from) = from {
        query.push(("starting_from".to_owned(), from.to_owned()));
    }
    Ok(context.client.send("GET", LOG, &query, None, &[])?.value)
}

fn entries(response: &Value) -> Vec<Value> {
    response["entries"].as_array().cloned().unwrap_or_default()
}

/// Prints entries. JSON has one line per entry, so that it can be processed as a stream.
fn print(context: &Context, entries: &[Value], left: &mut usize) -> Result<()> {
    for entry in entries.iter().take(*left) {
        let line = match context.out.format {
            Format::Json => entry.to_string(),
            _ => line(entry),
        };
        output::print(&format!("{line}\n"))?;
    }
    *left = left.saturating_sub(entries.len());
    Ok(())
}

fn line(entry: &Value) -> String {
    let time = output::time(entry["created_at"].as_str().unwrap_or_default());
    let mut line = format!("{time}  {:<32}  {}", action(entry), actor(entry));
    for (word, member) in [("cluster", "cluster_name"), ("error:", "error")] {
        if let Some(text) = entry[member].as_str().filter(|text| !text.is_empty()) {
            line.push_str(&format!("  {word} {text}"));
        }
    }
    output::printable(&line)
}

fn action(entry: &Value) -> String {
    let action = entry["action"].as_str().unwrap_or_default();
    action.strip_prefix("AUDIT_LOG_ACTION_").unwrap_or(action).to_owned()
}

fn actor(entry: &Value) -> String {
    let names = ["user_email", "service_account_name", "system_actor_name"];
    let name = names.iter().find_map(|name| entry[*name].as_str().filter(|text| !text.is_empty()));
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_line_contains_time_action_actor_cluster_and_error() {
        let entry = json!({
            "created_at": "2026-03-01T10:30:00.5Z",
            "action": "AUDIT_LOG_ACTION_CREATE_CLUSTER",
            "service_account_name": "deploy\u{1b}",
            "cluster_name": "blue-dog",
            "error": "name: is taken",
        });
        let line = line(&entry);
        assert!(line.starts_with("2026-03-01 10:30:00Z  CREATE_CLUSTER "), "{line}");
        assert!(line.ends_with("deploy   cluster blue-dog  error: name: is taken"), "{line}");
    }

    proptest! {
        #[test]
        fn tail_continues_a_microsecond_after_the_last_entry(micros in 0_i64..4_000_000_000_000_000) {
            let time = DateTime::from_timestamp_micros(micros).expect("in range");
            let entry = json!({ "created_at": time.to_rfc3339_opts(SecondsFormat::AutoSi, true) });
            let next = DateTime::parse_from_rfc3339(&after(&entry).expect("a time")).expect("a time");
            prop_assert_eq!(next.timestamp_micros(), micros + 1);
        }
    }
}
