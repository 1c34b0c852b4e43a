//! Messages, progress, and prompts on standard error. Without a terminal, commands never prompt.

use crate::failure::{Exit, Failure, Result};
use dialoguer::{Confirm, Input, Password, Select, theme::SimpleTheme};
use indicatif::{ProgressBar, ProgressStyle};
use ootheca_server::logging;
use std::{
    io::{IsTerminal, Read, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Whether the command can prompt.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether messages are suppressed because the caller reads JSON.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses all messages except notices and errors.
pub(crate) fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Prints a message, unless messages are suppressed.
pub(crate) fn message(text: impl AsRef<str>) {
    if !QUIET.load(Ordering::Relaxed) {
        notice(text);
    }
}

/// Prints a message even if messages are suppressed. A closed standard error is not an error, and a server is not
/// blocked if it is not read.
pub(crate) fn notice(text: impl AsRef<str>) {
    let text = format!("{}\n", text.as_ref());
    if logging::is_running() {
        let plain = anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never;
        let stripped = anstream::adapter::strip_str(&text).to_string();
        logging::print(if plain { &stripped } else { &text });
    } else {
        let _ = anstream::stderr().write_all(text.as_bytes());
    }
}

/// A progress line, which is cleared when this value is dropped.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last: String,
}

/// Starts a progress line such as `∙∙∙ creating cluster…`. Without a terminal, it is an ordinary message.
pub(crate) fn progress(what: &str) -> Progress {
    if QUIET.load(Ordering::Relaxed) || !std::io::stderr().is_terminal() {
        message(format!("∙∙∙ {what}"));
        return Progress { bar: None, last: what.to_owned() };
    }
    let bar = ProgressBar::new_spinner();
    let steps = ["∙  ", "∙∙ ", "∙∙∙", " ∙∙", "  ∙", "   ", "∙∙∙"];
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style.tick_strings(&steps));
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Progress { bar: Some(bar), last: what.to_owned() }
}

impl Progress {
    /// Replaces the text of the progress line.
    pub(crate) fn update(&mut self, what: &str) {
        if self.last == what {
            return;
        }
        self.last = what.to_owned();
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => message(format!("∙∙∙ {what}")),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Asks for confirmation of a destructive command. With `yes` it doesn't ask; without a terminal it fails.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !interactive() {
        let message = format!("confirmation required: {question}");
        return Err(Failure::usage(message).hint("use --yes to run the command without confirmation"));
    }
    let answer = Confirm::with_theme(&SimpleTheme).with_prompt(question).default(false).interact();
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::failed("canceled")),
        Err(error) => Err(prompt_failed(&error)),
    }
}

/// Prompts for a line of text.
pub(crate) fn ask(prompt: &str, suggestion: &str) -> Result<String> {
    if !interactive() {
        return Err(no_terminal(prompt));
    }
    let input = Input::<String>::with_theme(&SimpleTheme).with_prompt(prompt);
    let input = if suggestion.is_empty() { input } else { input.default(suggestion.to_owned()) };
    input.interact_text().map_err(|error| prompt_failed(&error))
}

/// Prompts for a secret without echo. Without a terminal, the secret is the first line of standard input.
pub(crate) fn password(prompt: &str) -> Result<String> {
    if interactive() {
        let input = Password::with_theme(&SimpleTheme).with_prompt(prompt);
        return input.interact().map_err(|error| prompt_failed(&error));
    }
    if std::io::stdin().is_terminal() {
        return Err(no_terminal(prompt));
    }
    let mut text = String::new();
    let read = std::io::stdin().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("could not read standard input: {error}")))?;
    match text.lines().next().map(str::trim_end) {
        None | Some("") => Err(no_terminal(prompt)),
        Some(line) => Ok(line.to_owned()),
    }
}

/// Prompts twice for a new secret; `None` if it was left blank.
pub(crate) fn new_password(prompt: &str) -> Result<Option<String>> {
    let once = |prompt: &str| {
        let input = Password::with_theme(&SimpleTheme).with_prompt(prompt).allow_empty_password(true);
        input.interact().map_err(|error| prompt_failed(&error))
    };
    loop {
        let text = once(prompt)?;
        if text.is_empty() {
            return Ok(None);
        }
        if once("Repeat the password")? == text {
            return Ok(Some(text));
        }
        notice("The passwords don't match.");
    }
}

/// Prompts for one of several items and returns its index.
pub(crate) fn choose(prompt: &str, items: &[&str]) -> Result<usize> {
    let select = Select::with_theme(&SimpleTheme).with_prompt(prompt).items(items).default(0);
    select.interact().map_err(|error| prompt_failed(&error))
}

fn no_terminal(prompt: &str) -> Failure {
    Failure::usage(format!("can't prompt for {}: not a terminal", lower_first(prompt)))
        .hint("pass the value with a flag or on standard input")
}

/// `API key` stays as it is; `Server` becomes `server`.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

fn prompt_failed(error: &dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
        _ => Failure::failed(format!("could not read the answer: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::lower_first;

    #[test]
    fn prompts_read_as_part_of_a_sentence() {
        assert_eq!(lower_first("Password for maria"), "password for maria");
        assert_eq!(lower_first("API key"), "API key");
        assert_eq!(lower_first("SQL user"), "SQL user");
    }
}
