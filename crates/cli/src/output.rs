//! Prints data to standard output: a table that fits the terminal, JSON, CSV, or names. Everything else
//! goes to standard error.

use crate::{
    client::List,
    failure::{Exit, Failure, Result},
    terminal,
};
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use std::{borrow::Cow, io::Write};

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for the terminal
    #[default]
    Table,
    /// The JSON of the API's response
    Json,
    /// Comma-separated values with a header row
    Csv,
    /// Only names, one per line
    Name,
}

/// Flags of commands that print data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Print the JSON of the API's response; the same as --output json
    #[arg(long, global = true, conflicts_with = "output", help_heading = "Global options")]
    pub(crate) json: bool,
    /// Output format: table, json, csv, or name
    #[arg(
        long,
        global = true,
        value_enum,
        hide_possible_values = true,
        value_name = "FORMAT",
        help_heading = "Global options"
    )]
    pub(crate) output: Option<Format>,
}

impl OutputArgs {
    /// The chosen format.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.output.unwrap_or_default() }
    }
}

/// A column of a table, or a line of a record.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    cell: Cell,
}

#[derive(Clone, Copy)]
enum Cell {
    Text(&'static str),
    Time(&'static str),
    By(fn(&Value) -> String),
}

impl Column {
    /// The value at a JSON pointer.
    pub(crate) const fn text(title: &'static str, pointer: &'static str) -> Self {
        Self { title, cell: Cell::Text(pointer) }
    }

    /// The time at a JSON pointer, shown as `2026-03-01 10:30:00Z`.
    pub(crate) const fn time(title: &'static str, pointer: &'static str) -> Self {
        Self { title, cell: Cell::Time(pointer) }
    }

    /// The result of a function on the whole object.
    pub(crate) const fn by(title: &'static str, show: fn(&Value) -> String) -> Self {
        Self { title, cell: Cell::By(show) }
    }

    fn show(&self, thing: &Value) -> String {
        let at = |pointer: &str| thing.pointer(pointer).map(plain).unwrap_or_default();
        printable(&match self.cell {
            Cell::Text(pointer) => at(pointer),
            Cell::Time(pointer) => time(&at(pointer)),
            Cell::By(show) => show(thing),
        })
    }
}

/// Prints data in the chosen format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    /// The format.
    pub(crate) format: Format,
}

impl Out {
    /// Prints objects as rows.
    pub(crate) fn table(&self, columns: &[Column], rows: &[Value]) -> Result<()> {
        match self.format {
            Format::Table if rows.is_empty() => {
                terminal::message("No results");
                Ok(())
            }
            Format::Table => print(&table(columns, rows, width())),
            Format::Json => json(&Value::Array(rows.to_vec())),
            Format::Csv => print(&csv(columns, rows)),
            Format::Name => print(&rows.iter().map(|row| label(row, columns) + "\n").collect::<String>()),
        }
    }

    /// Prints a list. As JSON, it is the API's response.
    pub(crate) fn list(&self, columns: &[Column], list: &List) -> Result<()> {
        match self.format {
            Format::Json => json(&list.response),
            _ => self.table(columns, &list.rows),
        }
    }

    /// Prints an object as ` key: value` lines. Lines without a value are left out.
    pub(crate) fn record(&self, thing: &Value, columns: &[Column]) -> Result<()> {
        match self.format {
            Format::Table => print(&record(thing, columns)),
            Format::Json => json(thing),
            Format::Csv => print(&csv(columns, std::slice::from_ref(thing))),
            Format::Name => print(&(label(thing, columns) + "\n")),
        }
    }

    /// Prints a success message, and the resulting object.
    pub(crate) fn done(&self, what: &str, thing: &Value, columns: &[Column]) -> Result<()> {
        self.success(what);
        self.record(thing, columns)
    }

    /// Prints a success message.
    pub(crate) fn success(&self, what: &str) {
        let style = anstyle::AnsiColor::Green.on_default().bold();
        terminal::message(format!("{style}Success!{style:#} {what}"));
    }
}

/// Prints indented JSON.
pub(crate) fn json(value: &Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// Prints text. A closed pipe ends the command quietly.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::BrokenPipe => Exit::OutputClosed,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("could not write to standard output: {error}"))
    })
}

/// Formats a value for the terminal.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let pair = |(name, value): (&String, &Value)| format!("{name}={}", plain(value));
            members.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
    }
}

/// `2026-03-01T10:30:00.123Z` → `2026-03-01 10:30:00Z`; other text is unchanged.
pub(crate) fn time(text: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.to_utc().format("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// Replaces control characters, which could affect the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Width of the terminal; `None` if standard output is not a terminal.
fn width() -> Option<u16> {
    console::Term::stdout().size_checked().map(|(_, columns)| columns)
}

fn table(columns: &[Column], rows: &[Value], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|column| column.title));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.add_rows(rows.iter().map(|row| columns.iter().map(|column| column.show(row)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{}\n", table.trim_fmt())
}

fn record(thing: &Value, columns: &[Column]) -> String {
    let longest = columns.iter().map(|column| column.title.len()).max().unwrap_or_default() + 1;
    let line = |column: &Column| {
        let title = format!("{}:", column.title.to_lowercase());
        let shown = column.show(thing);
        (!shown.is_empty()).then(|| format!(" {title:<longest$} {}\n", shown.trim_end()))
    };
    columns.iter().filter_map(line).collect()
}

fn csv(columns: &[Column], rows: &[Value]) -> String {
    let line =
        |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\n";
    let mut text = line(columns.iter().map(|column| column.title.to_owned()).collect());
    for row in rows {
        text.push_str(&line(columns.iter().map(|column| column.show(row)).collect()));
    }
    text
}

fn quoted(cell: &str) -> Cow<'_, str> {
    if cell.contains(['"', ',', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ') {
        return Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")));
    }
    Cow::Borrowed(cell)
}

/// The name of an object, or else its ID, or else its first column.
fn label(thing: &Value, columns: &[Column]) -> String {
    let named = ["name", "id"].iter().find_map(|member| thing.get(member)?.as_str());
    match named {
        Some(text) => printable(text),
        None => columns.first().map(|column| column.show(thing)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const COLUMNS: [Column; 3] = [
        Column::text("NAME", "/name"),
        Column::time("CREATED AT", "/created_at"),
        Column::by("LABELS", |thing| plain(&thing["labels"])),
    ];

    fn rows() -> Vec<Value> {
        vec![
            json!({ "name": "blue-dog", "created_at": "2026-03-01T10:30:00.123Z", "labels": { "a": "b" } }),
            json!({ "name": "red, \"fox\"", "created_at": "never", "labels": {} }),
        ]
    }

    #[test]
    fn a_table_has_a_header_in_upper_case() {
        let expected = "NAME        CREATED AT            LABELS\n\
                        blue-dog    2026-03-01 10:30:00Z  a=b\n\
                        red, \"fox\"  never\n";
        let lines = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(lines(&table(&COLUMNS, &rows(), None)), lines(expected));
    }

    #[test]
    fn a_record_is_lines_of_key_and_value() {
        let expected = " name:       blue-dog\n created at: 2026-03-01 10:30:00Z\n labels:     a=b\n";
        assert_eq!(record(&rows()[0], &COLUMNS), expected);
    }

    #[test]
    fn csv_cells_are_quoted_if_necessary() {
        let expected =
            "NAME,CREATED AT,LABELS\nblue-dog,2026-03-01 10:30:00Z,a=b\n\"red, \"\"fox\"\"\",never,\n";
        assert_eq!(csv(&COLUMNS, &rows()), expected);
    }

    #[test]
    fn the_label_is_the_name_or_the_id_or_the_first_column() {
        assert_eq!(label(&json!({ "id": "1", "name": "x" }), &COLUMNS), "x");
        assert_eq!(label(&json!({ "id": "1" }), &COLUMNS), "1");
        assert_eq!(
            label(&json!({ "created_at": "2026-03-01T10:30:00Z" }), &COLUMNS[1..]),
            "2026-03-01 10:30:00Z"
        );
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert!(!table(&COLUMNS, &[json!({ "name": "\u{1b}]0;x\u{7}" })], None).contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn a_table_fits_the_width(name in "[a-z ]{0,200}", width in 40_u16..200) {
            let text = table(&COLUMNS, &[json!({ "name": name, "created_at": "", "labels": "" })], Some(width));
            for line in text.lines() {
                prop_assert!(line.chars().count() <= usize::from(width), "{line:?} is wider than {width}");
            }
        }
    }
}
