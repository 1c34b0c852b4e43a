//! `ootheca api <Operation>`: every row of the table as a command, made from our own OpenAPI document.
//!
//! `flags` says which flags an operation has; here they become arguments, and arguments a request.

mod flags;

use crate::{
    client::segment,
    failure::{Failure, Result},
    output::{Column, json, print},
    resolve,
    verbs::{Context, GlobalArgs},
};
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command,
    builder::{BoolishValueParser, PossibleValuesParser, ValueParser},
    value_parser,
};
use flags::{Flag, Kind, Place};
use ootheca_api::operations::{Operation, TABLE};
use serde_json::{Map, Value};
use std::io::Read;

const BODY: &str = "body";
const DRY_RUN: &str = "dry-run";
const KEY: &str = "idempotency-key";
const VERSION: &str = "version-header";
const LIST: &str = "list";

/// Flags of `api`, and behind them an operation with its own.
#[derive(Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    call: Call,
}

/// What was asked for: the operation and its flags.
pub(crate) struct Call {
    matches: ArgMatches,
}

impl clap::FromArgMatches for Call {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        Ok(Self { matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

impl Args for Call {
    // Other commands need not wait until all of these are made.
    fn augment_args(command: Command) -> Command {
        command.defer(commands)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(commands)
    }
}

fn commands(command: Command) -> Command {
    let document = ootheca_server::openapi();
    let list = Arg::new(LIST)
        .long(LIST)
        .action(ArgAction::SetTrue)
        .help("Show every operation, and whether it is built yet");
    command
        .arg(list)
        .arg_required_else_help(true)
        .subcommand_value_name("OPERATION")
        .subcommand_help_heading("Operations")
        .disable_help_subcommand(true)
        .subcommands(TABLE.iter().map(|row| subcommand(row, &document)))
}

fn subcommand(row: &Operation, document: &Value) -> Command {
    let operation = flags::operation(document, row);
    let access = operation["description"].as_str().unwrap_or_default();
    let later = if row.implemented { "" } else { " (not built yet: answers 501)" };
    let about = format!("{}{later}", row.summary);
    let mut command = Command::new(row.name)
        .alias(flags::kebab(row.name))
        .long_about(format!("{about}\n\n{} {}\n{access}", row.method, row.path))
        .about(about)
        .args(flags::of(document, row).iter().map(argument));
    if row.has_body {
        let help = "The whole body as JSON, @FILE, or - for standard input; other flags win over it";
        command = command.arg(Arg::new(BODY).long(BODY).value_name("JSON|@FILE|-").help(help));
    }
    if row.audit.is_some() {
        command = command
            .arg(Arg::new(KEY).long(KEY).value_name("KEY").help("Under one key the change is made once"))
            .arg(
                Arg::new(DRY_RUN)
                    .long(DRY_RUN)
                    .action(ArgAction::SetTrue)
                    .help("Check everything and show what would be, but change nothing"),
            );
    }
    let versions = PossibleValuesParser::new(flags::versions(document));
    let help = "Version of the API, for both request and answer [default: 2024-09-16]";
    command.arg(Arg::new(VERSION).long(VERSION).value_name("VERSION").value_parser(versions).help(help))
}

fn argument(flag: &Flag) -> Arg {
    let argument = Arg::new(flag.id()).long(flag.long.clone()).help(flag.help.clone());
    let argument = match flag.place {
        Place::Body if flag.required => argument.required_unless_present(BODY),
        _ => argument.required(flag.required),
    };
    match &flag.kind {
        Kind::Boolean => argument
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(BoolishValueParser::new()),
        Kind::List(items) => argument
            .value_name(items.value_name())
            .action(ArgAction::Append)
            .allow_hyphen_values(true)
            .value_parser(parser(items)),
        kind => argument.value_name(kind.value_name()).allow_hyphen_values(true).value_parser(parser(kind)),
    }
}

/// Every value stays a text until the request is made, but for what clap can check by itself.
fn parser(kind: &Kind) -> ValueParser {
    match kind {
        Kind::Words(words) => PossibleValuesParser::new(words.clone()).into(),
        Kind::Integer => ValueParser::new(|text: &str| text.parse::<i64>().map(|_| text.to_owned())),
        Kind::Number => ValueParser::new(|text: &str| text.parse::<f64>().map(|_| text.to_owned())),
        Kind::Json => ValueParser::new(|text: &str| {
            serde_json::from_str::<Value>(text)
                .map(|_| text.to_owned())
                .map_err(|error| format!("no JSON: {error}"))
        }),
        Kind::Text | Kind::Boolean | Kind::List(_) => value_parser!(String),
    }
}

/// A request, ready to be sent.
#[derive(Debug, PartialEq)]
struct Request {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

/// Sends what was asked for, and prints the JSON of the answer.
pub(crate) fn run(args: &ApiArgs) -> Result<()> {
    let Some((name, matches)) = args.call.matches.subcommand() else { return list(args) };
    let row = TABLE.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| Failure::usage(format!("there is no operation {name}")))?;
    let context = args.global.context()?;
    let flags = flags::of(&ootheca_server::openapi(), row);
    let request = request(row, &flags, matches, |parameter, value| look_up(&context, parameter, value))?;
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = context.client.send(
        request.method,
        &request.path,
        &request.query,
        request.body.as_ref(),
        &headers,
    )?;
    match answer.value {
        Value::Null => print(&answer.text),
        value => json(&value),
    }
}

const OPERATIONS: [Column; 5] = [
    Column::text("OPERATION", "/name"),
    Column::text("METHOD", "/method"),
    Column::text("PATH", "/path"),
    Column::text("BUILT", "/built"),
    Column::text("SUMMARY", "/summary"),
];

fn list(args: &ApiArgs) -> Result<()> {
    let row = |row: &Operation| {
        serde_json::json!({
            "name": row.name,
            "method": row.method.name(),
            "path": row.path,
            "tag": row.tag,
            "built": row.implemented,
            "summary": row.summary,
        })
    };
    let rows: Vec<Value> = TABLE.iter().map(row).collect();
    args.global.out().table(&OPERATIONS, &rows)
}

/// Clusters and folders may be named by their name.
fn look_up(context: &Context, parameter: &str, value: &str) -> Result<String> {
    if resolve::is_id(value) {
        return Ok(value.to_owned());
    }
    let found = match parameter {
        "cluster_id" | "destination_cluster_id" => resolve::cluster(&context.client, value)?,
        "folder_id" if value != "root" => resolve::folder(&context.client, value)?,
        _ => return Ok(value.to_owned()),
    };
    Ok(resolve::id(&found).to_owned())
}

fn request(
    row: &Operation,
    flags: &[Flag],
    matches: &ArgMatches,
    look_up: impl Fn(&str, &str) -> Result<String>,
) -> Result<Request> {
    let mut path = row.path.to_owned();
    let mut query = Vec::new();
    let mut members = Map::new();
    for flag in flags {
        let Some(value) = value(flag, matches) else { continue };
        match flag.place {
            Place::Path => {
                let value = look_up(&flag.wire, &text(&value))?;
                path = path.replace(&format!("{{{}}}", flag.wire), &segment(&value));
            }
            Place::Query => match value {
                Value::Array(items) => query.extend(items.iter().map(|item| (flag.wire.clone(), text(item)))),
                value => query.push((flag.wire.clone(), text(&value))),
            },
            Place::Body => {
                members.insert(flag.wire.clone(), value);
            }
        }
    }
    if row.audit.is_some() && matches.get_flag(DRY_RUN) {
        query.push(("dry_run".to_owned(), "true".to_owned()));
    }
    let body = if row.has_body { Some(body(matches.get_one::<String>(BODY), members)?) } else { None };
    let given = |name| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let headers = [("Idempotency-Key", given(KEY)), ("Cc-Version", given(VERSION))];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Ok(Request { method: row.method.name(), path, query, body, headers })
}

/// The value of a flag, in JSON.
fn value(flag: &Flag, matches: &ArgMatches) -> Option<Value> {
    let id = flag.id();
    match &flag.kind {
        Kind::Boolean => matches.get_one::<bool>(&id).map(|value| Value::Bool(*value)),
        Kind::List(items) => {
            let given = matches.get_many::<String>(&id)?;
            Some(given.map(|text| typed(items, text)).collect())
        }
        kind => matches.get_one::<String>(&id).map(|text| typed(kind, text)),
    }
}

fn typed(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Integer | Kind::Number | Kind::Json => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        _ => text.into(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The body that was given as a whole, with the flags laid over it.
fn body(whole: Option<&String>, members: Map<String, Value>) -> Result<Value> {
    let Some(whole) = whole else { return Ok(members.into()) };
    let failed = |what: &str, error: std::io::Error| Failure::usage(format!("--body: {what}: {error}"));
    let text = match whole.strip_prefix('@') {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| failed(&format!("can not read {file}"), error))?
        }
        None if whole == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| failed("can not read standard input", error))?;
            text
        }
        None => whole.clone(),
    };
    let mut value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("--body: is no JSON: {error}")))?;
    match (&mut value, members.is_empty()) {
        (Value::Object(whole), _) => whole.extend(members),
        (_, true) => {}
        (_, false) => {
            return Err(Failure::usage("--body: must be an object where other flags are laid over it"));
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
