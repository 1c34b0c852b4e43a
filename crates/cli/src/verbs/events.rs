//! `ootheca events tail`: what changes, as it changes.

use super::Context;
use crate::{
    failure::{Exit, Failure, Result},
    output::{self, Format},
    talk,
};
use clap::Subcommand;
use serde_json::Value;
use std::{io::BufRead, thread, time::Duration};

/// How long to wait before a server is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// What to do with events.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Show each change as it happens, until interrupted; goes on by itself after a restart of the server
    Tail {
        /// Begin behind this event, by its number [default: now]
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// End after so many events
        #[arg(long, value_name = "COUNT")]
        count: Option<usize>,
    },
}

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let Verb::Tail { after, count } = verb;
    let mut tail = Tail { cursor: after.map(|number| number.to_string()), left: count.unwrap_or(usize::MAX) };
    let mut complained = false;
    while tail.left > 0 {
        match tail.follow(context) {
            Ok(()) => complained = false,
            Err(failure) if tail.cursor.is_some() && may_pass(&failure) => {
                if !complained {
                    talk::say(format!("{}; trying again", failure.message));
                }
                complained = true;
            }
            Err(failure) => return Err(failure),
        }
        if tail.left > 0 {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// Whether a server may be back soon.
pub(crate) fn may_pass(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable
        || failure.hint.as_deref().is_some_and(|hint| hint.starts_with("try again"))
}

struct Tail {
    /// The event that was shown last.
    cursor: Option<String>,
    /// How many are still wanted.
    left: usize,
}

impl Tail {
    /// Reads one stream to its end.
    fn follow(&mut self, context: &Context) -> Result<()> {
        let path = match &self.cursor {
            Some(cursor) => format!("/api/v1/events?cursor={cursor}"),
            None => "/api/v1/events".to_owned(),
        };
        let stream = context.client.stream(&path)?;
        for line in stream.lines() {
            // A stream that breaks is gone on with.
            let Ok(line) = line else { return Ok(()) };
            if let Some(cursor) = line.strip_prefix("id: ") {
                self.cursor = Some(cursor.to_owned());
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(data)
                .map_err(|error| Failure::failed(format!("an event is no JSON: {error}")))?;
            show(context, &event, self.cursor.as_deref())?;
            self.left -= 1;
            if self.left == 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// JSON is one line an event, so that it can be read as it comes.
fn show(context: &Context, event: &Value, number: Option<&str>) -> Result<()> {
    if context.out.format == Format::Json {
        return output::print(&format!("{event}\n"));
    }
    let text = |value: &Value| output::plain(value);
    let at = output::time(&text(&event["at"]));
    let (kind, what, id) = (text(&event["kind"]), text(&event["what"]), text(&event["id"]));
    let actor = text(&event["actor"]["name"]);
    output::print(&format!("{:>6}  {at}  {what:<8}  {kind:<16}  {id}  {actor}\n", number.unwrap_or_default()))
}
