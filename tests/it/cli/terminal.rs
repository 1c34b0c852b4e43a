//! What only happens at a terminal: questions, passwords without an echo, and the prompts of `psql`.

use super::{Person, demo};
use crate::support::{PROGRAM, real, simulated};
use ootheca_testkit::eventually_within;
use std::{path::Path, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_secs(120);

/// A terminal with a shell in it: a tmux server of its own, whose socket is in the person's home folder.
struct Terminal<'a> {
    person: &'a Person,
}

impl<'a> Terminal<'a> {
    #[track_caller]
    fn open(person: &'a Person) -> Self {
        let this = Self { person };
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
        for (name, value) in self.person.command(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env_remove("TMUX").env("TMUX_TMPDIR", self.person.home()).current_dir(self.person.home());
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

    /// Waits until the last line begins so: somebody is asked.
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
        // At the end of a word tmux takes it as the end of its own command.
        let text = text.strip_suffix(';').map_or_else(|| text.to_owned(), |text| format!("{text}\\;"));
        self.tmux(&["send-keys", "-l", &text]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Presses a key by tmux's name of it.
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
fn what_can_not_be_undone_is_asked_first() {
    let server = simulated();
    server.create_cluster("blue-dog", "BASIC");
    let person = Person::beside(&server);
    let terminal = Terminal::open(&person);
    terminal.types("ootheca cluster delete blue-dog");
    terminal.sees("[y/N]");
    terminal.types("n");
    terminal.sees("error: not done");
    assert_eq!(person.run(&["cluster", "list", "--output", "name"]).ok(), "blue-dog\n");
    terminal.presses("C-l");
    terminal.asks("ready>");
    terminal.types("clear; ootheca cluster delete blue-dog");
    terminal.sees("[y/N]");
    terminal.types("y");
    terminal.sees("Success! Deleted");
    assert_eq!(person.run(&["cluster", "list"]).ok(), "");
}

#[test]
fn a_password_is_not_shown() {
    let server = simulated();
    server.create_cluster("blue-dog", "BASIC");
    let person = Person::beside(&server);
    let terminal = Terminal::open(&person);
    terminal.types("ootheca user create blue-dog maria");
    terminal.asks("password of maria");
    terminal.types("quiet-mouse-17");
    terminal.asks("once more");
    terminal.types("quiet-mouse-17");
    terminal.sees("Success! Created SQL user maria");
    assert!(!terminal.screen().contains("quiet-mouse"), "{}", terminal.screen());
    terminal.types("clear; ootheca user create blue-dog ada");
    terminal.asks("password of ada");
    terminal.presses("C-c");
    terminal.asks("ready>");
    assert_eq!(person.run(&["user", "list", "blue-dog", "--output", "name"]).ok(), "maria\n");
}

#[test]
fn a_key_is_typed_unseen() {
    let server = simulated();
    let (person, key) = (Person::new(), server.admin_key());
    let address = std::fs::read_to_string(server.data_dir().join("api-address")).expect("the address");
    let terminal = Terminal::open(&person);
    terminal.types(&format!("ootheca login --server {}", address.trim()));
    terminal.asks("API key");
    terminal.types(&key);
    terminal.sees("Success! Logged in to");
    assert!(!terminal.screen().contains(&key), "{}", terminal.screen());
    person.run(&["cluster", "list"]).ok();
}

#[test]
fn a_table_fits_the_terminal() {
    let server = simulated();
    server.create_cluster("a-cluster-with-a-name-that-is-about-as-long-as-they-get", "BASIC");
    let person = Person::beside(&server);
    let terminal = Terminal::open(&person);
    terminal.types("clear; ootheca cluster list");
    terminal.sees("CREATED ");
    terminal.asks("ready>");
    // Without joined lines: one that is too long would go on in the next.
    let screen = terminal.tmux(&["capture-pane", "-p"]);
    let header = screen.lines().find(|line| line.starts_with("NAME")).expect("a header");
    assert!(header.contains("VERSION"), "the header stands in one line:\n{screen}");
}

#[test]
fn a_shell_on_a_new_cluster_makes_its_first_user() {
    let server = real();
    server.create_cluster("blue-dog", "BASIC");
    let person = Person::beside(&server);
    let terminal = Terminal::open(&person);
    terminal.types("ootheca cluster sql blue-dog");
    terminal.asks("SQL user");
    terminal.presses("C-u");
    terminal.types("maria");
    terminal.asks("password");
    terminal.types("quiet-mouse-17");
    terminal.asks("once more");
    terminal.types("quiet-mouse-17");
    terminal.asks("defaultdb=");
    terminal.types("select current_user || 42;");
    terminal.sees("maria42");
    terminal.types("\\q");
    terminal.asks("ready>");
}

#[test]
fn a_demo_has_a_prompt() {
    let person = demo::person();
    let terminal = Terminal::open(&person);
    terminal.types("ootheca demo");
    terminal.asks("defaultdb=");
    terminal.sees("everything is gone");
    // An interrupt before the statement has begun would only clear the line.
    terminal.types(r"\echo begun \\ select pg_sleep(10000);");
    terminal.comes_to("begun", |screen| screen.lines().any(|line| line.trim_end() == "begun"));
    terminal.presses("C-c");
    terminal.sees("canceling statement");
    terminal.types("select 40 + 2 as answer;");
    terminal.sees("42");
    terminal.types("\\q");
    terminal.asks("ready>");
    drop(terminal);
    demo::leaves_nothing(&person);
}

#[test]
fn a_demo_ends_with_its_terminal() {
    let person = demo::person();
    let terminal = Terminal::open(&person);
    terminal.types("ootheca demo");
    terminal.asks("defaultdb=");
    drop(terminal);
    demo::leaves_nothing(&person);
}
