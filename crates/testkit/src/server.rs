//! A server that tests start, kill, and restart on the same folder, and that is cleaned up at the end.

use crate::{Answer, Client, Folder, Request, ServerBuilder, eventually, processes};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A process whose successor has taken over.
pub struct Predecessor {
    running: Child,
}

impl Predecessor {
    /// Waits until the process has exited successfully.
    pub fn ended(mut self) {
        let status = self.wait();
        assert!(status.success(), "the program exited with {status}");
    }

    /// Waits until the process has exited or was killed.
    pub fn status(mut self) -> ExitStatus {
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the process has exited", || self.running.try_wait().expect("a child process"))
    }
}

impl Drop for Predecessor {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

/// A running server and its folder. Dereferences to a [`Client`] with the administrator's key and the newest
/// API version.
pub struct Ootheca {
    folder: Folder,
    launch: ServerBuilder,
    running: Option<Child>,
    client: Client,
    listen: SocketAddr,
    sql_listen: SocketAddr,
}

impl Deref for Ootheca {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Ootheca {
    pub(crate) fn new(launch: ServerBuilder) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
        Self {
            folder: Folder::new(),
            launch,
            running: None,
            client: Client::new("http://127.0.0.1:1", ""),
            listen: nowhere,
            sql_listen: nowhere,
        }
    }

    /// Starts the server after [`Ootheca::kill`] or [`Ootheca::terminate`]. Returns once it is ready.
    pub fn start(&mut self) {
        self.try_start().unwrap_or_else(|said| panic!("the program exited during startup:\n{said}"));
    }

    /// Like `start`, but returns the output if the server exits before it is ready.
    pub fn try_start(&mut self) -> Result<(), String> {
        assert!(self.running.is_none(), "the server is already running");
        let log =
            File::options().create(true).append(true).open(self.log_path()).expect("failed to open the log");
        let from = self.log().len();
        let child = self.launch.command(&self.data_dir()).stdout(Stdio::null()).stderr(log).spawn();
        self.running = Some(child.expect("failed to start the program"));
        eventually("the server is ready", || {
            // The exit is checked before the output is read, so that the output is complete.
            let ended = !self.runs();
            let log = self.log();
            let new = log.get(from..).unwrap_or_default();
            if ended {
                self.running = None;
                return Some(Err(new.to_owned()));
            }
            self.listen = address(new, "Cloud API")?;
            // With `--no-gateway` there is no SQL gateway.
            self.sql_listen = address(new, "SQL gateway").unwrap_or(self.sql_listen);
            let key = fs::read_to_string(self.data_dir().join("admin-api-key")).unwrap_or_default();
            self.client = self.launch.client(self.listen, key.trim(), &self.data_dir());
            let ready = self.client.raw("GET", "/readyz").try_send().is_ok_and(|answer| answer.status == 200);
            ready.then_some(Ok(()))
        })
    }

    /// Stops the server cleanly and starts it again.
    pub fn restart(&mut self) {
        self.terminate();
        self.start();
    }

    /// Starts another process on the same folder, which takes over. Returns the previous process, which is
    /// about to exit.
    pub fn take_over(&mut self) -> Predecessor {
        self.try_take_over(&[]).unwrap_or_else(|said| panic!("the program exited during startup:\n{said}"))
    }

    /// Like `take_over`, with additional arguments. If the new process exits, the previous one is still
    /// running.
    pub fn try_take_over(&mut self, args: &[&str]) -> Result<Predecessor, String> {
        let (before, launch) = (self.running.take().expect("the server is running"), self.launch.clone());
        for arg in ["--take-over"].iter().chain(args) {
            self.launch = self.launch.clone().arg(arg);
        }
        let started = self.try_start();
        self.launch = launch;
        match started {
            Ok(()) => Ok(Predecessor { running: before }),
            Err(said) => {
                self.running = Some(before);
                Err(said)
            }
        }
    }

    /// Stops the server and waits until it has exited successfully.
    pub fn terminate(&mut self) {
        let status = self.stop();
        assert!(status.success(), "the program exited with {status}");
        self.closed();
    }

    /// Stops the server unless it has already exited, and returns its exit status.
    pub fn stop(&mut self) -> ExitStatus {
        if self.runs() {
            self.signal(Signal::TERM);
        }
        self.wait(Duration::from_secs(30))
    }

    /// Kills the server with SIGKILL. The SQL servers keep running.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait(Duration::from_secs(10));
        self.closed();
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.running {
            processes::signal(child.id(), signal);
        }
    }

    /// Waits until the server has exited and returns its exit status.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.running.take().expect("the server is running");
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait().expect("a child process") {
                return status;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("the server did not exit within {limit:?}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether the server is running.
    pub fn runs(&mut self) -> bool {
        self.running.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Checks that no process still has a listening socket open, because that would prevent the next start.
    fn closed(&self) {
        for address in [self.listen, self.sql_listen] {
            eventually(&format!("{address} is closed"), || {
                TcpStream::connect(address).is_err().then_some(())
            });
        }
    }

    /// Keeps the address of the API across restarts, for clients such as a browser.
    pub fn pin_port(&mut self) {
        self.launch.listen = self.listen;
    }

    /// Changes the launch settings from the next start on.
    pub fn relaunch(&mut self, change: impl FnOnce(ServerBuilder) -> ServerBuilder) {
        self.launch = change(self.launch.clone());
    }

    /// The administrator's client, to clone and modify.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Replaces the administrator's client until the next start.
    pub fn speak(&mut self, change: impl FnOnce(&Client) -> Client) {
        self.client = change(&self.client);
    }

    /// The administrator's key.
    pub fn admin_key(&self) -> String {
        fs::read_to_string(self.data_dir().join("admin-api-key")).expect("the key file").trim().to_owned()
    }

    /// Passes every change that is requested from now on to `around`, until the next start.
    pub fn around(&mut self, around: impl Fn(Request<'_>) -> Answer + Send + Sync + 'static) {
        self.client = self.client.around(around);
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder that contains everything of this server.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program without settings from the environment.
    pub(crate) fn program(&self) -> Command {
        self.launch.program()
    }

    /// The home directory of the SQL clients.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The process ID of the control plane.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server is running").id()
    }

    /// The address of the SQL gateway.
    pub fn sql_address(&self) -> SocketAddr {
        self.sql_listen
    }

    /// The PEM certificate that SQL clients trust.
    pub fn authority(&self) -> String {
        fs::read_to_string(self.data_dir().join("certificates/ca.pem")).expect("the certificate")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The output so far, including that of previous processes.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Runs another command of the program, such as `debug`, on the data directory.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = self.launch.program();
        command.args(args).env("OOTHECA_DATA_DIR", self.data_dir());
        command.output().expect("failed to start the program")
    }

    /// The output of `ootheca debug --json`: one row for each SQL server.
    pub fn instances(&self) -> Vec<Value> {
        let output = self.run(&["debug", "--json"]);
        assert!(output.status.success(), "debug: {}", String::from_utf8_lossy(&output.stderr));
        let rows: Value = serde_json::from_slice(&output.stdout).expect("debug prints JSON");
        rows.as_array().expect("debug prints a list").clone()
    }

    /// The main process of a cluster's SQL server, once it has one.
    pub fn postmaster(&self, cluster: &str) -> u32 {
        eventually("the cluster has a process", || {
            let rows = self.instances();
            let row = rows.iter().find(|row| row["cluster"] == cluster)?;
            u32::try_from(row["pid"].as_u64()?).ok()
        })
    }

    /// Creates a service account with these roles and a key for it. Returns the secret. A role is `ROLE`,
    /// `ROLE@<cluster id>` for a cluster, or `ROLE@FOLDER/<folder id>` for a folder.
    pub fn new_key(&self, roles: &[&str]) -> String {
        self.new_account("test", roles).1
    }

    /// Like `new_key`, with a name. Returns the ID of the account and the secret.
    pub fn new_account(&self, name: &str, roles: &[&str]) -> (String, String) {
        let roles: Vec<Value> = roles.iter().map(|role| role_json(role)).collect();
        let body = json!({ "name": name, "description": "", "roles": roles });
        let account = self.post("/service-accounts", body);
        account.ok();
        let id = account.text("/id");
        let key = self.post("/api-keys", json!({ "name": name, "service_account_id": id }));
        key.ok();
        (id, key.text("/secret"))
    }

    /// Creates a cluster and waits until it is CREATED. Returns the cluster.
    pub fn create_cluster(&self, name: &str, plan: &str) -> Value {
        let spec = match plan {
            "ADVANCED" => json!({ "plan": plan, "dedicated": {
                "region_nodes": { "us-east1": 1 },
                "hardware": { "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 },
            }}),
            "STANDARD" => json!({ "plan": plan, "serverless": {
                "regions": ["us-central1"], "usage_limits": { "provisioned_virtual_cpus": "2" },
            }}),
            _ => json!({ "plan": plan, "serverless": { "regions": ["us-central1"] } }),
        };
        let made = self.post("/clusters", json!({ "name": name, "provider": "GCP", "spec": spec }));
        made.ok();
        self.when_created(&made.text("/id"))
    }

    /// Waits until a cluster is CREATED and no operation is in progress. Returns the cluster.
    pub fn when_created(&self, id: &str) -> Value {
        eventually("the cluster is CREATED", || {
            let answer = self.get(&format!("/clusters/{id}"));
            let cluster = answer.ok();
            assert_ne!(cluster["state"], "CREATION_FAILED", "{cluster:#}");
            (cluster["state"] == "CREATED" && cluster["operation_status"] == "UNSPECIFIED")
                .then(|| cluster.clone())
        })
    }

    /// Kills the remaining processes and returns them.
    fn sweep(&mut self) -> Vec<processes::Process> {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let left = processes::within(self.folder.path());
        for process in &left {
            processes::kill(process.pid);
        }
        left
    }
}

impl Drop for Ootheca {
    fn drop(&mut self) {
        if thread::panicking() {
            self.folder.keep();
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("end of the server's log:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
            self.sweep();
            return;
        }
        if self.running.is_some() {
            self.terminate();
        }
        let left = self.sweep();
        assert!(left.is_empty(), "leftover processes: {left:#?}");
    }
}

fn role_json(role: &str) -> Value {
    match role.split_once('@') {
        Some((name, place)) => {
            let (kind, id) = place.split_once('/').unwrap_or(("CLUSTER", place));
            json!({ "name": name, "resource": { "type": kind, "id": id } })
        }
        None => json!({ "name": role, "resource": { "type": "ORGANIZATION" } }),
    }
}

/// The address in the line of the startup message that contains `what`.
pub(crate) fn address(log: &str, what: &str) -> Option<SocketAddr> {
    let line = log.lines().find_map(|line| line.trim_start().strip_prefix(what))?;
    let ended = log.contains("Try:");
    let word = line.split_whitespace().next().filter(|_| ended)?;
    let word = word.trim_start_matches("http://").trim_start_matches("https://");
    word.replace("localhost", "127.0.0.1").parse().ok()
}
