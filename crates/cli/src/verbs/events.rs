//! `ootheca events tail`.

use super::Context;
use crate::{
    failure::{Failure, Result},
    output::{self, Format},
    terminal,
};
use clap::Subcommand;
use serde_json::Value;
use std::{io::BufRead, thread, time::Duration};

/// Time to wait before reconnecting.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Verbs of `events`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Print changes as they happen, until interrupted; reconnects if the server restarts
    Tail {
        /// Start after the event with this number [default: start with new events]
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// Exit after this number of events
        #[arg(long, value_name = "COUNT")]
        count: Option<usize>,
    },
}

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let Verb::Tail { after, count } = verb;
    let mut tail = Tail { cursor: after.map(|number| number.to_string()), left: count.unwrap_or(usize::MAX) };
    let mut reported = false;
    while tail.left > 0 {
        match tail.follow(context) {
            Ok(()) => reported = false,
            Err(failure) if tail.cursor.is_some() && failure.transient => {
                if !reported {
                    terminal::message(format!("{}; retrying", failure.message));
                }
                reported = true;
            }
            Err(failure) => return Err(failure),
        }
        if tail.left > 0 {
            thread::sleep(RECONNECT_DELAY);
        }
    }
    Ok(())
}

struct Tail {
    /// Number of the last event.
    cursor: Option<String>,
    /// Number of events still to print.
    left: usize,
}

impl Tail {
    /// Prints the events of one connection.
    fn follow(&mut self, context: &Context) -> Result<()> {
        let path = match &self.cursor {
            Some(cursor) => format!("/api/v1/events?cursor={cursor}"),
            None => "/api/v1/events".to_owned(),
        };
        let stream = context.client.stream(&path, &[], &[])?;
        for line in stream.lines() {
            // The connection was lost; the caller reconnects.
            let Ok(line) = line else { return Ok(()) };
            if let Some(cursor) = line.strip_prefix("id: ") {
                self.cursor = Some(cursor.to_owned());
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(data)
                .map_err(|error| Failure::failed(format!("invalid event: {error}")))?;
            print(context, &event, self.cursor.as_deref())?;
            self.left -= 1;
            if self.left == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Prints an event. JSON has one line per event, so that it can be processed as a stream.
fn print(context: &Context, event: &Value, number: Option<&str>) -> Result<()> {
    if context.out.format == Format::Json {
        return output::print(&format!("{event}\n"));
    }
    let text = |value: &Value| output::plain(value);
    let at = output::time(&text(&event["at"]));
    let (kind, what, id) = (text(&event["kind"]), text(&event["what"]), text(&event["id"]));
    let actor = text(&event["actor"]["name"]);
    output::print(&format!("{:>6}  {at}  {what:<8}  {kind:<16}  {id}  {actor}\n", number.unwrap_or_default()))
}
