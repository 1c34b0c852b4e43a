//! `ootheca demo`: a temporary server, one cluster, one SQL user and a `psql` prompt; all gone on exit.
//!
//! Two processes: this one talks to the person, and `behind` is the server. They share a pipe that this one
//! never writes an end to: however this one ends, killed included, the other one sees it, ends `psql`, stops
//! the SQL servers and removes the folder.

mod behind;

use crate::{
    client::Client,
    connection::address,
    failure::{Exit, Failure, Result},
    resolve,
    talk::{self, say},
    verbs::cluster::sql::{fresh_password, psql, without_certificate},
};
use behind::Ready;
use clap::Args;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, IsTerminal, Write},
    os::unix::process::{CommandExt, parent_id},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// The SQL user.
const USER: &str = "demo";
/// How often it is looked whether somebody still needs this.
const LOOK: Duration = Duration::from_millis(250);

/// Flags of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Arguments of psql, such as `-- -c 'select 1'`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// Be the server behind another process
    #[arg(long, hide = true)]
    behind: bool,
}

/// Runs until the person has seen enough.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    if args.behind {
        return behind::run();
    }
    let program = psql()?;
    let parent = parent_id();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("can not start the runtime: {error}")))?;
    let arguments = args.arguments.clone();
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::listen(parent)?;
        demo(&mut interrupts, program, arguments).await
    });
    // What waits for a server that is gone need not be waited for.
    runtime.shutdown_background();
    match ended?.code() {
        Some(0) => Ok(()),
        Some(code) => std::process::exit(code),
        None => Err(Failure::new(Exit::Interrupted, "psql was ended by a signal")),
    }
}

async fn demo(interrupts: &mut Interrupts, program: PathBuf, arguments: Vec<String>) -> Result<ExitStatus> {
    let mut server = Behind::start()?;
    let ended = async {
        let output = server.output.take();
        let prepare = tokio::task::spawn_blocking(move || prepare(output));
        let shell = tokio::select! {
            shell = prepare => shell.map_err(|error| Failure::failed(format!("the demo broke: {error}")))??,
            failure = interrupts.any(false) => return Err(failure),
        };
        let interactive = arguments.is_empty() && std::io::stdin().is_terminal();
        greet(&shell, interactive);
        let mut psql = tokio::process::Command::from(shell.command(&program));
        let failed = |error| Failure::failed(format!("{} can't be started: {error}", program.display()));
        let mut psql = psql.args(arguments).kill_on_drop(true).spawn().map_err(failed)?;
        server.guard(psql.id());
        tokio::select! {
            status = psql.wait() => status.map_err(failed),
            failure = interrupts.any(interactive) => {
                let _ = psql.kill().await;
                Err(failure)
            }
        }
    }
    .await;
    server.stop().await;
    ended
}

/// What tells that nobody wants this any more.
struct Interrupts {
    parent: u32,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn listen(parent: u32) -> Result<Self> {
        let on = |kind| {
            signal(kind).map_err(|error| Failure::failed(format!("can not listen for signals: {error}")))
        };
        Ok(Self {
            parent,
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// Waits for one. At a prompt, an interrupt from the keyboard belongs to `psql`.
    async fn any(&mut self, at_a_prompt: bool) -> Failure {
        let interrupted = Failure::new(Exit::Interrupted, "interrupted; everything is gone");
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => if !at_a_prompt { return interrupted },
                _ = self.terminate.recv() => return interrupted,
                _ = self.hang_up.recv() => return interrupted,
                () = tokio::time::sleep(LOOK) => if parent_id() != self.parent { return interrupted },
            }
        }
    }
}

/// The server process. It goes when its input ends.
struct Behind {
    process: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<std::process::ChildStdout>>,
}

impl Behind {
    fn start() -> Result<Self> {
        let failed = |error| Failure::failed(format!("the server can't be started: {error}"));
        let mut process = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["demo", "--behind"])
            // Signals from the keyboard are not for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (process.stdin.take(), process.stdout.take().map(BufReader::new));
        Ok(Self { process, input, output })
    }

    /// Tells it of a process that must not outlive this one.
    fn guard(&mut self, pid: Option<u32>) {
        if let (Some(input), Some(pid)) = (&mut self.input, pid) {
            let _ = writeln!(input, "{pid}");
        }
    }

    /// Returns once everything is gone.
    async fn stop(mut self) {
        self.input = None;
        let _ = tokio::task::spawn_blocking(move || self.process.wait()).await;
    }
}

/// All that `psql` needs.
struct Shell {
    ready: Ready,
    cluster: String,
    string: String,
    password: String,
}

/// Waits for the server, then makes a cluster and a user. Takes some seconds; may be left alone.
fn prepare(output: Option<BufReader<std::process::ChildStdout>>) -> Result<Shell> {
    let mut progress = talk::progress("starting a server");
    let mut line = String::new();
    let read = output.map(|mut output| output.read_line(&mut line));
    let said: Value = match read {
        Some(Ok(_)) => serde_json::from_str(&line).unwrap_or_default(),
        _ => Value::Null,
    };
    if let Some(error) = said["error"].as_str() {
        return Err(Failure::failed(error).hint("`ootheca doctor` says what is wrong with this machine"));
    }
    let ready: Ready = serde_json::from_value(said)
        .map_err(|_| Failure::failed("the server ended before it was ready").hint("see `ootheca doctor`"))?;
    let client = Client::new(&address(&ready.server)?, Some(ready.key.clone()));
    progress.now("creating a cluster");
    let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-east-1"] } });
    let body = json!({ "name": "demo-cluster", "provider": "AWS", "spec": spec });
    let cluster = client.post("/api/v1/clusters", &body)?;
    let path = format!("/api/v1/clusters/{}", resolve::id(&cluster));
    while client.get(&path)?["state"] == "CREATING" {
        std::thread::sleep(LOOK);
    }
    progress.now("creating a SQL user");
    let password = fresh_password();
    client.post(&format!("{path}/sql-users"), &json!({ "name": USER, "password": password }))?;
    let answer = client.get(&format!("{path}/connection-string?sql_user={USER}&os=LINUX"))?;
    let string = answer["connection_string"].as_str().unwrap_or_default().to_owned();
    let certificate =
        client.send("GET", &format!("/clusters/{}/cert", resolve::id(&cluster)), &[], None, &[])?.text;
    let failed = |error| Failure::failed(format!("the certificate can't be written: {error}"));
    fs::write(certificate_in(&ready.folder), certificate).map_err(failed)?;
    Ok(Shell { ready, cluster: resolve::name(&cluster).to_owned(), string, password })
}

fn certificate_in(folder: &Path) -> PathBuf {
    folder.join("demo.crt")
}

impl Shell {
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--dbname")
            .arg(without_certificate(&self.string))
            .env("PGSSLROOTCERT", certificate_in(&self.ready.folder))
            .env("PGPASSWORD", &self.password);
        for name in ["OOTHECA_API_KEY", "COCKROACH_API_KEY", "OOTHECA_ADMIN_API_KEY"] {
            command.env_remove(name);
        }
        command
    }
}

fn greet(shell: &Shell, interactive: bool) {
    if !interactive {
        return;
    }
    let Shell { ready, cluster, .. } = shell;
    let folder = ready.folder.display();
    say(format!("The cluster {cluster} is yours until you leave; then everything is gone."));
    say(format!("  Cloud API  {}", ready.server));
    say(format!("  try        ootheca cluster list --data-dir {folder}     (in another terminal)"));
    say("  leave      \\q");
}
