//! `ootheca maintenance`: maintenance windows, version deferral, and blackout windows of ADVANCED clusters. They are
//! recorded; patches are not applied yet, so nothing is scheduled by them.

use super::{Context, time};
use crate::{
    client::segment,
    failure::{Failure, Result},
    output::Column,
    resolve, terminal,
};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use ootheca_model::cluster::ClusterVersionDeferralPolicy;
use serde_json::{Map, Value, json};

/// Verbs of `maintenance`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Manage the recorded maintenance window of a cluster; patches are not applied yet
    #[command(subcommand)]
    Window(Window),
    /// Manage the recorded version deferral of a cluster; patches are not applied yet
    #[command(subcommand)]
    Deferral(Deferral),
    /// Manage the recorded blackout windows of a cluster; nothing is scheduled yet that they could block
    #[command(subcommand)]
    Blackout(Blackout),
}

/// Verbs of `maintenance window`.
#[derive(Subcommand)]
pub(crate) enum Window {
    /// Show the recorded maintenance window of a cluster; patches are not applied yet
    #[command(visible_alias = "get")]
    Show {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Record the maintenance window of an ADVANCED cluster; patches are not applied yet
    Set {
        /// Name or ID of the cluster
        cluster: String,
        /// Time from Monday, 00:00 UTC, until the window starts: a whole number of s, m, h, or d, such as 48h
        #[arg(long, value_name = "DURATION", value_parser = time::seconds)]
        offset: u64,
        /// Length of the window: at least 6h, and less than 7d
        #[arg(long, value_name = "DURATION", value_parser = time::seconds)]
        duration: u64,
    },
    /// Remove the recorded maintenance window of a cluster; patches are not applied yet
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the cluster
        cluster: String,
    },
}

/// Verbs of `maintenance deferral`.
#[derive(Subcommand)]
pub(crate) enum Deferral {
    /// Show how long the patches of a cluster are deferred, as recorded; patches are not applied yet
    #[command(visible_alias = "get")]
    Show {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Record how long the patches of an ADVANCED cluster are deferred; patches are not applied yet
    Set {
        /// Name or ID of the cluster
        cluster: String,
        /// How long patches are deferred; FIXED_DEFERRAL means the same as DEFERRAL_60_DAYS
        #[arg(long, value_name = "POLICY", value_parser = policies())]
        policy: String,
    },
}

/// Verbs of `maintenance blackout`.
#[derive(Subcommand)]
pub(crate) enum Blackout {
    /// List the recorded blackout windows of a cluster; nothing is scheduled yet that they could block
    #[command(visible_alias = "ls")]
    List {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Record a blackout window of an ADVANCED cluster; nothing is scheduled yet that it could block
    Create {
        /// Name or ID of the cluster
        cluster: String,
        /// When the window starts, such as 2026-12-24T00:00:00Z: at least 7 days from now
        #[arg(long, value_name = "TIME")]
        start: String,
        /// When the window ends: at most 14 days after its start, and at most 3 months from now
        #[arg(long, value_name = "TIME")]
        end: String,
    },
    /// Change the start or the end of a recorded blackout window; nothing is scheduled yet that it could block
    Update {
        #[command(flatten)]
        window: BlackoutArg,
        #[command(flatten)]
        times: Times,
    },
    /// Remove a recorded blackout window; nothing is scheduled yet that it could block
    #[command(visible_alias = "rm")]
    Delete {
        #[command(flatten)]
        window: BlackoutArg,
    },
}

/// The blackout window that a command applies to.
#[derive(Args)]
pub(crate) struct BlackoutArg {
    /// Name or ID of the cluster
    cluster: String,
    /// ID of the blackout window, as shown by `list`
    id: String,
}

/// The times of a blackout window. Those without a flag don't change.
#[derive(Args, Default)]
pub(crate) struct Times {
    /// When the window starts: at least 7 days from now
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// When the window ends: at most 14 days after its start, and at most 3 months from now
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
}

const WINDOW: [Column; 3] = [
    Column::by("STARTS", starts),
    Column::text("OFFSET", "/offset_duration"),
    Column::text("DURATION", "/window_duration"),
];
const DEFERRAL: [Column; 1] = [Column::text("POLICY", "/deferral_policy")];
const BLACKOUT: [Column; 3] =
    [Column::text("ID", "/id"), Column::time("START", "/start_time"), Column::time("END", "/end_time")];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn policies() -> PossibleValuesParser {
    PossibleValuesParser::new(ClusterVersionDeferralPolicy::ALL.iter().map(|policy| policy.name()))
}

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::Window(verb) => window(context, verb),
        Verb::Deferral(verb) => deferral(context, verb),
        Verb::Blackout(verb) => blackout(context, verb),
    }
}

/// Runs a command for the maintenance window.
pub(crate) fn window(context: &Context, verb: Window) -> Result<()> {
    let path = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/maintenance-window");
    match verb {
        Window::Show { cluster } => {
            let response = context.client.get(&path(&cluster)?)?;
            context.out.record(&response, &WINDOW)?;
        }
        Window::Set { cluster, offset, duration } => {
            let (offset, duration) = (format!("{offset}s"), format!("{duration}s"));
            let body = json!({ "offset_duration": offset, "window_duration": duration });
            let response = context.client.put(&path(&cluster)?, &body)?;
            context.out.done(&format!("Set the maintenance window of {cluster}"), &response, &WINDOW)?;
        }
        Window::Delete { cluster } => {
            let path = path(&cluster)?;
            terminal::confirm(context.yes, &format!("Delete the maintenance window of {cluster}?"))?;
            let response = context.client.delete(&path)?;
            context.out.done(&format!("Deleted the maintenance window of {cluster}"), &response, &WINDOW)?;
        }
    }
    terminal::message("The maintenance window is recorded; patches are not applied yet.");
    Ok(())
}

/// Runs a command for the version deferral.
pub(crate) fn deferral(context: &Context, verb: Deferral) -> Result<()> {
    let path = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/version-deferral");
    match verb {
        Deferral::Show { cluster } => {
            let response = context.client.get(&path(&cluster)?)?;
            context.out.record(&response, &DEFERRAL)?;
        }
        Deferral::Set { cluster, policy } => {
            let body = json!({ "deferral_policy": policy });
            let response = context.client.put(&path(&cluster)?, &body)?;
            context.out.done(&format!("Set the version deferral of {cluster}"), &response, &DEFERRAL)?;
        }
    }
    terminal::message("The version deferral is recorded; patches are not applied yet.");
    Ok(())
}

/// Runs a command for the blackout windows.
pub(crate) fn blackout(context: &Context, verb: Blackout) -> Result<()> {
    let list = |cluster: &str| resolve::cluster_path(&context.client, cluster, "/blackout-windows");
    let one = |window: &BlackoutArg| {
        list(&window.cluster).map(|windows| format!("{windows}/{}", segment(&window.id)))
    };
    match verb {
        Blackout::List { cluster } => {
            context.out.list(&BLACKOUT, &context.client.list(&list(&cluster)?, "blackout_windows")?)?;
        }
        Blackout::Create { cluster, start, end } => {
            let times = Times { start: Some(start), end: Some(end) };
            let response = context.client.post(&list(&cluster)?, &times.body().into())?;
            context.out.done(&format!("Created a blackout window of {cluster}"), &response, &BLACKOUT)?;
        }
        Blackout::Update { window, times } => {
            let body = times.body();
            if body.is_empty() {
                return Err(Failure::usage("no changes specified").hint("use --start, --end, or both"));
            }
            let response = context.client.patch(&one(&window)?, &body.into())?;
            context.out.done(&format!("Updated blackout window {}", window.id), &response, &BLACKOUT)?;
        }
        Blackout::Delete { window } => {
            let path = one(&window)?;
            let question = format!("Delete blackout window {} of {}?", window.id, window.cluster);
            terminal::confirm(context.yes, &question)?;
            let response = context.client.delete(&path)?;
            context.out.done(&format!("Deleted blackout window {}", window.id), &response, &BLACKOUT)?;
        }
    }
    terminal::message("Blackout windows are recorded; nothing is scheduled yet that they could block.");
    Ok(())
}

impl Times {
    /// The body of the request.
    fn body(self) -> Map<String, Value> {
        let members = [("start_time", self.start), ("end_time", self.end)];
        members.into_iter().filter_map(|(name, time)| Some((name.to_owned(), Value::from(time?)))).collect()
    }
}

/// The weekday and the time at which a window starts.
fn starts(window: &Value) -> String {
    let offset = window["offset_duration"].as_str().and_then(|text| text.strip_suffix('s'));
    let Some(seconds) = offset.and_then(|number| number.parse::<usize>().ok()) else { return String::new() };
    let day = DAYS[seconds / (24 * 3600) % DAYS.len()];
    let (hours, minutes, seconds) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{day} {hours:02}:{minutes:02}:{seconds:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_window_is_a_weekday_and_a_time() {
        let shown = |offset: &str| starts(&json!({ "offset_duration": offset }));
        assert_eq!(shown("0s"), "Monday 00:00:00 UTC");
        assert_eq!(shown("172800s"), "Wednesday 00:00:00 UTC");
        assert_eq!(shown("604799s"), "Sunday 23:59:59 UTC");
        assert_eq!(shown("soon"), "");
    }

    #[test]
    fn a_request_contains_changes_only() {
        let body = |times: Times| Value::from(times.body());
        assert_eq!(body(Times::default()), json!({}));
        let end = Times { end: Some("2026-12-24T00:00:00Z".to_owned()), ..Times::default() };
        assert_eq!(body(end), json!({ "end_time": "2026-12-24T00:00:00Z" }));
    }
}
