//! `ootheca api <Operation>`: a command for every operation, generated from the OpenAPI document.
//!
//! `flags` derives the flags of an operation. This file turns them into clap arguments, and the parsed
//! arguments into a request.

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
use flags::{Flag, Location, Type};
use ootheca_api::{
    extensions,
    operations::{Operation, TABLE},
    versions::Version,
};
use serde_json::{Map, Value};
use std::io::{BufRead, Read};

const BODY: &str = "body";
const DRY_RUN: &str = "dry-run";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const VERSION: &str = "version-header";
const LIST: &str = "list";

/// Flags of `api`, followed by an operation with flags of its own.
#[derive(Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    call: Call,
}

/// The operation and its flags.
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
    // Deferred, so that other commands don't have to generate these.
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
        .help("List all operations, and whether they are implemented");
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
    let later = if row.implemented { "" } else { " (not implemented; responds with 501)" };
    let about = format!("{}{later}", row.summary);
    let mut command = Command::new(row.name)
        .alias(flags::kebab(row.name))
        .long_about(format!("{about}\n\n{} {}\n{access}", row.method, row.path))
        .about(about)
        .args(flags::of(document, row).iter().map(argument));
    if row.has_body {
        let help = "Request body as JSON, @FILE, or - for standard input; other flags override its members";
        command = command.arg(Arg::new(BODY).long(BODY).value_name("JSON|@FILE|-").help(help));
    }
    if takes_extensions(row) {
        command = command
            .arg(
                Arg::new(IDEMPOTENCY_KEY)
                    .long(IDEMPOTENCY_KEY)
                    .value_name("KEY")
                    .help("Make the change only once, even if the command is repeated with the same key"),
            )
            .arg(
                Arg::new(DRY_RUN)
                    .long(DRY_RUN)
                    .action(ArgAction::SetTrue)
                    .help("Validate the request and print the expected response, without making the change"),
            );
    }
    let versions = PossibleValuesParser::new(flags::versions(document));
    let help = format!("Version of the API (Cc-Version) [default: {}]", Version::LATEST.header());
    command.arg(Arg::new(VERSION).long(VERSION).value_name("VERSION").value_parser(versions).help(help))
}

/// Whether the operation supports an idempotency key and a dry run.
fn takes_extensions(row: &Operation) -> bool {
    row.audit.is_some() && extensions::are_supported(row.op)
}

fn argument(flag: &Flag) -> Arg {
    let argument = Arg::new(flag.id()).long(flag.long.clone()).help(flag.help.clone());
    let argument = match flag.location {
        Location::Body if flag.required => argument.required_unless_present(BODY),
        _ => argument.required(flag.required),
    };
    match &flag.value_type {
        Type::Boolean => argument
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(BoolishValueParser::new()),
        Type::List(items) => argument
            .value_name(items.value_name())
            .action(ArgAction::Append)
            .allow_hyphen_values(true)
            .value_parser(parser(items)),
        kind => argument.value_name(kind.value_name()).allow_hyphen_values(true).value_parser(parser(kind)),
    }
}

/// Values stay text until the request is built. Clap validates what it can.
fn parser(kind: &Type) -> ValueParser {
    match kind {
        Type::Enum(words) => PossibleValuesParser::new(words.clone()).into(),
        Type::Integer => ValueParser::new(|text: &str| text.parse::<i64>().map(|_| text.to_owned())),
        Type::Number => ValueParser::new(|text: &str| text.parse::<f64>().map(|_| text.to_owned())),
        Type::Json => ValueParser::new(|text: &str| {
            serde_json::from_str::<Value>(text)
                .map(|_| text.to_owned())
                .map_err(|error| format!("invalid JSON: {error}"))
        }),
        Type::Text | Type::Boolean | Type::List(_) => value_parser!(String),
    }
}

/// A request that is ready to be sent.
#[derive(Debug, PartialEq)]
struct Request {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

/// Sends the request and prints the JSON of the response.
pub(crate) fn run(args: &ApiArgs) -> Result<()> {
    let Some((name, matches)) = args.call.matches.subcommand() else { return list(args) };
    let row = TABLE.iter().find(|row| row.name == name);
    let row = row.ok_or_else(|| Failure::usage(format!("operation {name} not found")))?;
    let context = args.global.context()?;
    let flags = flags::of(&ootheca_server::openapi(), row);
    let request = request(row, &flags, matches, |parameter, value| look_up(&context, parameter, value))?;
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if row.streams {
        return copy(context.client.stream(&request.path, &request.query, &headers)?);
    }
    let response = context.client.send(
        request.method,
        &request.path,
        &request.query,
        request.body.as_ref(),
        &headers,
    )?;
    match response.value {
        Value::Null => print(&response.text),
        value => json(&value),
    }
}

/// Prints a stream as it arrives, to its end.
fn copy(stream: impl BufRead) -> Result<()> {
    for line in stream.lines() {
        let line = line.map_err(|error| Failure::failed(format!("the stream ended: {error}")))?;
        print(&format!("{line}\n"))?;
    }
    Ok(())
}

const OPERATIONS: [Column; 5] = [
    Column::text("OPERATION", "/name"),
    Column::text("METHOD", "/method"),
    Column::text("PATH", "/path"),
    Column::text("IMPLEMENTED", "/implemented"),
    Column::text("SUMMARY", "/summary"),
];

fn list(args: &ApiArgs) -> Result<()> {
    let row = |row: &Operation| {
        serde_json::json!({
            "name": row.name,
            "method": row.method.name(),
            "path": row.path,
            "tag": row.tag,
            "implemented": row.implemented,
            "summary": row.summary,
        })
    };
    let rows: Vec<Value> = TABLE.iter().map(row).collect();
    args.global.out().table(&OPERATIONS, &rows)
}

/// Replaces the name of a cluster or folder by its ID.
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
        match flag.location {
            Location::Path => {
                let value = look_up(&flag.wire, &text(&value))?;
                path = path.replace(&format!("{{{}}}", flag.wire), &segment(&value));
            }
            Location::Query => match value {
                Value::Array(items) => query.extend(items.iter().map(|item| (flag.wire.clone(), text(item)))),
                value => query.push((flag.wire.clone(), text(&value))),
            },
            Location::Body => {
                members.insert(flag.wire.clone(), value);
            }
        }
    }
    if takes_extensions(row) && matches.get_flag(DRY_RUN) {
        query.push(("dry_run".to_owned(), "true".to_owned()));
    }
    let body = if row.has_body { Some(body(matches.get_one::<String>(BODY), members)?) } else { None };
    let given = |name| matches.try_get_one::<String>(name).ok().flatten().cloned();
    let headers = [("Idempotency-Key", given(IDEMPOTENCY_KEY)), ("Cc-Version", given(VERSION))];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    Ok(Request { method: row.method.name(), path, query, body, headers })
}

/// The value of a flag as JSON.
fn value(flag: &Flag, matches: &ArgMatches) -> Option<Value> {
    let id = flag.id();
    match &flag.value_type {
        Type::Boolean => matches.get_one::<bool>(&id).map(|value| Value::Bool(*value)),
        Type::List(items) => {
            let given = matches.get_many::<String>(&id)?;
            Some(given.map(|text| typed(items, text)).collect())
        }
        kind => matches.get_one::<String>(&id).map(|text| typed(kind, text)),
    }
}

fn typed(kind: &Type, text: &str) -> Value {
    match kind {
        Type::Integer | Type::Number | Type::Json => {
            serde_json::from_str(text).unwrap_or_else(|_| text.into())
        }
        _ => text.into(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The value of `--body`, with members overridden by other flags.
fn body(base: Option<&String>, members: Map<String, Value>) -> Result<Value> {
    let Some(base) = base else { return Ok(members.into()) };
    let failed = |what: &str, error: std::io::Error| Failure::usage(format!("--body: {what}: {error}"));
    let text = match base.strip_prefix('@') {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|error| failed(&format!("could not read {file}"), error))?
        }
        None if base == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| failed("could not read standard input", error))?;
            text
        }
        None => base.clone(),
    };
    let mut value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("--body: invalid JSON: {error}")))?;
    match (&mut value, members.is_empty()) {
        (Value::Object(base), _) => base.extend(members),
        (_, true) => {}
        (_, false) => {
            return Err(Failure::usage("--body: must be a JSON object if other flags override its members"));
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
