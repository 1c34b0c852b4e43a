//! What is said to a person, on standard error: progress, questions, what to do next. Without a terminal
//! nothing is asked.

use crate::failure::{Exit, Failure, Result};
use dialoguer::{Confirm, Input, Password, Select, theme::SimpleTheme};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, Read},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Whether somebody sees what is said and can answer.
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether a program listens, which reads JSON and no talk.
static HUSHED: AtomicBool = AtomicBool::new(false);

/// From now on says only what nobody may miss.
pub(crate) fn hush() {
    HUSHED.store(true, Ordering::Relaxed);
}

/// Says one line.
pub(crate) fn say(text: impl AsRef<str>) {
    if !HUSHED.load(Ordering::Relaxed) {
        tell(text);
    }
}

/// Says one line that nobody may miss.
pub(crate) fn tell(text: impl AsRef<str>) {
    anstream::eprintln!("{}", text.as_ref());
}

/// A line that shows what is happening until it is dropped.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    said: String,
}

/// Begins with `∙∙∙ creating cluster…`, or a plain line where nobody watches.
pub(crate) fn progress(what: &str) -> Progress {
    if HUSHED.load(Ordering::Relaxed) || !std::io::stderr().is_terminal() {
        say(format!("∙∙∙ {what}"));
        return Progress { bar: None, said: what.to_owned() };
    }
    let bar = ProgressBar::new_spinner();
    let steps = ["∙  ", "∙∙ ", "∙∙∙", " ∙∙", "  ∙", "   ", "∙∙∙"];
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
        bar.set_style(style.tick_strings(&steps));
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    Progress { bar: Some(bar), said: what.to_owned() }
}

impl Progress {
    /// Says what is happening now.
    pub(crate) fn now(&mut self, what: &str) {
        if self.said == what {
            return;
        }
        self.said = what.to_owned();
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => say(format!("∙∙∙ {what}")),
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

/// Asks before something that can't be undone. With `yes` it is not asked; without a terminal it is
/// refused.
pub(crate) fn confirm(yes: bool, question: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !interactive() {
        let message = format!("not done, because nobody can be asked: {question}");
        return Err(Failure::usage(message).hint("--yes does it without asking"));
    }
    let answer = Confirm::with_theme(&SimpleTheme).with_prompt(question).default(false).interact();
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::failed("not done")),
        Err(error) => Err(unanswered(&error)),
    }
}

/// Asks for a line of text.
pub(crate) fn ask(question: &str, suggestion: &str) -> Result<String> {
    if !interactive() {
        return Err(nobody(question));
    }
    let input = Input::<String>::with_theme(&SimpleTheme).with_prompt(question);
    let input = if suggestion.is_empty() { input } else { input.default(suggestion.to_owned()) };
    input.interact_text().map_err(|error| unanswered(&error))
}

/// Asks for a secret, without an echo. Where no terminal is, it is the first line of standard input.
pub(crate) fn password(question: &str) -> Result<String> {
    if interactive() {
        let prompt = Password::with_theme(&SimpleTheme).with_prompt(question);
        return prompt.interact().map_err(|error| unanswered(&error));
    }
    if std::io::stdin().is_terminal() {
        return Err(nobody(question));
    }
    let mut text = String::new();
    let read = std::io::stdin().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("standard input can't be read: {error}")))?;
    match text.lines().next().map(str::trim_end) {
        None | Some("") => Err(nobody(question)),
        Some(line) => Ok(line.to_owned()),
    }
}

/// Asks for a new secret, twice; nothing is an answer.
pub(crate) fn new_password(question: &str) -> Result<Option<String>> {
    let once = |question: &str| {
        let prompt = Password::with_theme(&SimpleTheme).with_prompt(question).allow_empty_password(true);
        prompt.interact().map_err(|error| unanswered(&error))
    };
    loop {
        let text = once(question)?;
        if text.is_empty() {
            return Ok(None);
        }
        if once("once more")? == text {
            return Ok(Some(text));
        }
        tell("the two differ");
    }
}

/// Asks for one of several; the number of it.
pub(crate) fn choose(question: &str, from: &[&str]) -> Result<usize> {
    let select = Select::with_theme(&SimpleTheme).with_prompt(question).items(from).default(0);
    select.interact().map_err(|error| unanswered(&error))
}

fn nobody(question: &str) -> Failure {
    Failure::usage(format!("nobody can be asked for: {question}"))
        .hint("give it as a flag, or on standard input")
}

fn unanswered(error: &dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        std::io::ErrorKind::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
        _ => Failure::failed(format!("the answer can't be read: {error}")),
    }
}
