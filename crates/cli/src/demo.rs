//! `ootheca demo`: a temporary server, a cluster, a SQL user, and a `psql` prompt, all removed on exit.
//!
//! The demo consists of two processes: this one, which runs in the terminal, and the server. This process
//! holds the write end of the server's standard input. However this process ends, even if it is killed, the
//! server sees the end of its input, ends `psql`, stops the SQL servers, and removes the directory.

mod server;

use crate::{
    client::Client,
    connection::address,
    failure::{Exit, Failure, Result},
    resolve, runtime,
    terminal::{self, message},
    verbs::cluster::sql::{generate_password, psql, psql_command},
};
use clap::Args;
use serde_json::{Value, json};
use server::Ready;
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
/// How often the demo polls for the cluster, and for the end of its parent process.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Flags of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Arguments for psql, such as `-- -c 'SELECT 1'`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// Run the server process of a demo
    #[arg(long, hide = true)]
    server_process: bool,
}

/// Runs until `psql` ends or the demo is interrupted.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    if args.server_process {
        return server::run();
    }
    let program = psql()?;
    let parent = parent_id();
    let runtime = runtime::multi_thread()?;
    let arguments = args.arguments.clone();
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::listen(parent)?;
        demo(&mut interrupts, program, arguments).await
    });
    // A thread might still wait for the server, which has ended.
    runtime.shutdown_background();
    match ended?.code() {
        Some(0) => Ok(()),
        Some(code) => std::process::exit(code),
        None => Err(Failure::new(Exit::Interrupted, "psql was terminated by a signal")),
    }
}

async fn demo(interrupts: &mut Interrupts, program: PathBuf, arguments: Vec<String>) -> Result<ExitStatus> {
    let mut server = ServerProcess::start()?;
    let ended = async {
        let output = server.output.take();
        let prepare = tokio::task::spawn_blocking(move || prepare(output));
        let shell = tokio::select! {
            shell = prepare => shell.map_err(|error| Failure::failed(format!("internal error: {error}")))??,
            failure = interrupts.any(false) => return Err(failure),
        };
        let interactive = arguments.is_empty() && std::io::stdin().is_terminal();
        announce(&shell, interactive);
        let mut psql = tokio::process::Command::from(shell.command(&program));
        let failed = |error| Failure::failed(format!("could not start {}: {error}", program.display()));
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

/// Signals, and the end of the parent process.
struct Interrupts {
    parent: u32,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn listen(parent: u32) -> Result<Self> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("could not install the signal handlers: {error}")))
        };
        Ok(Self {
            parent,
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them. At a `psql` prompt, an interrupt from the keyboard is for `psql`.
    async fn any(&mut self, at_prompt: bool) -> Failure {
        let interrupted = Failure::new(Exit::Interrupted, "interrupted; the demo was removed");
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => if !at_prompt { return interrupted },
                _ = self.terminate.recv() => return interrupted,
                _ = self.hang_up.recv() => return interrupted,
                () = tokio::time::sleep(POLL_INTERVAL) => if parent_id() != self.parent { return interrupted },
            }
        }
    }
}

/// The server process, which ends when its standard input is closed.
struct ServerProcess {
    process: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<std::process::ChildStdout>>,
}

impl ServerProcess {
    fn start() -> Result<Self> {
        let failed = |error| Failure::failed(format!("could not start the server: {error}"));
        let mut process = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["demo", "--server-process"])
            // So that signals from the keyboard don't reach it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (process.stdin.take(), process.stdout.take().map(BufReader::new));
        Ok(Self { process, input, output })
    }

    /// Makes the server end this process, should the demo end first.
    fn guard(&mut self, pid: Option<u32>) {
        if let (Some(input), Some(pid)) = (&mut self.input, pid) {
            let _ = writeln!(input, "{pid}");
        }
    }

    /// Returns once the server has stopped and removed its data.
    async fn stop(mut self) {
        self.input = None;
        let _ = tokio::task::spawn_blocking(move || self.process.wait()).await;
    }
}

/// What `psql` connects to.
struct Shell {
    ready: Ready,
    cluster: String,
    string: String,
    password: String,
}

/// Waits for the server, then creates a cluster and a SQL user. Runs on a thread of its own.
fn prepare(output: Option<BufReader<std::process::ChildStdout>>) -> Result<Shell> {
    let mut progress = terminal::progress("starting the server…");
    let mut line = String::new();
    let read = output.map(|mut output| output.read_line(&mut line));
    let startup: Value = match read {
        Some(Ok(_)) => serde_json::from_str(&line).unwrap_or_default(),
        _ => Value::Null,
    };
    if let Some(error) = startup["error"].as_str() {
        return Err(Failure::failed(error).hint("run `ootheca doctor` to check this machine"));
    }
    let ready: Ready = serde_json::from_value(startup).map_err(|_| {
        Failure::failed("the server exited during startup").hint("run `ootheca doctor` to check this machine")
    })?;
    let client = Client::new(&address(&ready.server)?, Some(ready.key.clone()), None)?;
    progress.update("creating a cluster…");
    let spec = json!({ "plan": "BASIC", "serverless": { "regions": ["us-east-1"] } });
    let body = json!({ "name": "demo-cluster", "provider": "AWS", "spec": spec });
    let cluster = client.post("/api/v1/clusters", &body)?;
    let path = format!("/api/v1/clusters/{}", resolve::id(&cluster));
    while client.get(&path)?["state"] == "CREATING" {
        std::thread::sleep(POLL_INTERVAL);
    }
    progress.update("creating a SQL user…");
    let password = generate_password();
    client.post(&format!("{path}/sql-users"), &json!({ "name": USER, "password": password }))?;
    let response = client.get(&format!("{path}/connection-string?sql_user={USER}&os=LINUX"))?;
    let string = response["connection_string"].as_str().unwrap_or_default().to_owned();
    let certificate =
        client.send("GET", &format!("/clusters/{}/cert", resolve::id(&cluster)), &[], None, &[])?.text;
    let failed = |error| Failure::failed(format!("could not write the certificate: {error}"));
    fs::write(certificate_path(&ready.data_dir), certificate).map_err(failed)?;
    Ok(Shell { ready, cluster: resolve::name(&cluster).to_owned(), string, password })
}

fn certificate_path(data_dir: &Path) -> PathBuf {
    data_dir.join("demo.crt")
}

impl Shell {
    fn command(&self, program: &Path) -> Command {
        let certificate = certificate_path(&self.ready.data_dir);
        psql_command(program, &self.string, &certificate, Some(&self.password))
    }
}

fn announce(shell: &Shell, interactive: bool) {
    if !interactive {
        return;
    }
    let Shell { ready, cluster, .. } = shell;
    let data_dir = ready.data_dir.display();
    message(format!(
        "\nConnected to the temporary cluster {cluster}. Everything is removed when you exit psql."
    ));
    message(format!("  Cloud API     {}", ready.server));
    message(format!("  Command line  ootheca cluster list --data-dir {data_dir}   (in another terminal)"));
    message("  Exit          \\q\n");
}
