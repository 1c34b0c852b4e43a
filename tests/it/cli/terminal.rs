//! Behavior at a terminal: confirmation, password prompts, and the prompts of `psql`.

use super::{Cli, demo};
use crate::support::{PROGRAM, real, simulated};
use ootheca_testkit::{Folder, eventually, eventually_within, processes};
use std::{path::Path, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(120);

/// A terminal with a shell: a separate tmux server, whose socket is in the home directory of the test.
struct Terminal<'a> {
    cli: &'a Cli,
}

impl<'a> Terminal<'a> {
    #[track_caller]
    fn open(cli: &'a Cli) -> Self {
        let this = Self { cli };
        let folder = Path::new(PROGRAM).parent().expect("a folder").display();
        let shell = format!("PATH={folder}:$PATH PS1='ready> ' ENV= PAGER=cat exec sh -i");
        this.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "150", "-y", "40", &shell]);
        this.sees("ready> ");
        this
    }

    #[track_caller]
    fn tmux(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("tmux is installed by ./dev test");
        assert!(output.status.success(), "tmux {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        for (name, value) in self.cli.command(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env_remove("TMUX").env("TMUX_TMPDIR", self.cli.home()).current_dir(self.cli.home());
        command.args(["-u", "-L", "test"]).args(words);
        command
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    fn sees(&self, text: &str) {
        self.comes_to(text, |screen| screen.contains(text));
    }

    /// Waits until the last line starts with a prompt.
    #[track_caller]
    fn asks(&self, text: &str) {
        self.comes_to(text, |screen| {
            screen.trim_end().lines().last().is_some_and(|line| line.starts_with(text))
        });
    }

    #[track_caller]
    fn comes_to(&self, what: &str, right: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually_within(LIMIT, what, || {
                last = self.screen();
                right(&last).then_some(())
            });
        }));
        assert!(found.is_ok(), "{what:?} is not on the screen:\n{last}");
    }

    #[track_caller]
    fn types(&self, text: &str) {
        // tmux takes a trailing semicolon as the end of its own command.
        let text = text.strip_suffix(';').map_or_else(|| text.to_owned(), |text| format!("{text}\\;"));
        self.tmux(&["send-keys", "-l", &text]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Presses a key, by its name in tmux.
    #[track_caller]
    fn presses(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

#[test]
fn destructive_commands_ask_for_confirmation() {
    let server = simulated();
    server.create_cluster("blue-dog", "BASIC");
    let cli = Cli::beside(&server);
    let terminal = Terminal::open(&cli);
    terminal.types("ootheca cluster delete blue-dog");
    terminal.sees("[y/N]");
    terminal.types("n");
    terminal.sees("error: canceled");
    assert_eq!(cli.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
    terminal.presses("C-l");
    terminal.asks("ready>");
    terminal.types("clear; ootheca cluster delete blue-dog");
    terminal.sees("[y/N]");
    terminal.types("y");
    terminal.sees("Success! Deleted");
    assert_eq!(cli.run(&["cluster", "list"]).ok(), "");
}

#[test]
fn a_typed_password_is_not_echoed() {
    let server = simulated();
    server.create_cluster("blue-dog", "BASIC");
    let cli = Cli::beside(&server);
    let terminal = Terminal::open(&cli);
    terminal.types("ootheca user create blue-dog maria");
    terminal.asks("Password for maria");
    terminal.types("quiet-mouse-17");
    terminal.asks("Repeat the password");
    terminal.types("quiet-mouse-17");
    terminal.sees("Success! Created SQL user maria");
    assert!(!terminal.screen().contains("quiet-mouse"), "{}", terminal.screen());
    terminal.types("clear; ootheca user create blue-dog ada");
    terminal.asks("Password for ada");
    terminal.presses("C-c");
    terminal.asks("ready>");
    assert_eq!(cli.run(&["user", "list", "blue-dog", "--output", "name"]).ok(), "maria\n");
}

#[test]
fn a_typed_api_key_is_not_echoed() {
    let server = simulated();
    let (cli, key) = (Cli::new(), server.admin_key());
    let address = std::fs::read_to_string(server.data_dir().join("api-address")).expect("the address");
    let terminal = Terminal::open(&cli);
    terminal.types(&format!("ootheca login --server {}", address.trim()));
    terminal.asks("API key");
    terminal.types(&key);
    terminal.sees("Success! Logged in to");
    assert!(!terminal.screen().contains(&key), "{}", terminal.screen());
    cli.run(&["cluster", "list"]).ok();
}

#[test]
fn a_table_fits_the_terminal() {
    let server = simulated();
    server.create_cluster("a-cluster-with-a-name-that-is-about-as-long-as-they-get", "BASIC");
    let cli = Cli::beside(&server);
    let terminal = Terminal::open(&cli);
    terminal.types("clear; ootheca cluster list");
    terminal.sees("CREATED ");
    terminal.asks("ready>");
    // Wrapped lines are not joined, so a table that is too wide would be visible.
    let screen = terminal.tmux(&["capture-pane", "-p"]);
    let header = screen.lines().find(|line| line.starts_with("NAME")).expect("a header");
    assert!(header.contains("VERSION"), "the header is on one line:\n{screen}");
}

#[test]
fn a_shell_on_a_new_cluster_creates_its_first_user() {
    let server = real();
    server.create_cluster("blue-dog", "BASIC");
    let cli = Cli::beside(&server);
    let terminal = Terminal::open(&cli);
    terminal.types("ootheca cluster sql blue-dog");
    terminal.asks("SQL user");
    terminal.presses("C-u");
    terminal.types("maria");
    terminal.asks("Password");
    terminal.types("quiet-mouse-17");
    terminal.asks("Repeat the password");
    terminal.types("quiet-mouse-17");
    terminal.asks("defaultdb=");
    terminal.types("select current_user || 42;");
    terminal.sees("maria42");
    terminal.types("\\q");
    terminal.asks("ready>");
}

#[test]
fn a_demo_opens_a_psql_prompt() {
    let cli = demo::cli();
    let terminal = Terminal::open(&cli);
    terminal.types("ootheca demo");
    terminal.asks("defaultdb=");
    terminal.sees("Everything is removed when you exit psql");
    // Before the statement has started, an interrupt would only clear the line.
    terminal.types(r"\echo begun \\ select pg_sleep(10000);");
    terminal.comes_to("begun", |screen| screen.lines().any(|line| line.trim_end() == "begun"));
    terminal.presses("C-c");
    terminal.sees("canceling statement");
    terminal.types("select 40 + 2 as answer;");
    terminal.sees("42");
    terminal.types("\\q");
    terminal.asks("ready>");
    drop(terminal);
    demo::leaves_nothing(&cli);
}

#[test]
fn a_demo_ends_with_its_terminal() {
    let cli = demo::cli();
    let terminal = Terminal::open(&cli);
    terminal.types("ootheca demo");
    terminal.asks("defaultdb=");
    drop(terminal);
    demo::leaves_nothing(&cli);
}

#[test]
fn closing_the_terminal_stops_a_server() {
    let (cli, folder) = (Cli::new(), Folder::new());
    let terminal = Terminal::open(&cli);
    let flags = "--engine simulated --listen 127.0.0.1:0 --sql-listen 127.0.0.1:0";
    terminal.types(&format!("ootheca serve {flags} --data-dir {}", folder.path().join("data").display()));
    terminal.sees("Ootheca is ready");
    assert!(!processes::within(folder.path()).is_empty());
    terminal.tmux(&["kill-session"]);
    eventually("the server has stopped", || processes::within(folder.path()).is_empty().then_some(()));
}
