//! `ootheca audit list` and `tail`: who did what.

use super::{Context, GlobalArgs, events::may_pass};
use crate::{
    failure::{Failure, Result},
    output::{self, Column, Format},
    talk,
};
use chrono::{DateTime, SecondsFormat, TimeDelta};
use clap::Args;
use serde_json::Value;
use std::{thread, time::Duration};

const LOG: &str = "/api/v1/auditlogevents";
/// How often a follower asks. There is no stream that tells of refused calls too.
const PAUSE: Duration = Duration::from_secs(1);
/// Most entries that are asked for at once.
const PAGE: usize = 500;

/// Flags of `audit list`.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// How many entries, about: those of one moment are never split
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: u32,
    /// The first moment to show [default: the newest, or the oldest with --ascending]
    #[arg(long, value_name = "TIME")]
    starting_from: Option<String>,
    /// Oldest first
    #[arg(long)]
    ascending: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

/// Flags of `audit tail`.
#[derive(Args)]
pub(crate) struct TailArgs {
    /// Begin at this moment [default: after the last entries]
    #[arg(long, value_name = "TIME")]
    starting_from: Option<String>,
    /// How many of the last entries to show first
    #[arg(long, value_name = "COUNT", default_value_t = 10, conflicts_with = "starting_from")]
    lines: u32,
    /// End after so many entries
    #[arg(long, value_name = "COUNT")]
    count: Option<usize>,
    #[command(flatten)]
    global: GlobalArgs,
}

const COLUMNS: [Column; 6] = [
    Column::time("TIME", "/created_at"),
    Column::by("ACTION", action),
    Column::by("WHO", who),
    Column::text("CLUSTER", "/cluster_name"),
    Column::text("TRACE ID", "/trace_id"),
    Column::text("ERROR", "/error"),
];

/// Shows a part of the log.
pub(crate) fn list(args: &ListArgs) -> Result<()> {
    let context = args.global.context()?;
    let order = if args.ascending { "ASC" } else { "DESC" };
    let answer = page(&context, args.starting_from.as_deref(), order, args.limit as usize)?;
    if context.out.format == Format::Json {
        return output::json(&answer);
    }
    context.out.table(&COLUMNS, &entries(&answer))?;
    if let Some(next) = answer["next_starting_from"].as_str().filter(|_| !entries(&answer).is_empty()) {
        let flag = if args.ascending { " --ascending" } else { "" };
        talk::say(format!("more: ootheca audit list --starting-from {next}{flag}"));
    }
    Ok(())
}

/// Shows each entry as it is written, until interrupted. None is lost or shown twice: the server says where
/// to go on, and no later entry lies before that.
pub(crate) fn tail(args: &TailArgs) -> Result<()> {
    let context = args.global.context()?;
    let mut left = args.count.unwrap_or(usize::MAX);
    let mut from = match &args.starting_from {
        Some(time) => Some(time.clone()),
        None => last_entries(&context, args.lines as usize, &mut left)?,
    };
    let mut complained = false;
    while left > 0 {
        match page(&context, from.as_deref(), "ASC", PAGE) {
            Ok(answer) => {
                complained = false;
                let new = entries(&answer);
                show(&context, &new, &mut left)?;
                if let Some(next) = answer["next_starting_from"].as_str() {
                    from = Some(next.to_owned());
                }
                if !new.is_empty() {
                    continue;
                }
            }
            Err(failure) if may_pass(&failure) => {
                if !complained {
                    talk::say(format!("{}; trying again", failure.message));
                }
                complained = true;
            }
            Err(failure) => return Err(failure),
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Shows the last entries, and says what comes after them.
fn last_entries(context: &Context, lines: usize, left: &mut usize) -> Result<Option<String>> {
    let answer = page(context, None, "DESC", lines.max(1))?;
    let mut last = entries(&answer);
    last.reverse();
    let from = last.last().map(after).transpose()?;
    if lines > 0 {
        show(context, &last, left)?;
    }
    Ok(from)
}

/// The moment behind an entry: times in the log grow by at least a microsecond.
fn after(entry: &Value) -> Result<String> {
    let text = entry["created_at"].as_str().unwrap_or_default();
    let time = DateTime::parse_from_rfc3339(text);
    let time = time.map_err(|error| Failure::failed(format!("an entry has no time: {error}")))?;
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

fn entries(answer: &Value) -> Vec<Value> {
    answer["entries"].as_array().cloned().unwrap_or_default()
}

/// JSON is one line an entry, so that it can be read as it comes.
fn show(context: &Context, entries: &[Value], left: &mut usize) -> Result<()> {
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
    let mut line = format!("{time}  {:<32}  {}", action(entry), who(entry));
    for (word, member) in [("cluster", "cluster_name"), ("error:", "error")] {
        if let Some(text) = entry[member].as_str().filter(|text| !text.is_empty()) {
            line.push_str(&format!("  {word} {text}"));
        }
    }
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn action(entry: &Value) -> String {
    let action = entry["action"].as_str().unwrap_or_default();
    action.strip_prefix("AUDIT_LOG_ACTION_").unwrap_or(action).to_owned()
}

fn who(entry: &Value) -> String {
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
    fn a_line_says_who_did_what() {
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
        fn a_follower_begins_behind_what_it_showed(micros in 0_i64..4_000_000_000_000_000) {
            let time = DateTime::from_timestamp_micros(micros).expect("in range");
            let entry = json!({ "created_at": time.to_rfc3339_opts(SecondsFormat::AutoSi, true) });
            let next = DateTime::parse_from_rfc3339(&after(&entry).expect("a time")).expect("a time");
            prop_assert_eq!(next.timestamp_micros(), micros + 1);
        }
    }
}
