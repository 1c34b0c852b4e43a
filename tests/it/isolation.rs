//! What a SQL server can reach if it executes code of an attacker. The tests run such code as the superuser of the
//! server, which no client of a cluster is.

use crate::support::{PROGRAM, id};
use ootheca_engine::postgres::cluster_secret;
use ootheca_testkit::{Engine, Folder, Ootheca, ServerBuilder, eventually, processes};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

fn server(sandbox: &str) -> Ootheca {
    let server = ServerBuilder::new(PROGRAM).engine(Engine::Postgres);
    server.env("OOTHECA_ENGINE__SANDBOX", sandbox).boot()
}

/// A cluster and the folders of its instance.
struct Instance {
    cluster: String,
    data: PathBuf,
    sockets: PathBuf,
    secret: String,
}

impl Instance {
    fn new(server: &Ootheca, name: &str) -> Self {
        let cluster = id(&server.create_cluster(name, "STANDARD"));
        server.postmaster(&cluster);
        Self::all(server, &cluster).pop().expect("an instance")
    }

    /// The nodes of a new cluster, once all of them accept sessions.
    fn nodes(server: &Ootheca, name: &str) -> Vec<Self> {
        let spec = json!({ "plan": "ADVANCED", "dedicated": {
            "region_nodes": { "us-east1": 3 },
            "hardware": { "machine_spec": { "num_virtual_cpus": 2 }, "storage_gib": 15 },
        }});
        let created = server.post("/clusters", json!({ "name": name, "provider": "GCP", "spec": spec }));
        created.ok();
        let cluster = id(&server.when_created(&created.text("/id")));
        eventually("three nodes accept sessions", || {
            let nodes = Self::all(server, &cluster);
            let respond = nodes.iter().all(|node| node.control("SELECT 1").is_ok());
            (respond && nodes.len() == 3).then_some(nodes)
        })
    }

    fn all(server: &Ootheca, cluster: &str) -> Vec<Self> {
        let mut rows = server.instances();
        rows.retain(|row| row["cluster"] == cluster);
        rows.iter().map(|row| Self::of(server, cluster, row)).collect()
    }

    fn of(server: &Ootheca, cluster: &str, row: &Value) -> Self {
        let engine = server.data_dir().join("engine");
        let machine_secret = fs::read_to_string(engine.join("control-secret")).expect("the secret");
        Self {
            data: row["data"].as_str().expect("a path").into(),
            sockets: engine.join("run").join(row["instance"].as_str().expect("an id")),
            secret: cluster_secret(&machine_secret, cluster.parse().expect("the ID of a cluster")),
            cluster: cluster.to_owned(),
        }
    }

    /// Runs SQL as the superuser. Returns the rows or the errors.
    fn control(&self, sql: &str) -> Result<String, String> {
        let mut psql = Command::new("psql");
        psql.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        psql.env("PGPASSWORD", &self.secret).args(["-XqtA", "-v", "ON_ERROR_STOP=1", "-U", "ootheca"]);
        let output = psql.arg("-h").arg(&self.sockets).args(["-d", "postgres", "-c", sql]).output();
        let output = output.expect("psql starts");
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        self.control(&format!("SELECT length(pg_read_binary_file('{}'))", path.display()))
    }

    /// Runs a shell script in the server, which can be a standby. Returns its output.
    #[track_caller]
    fn shell(&self, script: &str) -> String {
        let sql = format!(
            "COPY (SELECT 1) TO PROGRAM $shell$({script}) < /dev/null > output 2>&1; cat > /dev/null$shell$; \
             SELECT pg_read_file('output')"
        );
        self.control(&sql).expect("a superuser can run programs")
    }

    /// A shell script that connects to this server.
    fn connect_script(&self) -> String {
        let sockets = self.sockets.display();
        format!("PGPASSWORD={} psql -X -h {sockets} -U ootheca -d postgres -c 'SELECT 1'", self.secret)
    }
}

/// What a server could do to others. Each returns whether it succeeded, and what was said.
fn attacks(server: &Ootheca, one: &Instance, other: &Instance) -> Vec<(String, bool, String)> {
    let public = server.data_dir().with_file_name("public");
    fs::write(&public, "text").expect("written");
    fs::set_permissions(&public, Permissions::from_mode(0o644)).expect("its mode");
    let data_dir = server.data_dir();
    let mut attacks = Vec::new();
    for path in [
        other.data.join("PG_VERSION"),
        other.data.join("base/1/1259"),
        data_dir.join("store.db"),
        data_dir.join("admin-api-key"),
        data_dir.join("engine/control-secret"),
        "/etc/shadow".into(),
        public,
    ] {
        let read = one.read(&path);
        attacks.push((format!("read {}", path.display()), read.is_ok(), read.unwrap_or_else(|error| error)));
    }
    let mut shell = |name: &str, script: String| {
        let output = one.shell(&format!("{script} && echo reached"));
        attacks.push((name.to_owned(), output.ends_with("reached"), output));
    };
    shell("connect to the other server", other.connect_script());
    let control = data_dir.join("control.sock");
    shell(
        "connect to the control plane",
        format!(
            "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) \
             && connect(S, sockaddr_un(\"{}\")) or die $!'",
            control.display()
        ),
    );
    let port = server.client().address().rsplit_once(':').expect("a port").1.to_owned();
    shell("connect to the API", format!("bash -c 'echo > /dev/tcp/127.0.0.1/{port}'"));
    shell("write outside", format!("echo > {}", data_dir.with_file_name("public").display()));
    shell("create a link in its sockets", format!("ln -s / {}/link", one.sockets.display()));
    let _ = fs::remove_file(one.sockets.join("link"));
    attacks
}

/// Whether the kernel limits what the servers can do, according to the log.
fn is_enforced(server: &Ootheca) -> bool {
    let enforced = !server.log().contains("the sandbox of SQL servers is incomplete on this machine");
    if !enforced {
        eprintln!("skipped: the kernel has no Landlock or no seccomp filters");
    }
    enforced
}

#[test]
fn a_server_reaches_neither_other_clusters_nor_the_control_plane() {
    let server = server("auto");
    let (one, other) = (Instance::new(&server, "one-cluster"), Instance::new(&server, "other-cluster"));
    if is_enforced(&server) {
        for (attack, succeeded, said) in attacks(&server, &one, &other) {
            assert!(!succeeded, "{attack}: {said}");
            assert!(said.contains("ermission denied") || said.contains("not permitted"), "{attack}: {said}");
        }
    }
    assert_eq!(one.read(Path::new("PG_VERSION")).expect("its own data"), "3");
    assert_eq!(one.shell("echo text > own && cat own && rm own"), "text");
    assert_eq!(one.control("SELECT now() AT TIME ZONE 'Europe/Berlin' > '2020-01-01'").expect("zones"), "t");
    let extensions = one.control("SELECT count(*) > 0 FROM pg_available_extensions");
    assert_eq!(extensions.expect("the installation is readable"), "t");
    one.control("CREATE COLLATION c (provider = libc, locale = 'C.UTF-8'); CHECKPOINT").expect("locales");
    let cluster = server.when_created(&other.cluster);
    assert_eq!(cluster["state"], "CREATED");
}

#[test]
fn nodes_reach_each_other_and_no_other_cluster() {
    let server = server("auto");
    let (nodes, other) = (Instance::nodes(&server, "some-cluster"), Instance::new(&server, "other-cluster"));
    let shown = server.get(&format!("/clusters/{}", nodes[0].cluster));
    // Without root, all servers have the same user.
    let is_reduced = shown.ok()["ootheca"]["conditions"].to_string().contains("SandboxReduced");
    let in_recovery = |node: &&Instance| node.control("SELECT pg_is_in_recovery()") == Ok("t".to_owned());
    let standbys: Vec<&Instance> = nodes.iter().filter(in_recovery).collect();
    let &[one, two] = standbys.as_slice() else { panic!("{} standbys", standbys.len()) };
    for (from, to) in [(one, two), (two, one)] {
        let said = from.shell(&format!("{} && echo reached", to.connect_script()));
        assert!(said.ends_with("reached"), "{said}");
    }
    if is_enforced(&server) {
        for (attack, succeeded, said) in attacks(&server, one, &other) {
            let is_possible = is_reduced
                && ["connect to the other server", "connect to the control plane"].contains(&attack.as_str());
            assert!(!succeeded || is_possible, "{attack}: {said}");
        }
        for (attack, succeeded, said) in attacks(&server, &other, one) {
            assert!(!succeeded, "{attack}: {said}");
        }
    }
}

#[test]
fn without_a_sandbox_a_server_reaches_what_its_user_can() {
    let server = server("off");
    assert!(is_enforced(&server), "nothing is missing");
    let (one, other) = (Instance::new(&server, "one-cluster"), Instance::new(&server, "other-cluster"));
    let attacks = attacks(&server, &one, &other);
    let reached = |start: &str| {
        let (attack, succeeded, said) =
            attacks.iter().find(|(attack, ..)| attack.starts_with(start)).expect(start);
        assert!(*succeeded, "{attack}: {said}");
    };
    reached(&format!("read {}", other.data.join("PG_VERSION").display()));
    reached(&format!("read {}", server.data_dir().with_file_name("public").display()));
    for attack in ["connect to the other server", "connect to the API", "create a link in its sockets"] {
        reached(attack);
    }
    let refused = one.shell(&other.connect_script().replace(&other.secret, &one.secret));
    assert!(refused.contains("password authentication failed"), "{refused}");
}

/// A line of `/proc/PID/status`.
fn status(pid: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim().to_owned())
}

#[test]
fn no_process_of_a_server_can_gain_privileges() {
    let server = server("auto");
    let one = Instance::new(&server, "one-cluster");
    let is_filtered = is_enforced(&server) || !server.log().contains("seccomp");
    let filtered = if is_filtered { Some("2".to_owned()) } else { status(server.pid(), "Seccomp") };
    let running = processes::within(&one.data);
    assert!(running.len() > 3, "the postmaster and its children: {running:?}");
    for process in running {
        // A running server occasionally ends one of its processes.
        let Some(privileges) = status(process.pid, "NoNewPrivs") else { continue };
        assert_eq!(privileges, "1", "{process:?}");
        assert_eq!(status(process.pid, "Seccomp"), filtered, "{process:?}");
        assert!(!process.command.contains("ootheca-launcher"), "{process:?}");
    }
    let session = one.shell("grep NoNewPrivs /proc/self/status");
    assert!(session.ends_with('1'), "{session}");
    let own = status(server.pid(), "NoNewPrivs");
    assert_eq!(own, status(std::process::id(), "NoNewPrivs"), "the control plane is not affected");
}

#[test]
fn servers_with_a_user_of_their_own_work_in_the_sandbox() {
    let range = "1900000000-1900000099";
    let launch = ServerBuilder::new(PROGRAM).engine(Engine::Postgres).pool(1);
    let mut server = launch.env("OOTHECA_ENGINE__UID_RANGE", range).idle();
    if let Err(said) = server.try_start() {
        let expected = said.contains("engine.uid_range: must be empty") || said.contains("this container");
        assert!(expected, "{said}");
        eprintln!("skipped: no user ids of others can be used");
        return;
    }
    let (one, other) = (Instance::new(&server, "one-cluster"), Instance::new(&server, "other-cluster"));
    let user = |instance: &Instance| {
        let uids = status(server.postmaster(&instance.cluster), "Uid").expect("a process");
        uids.split_whitespace().next().expect("an id").parse::<u32>().expect("a number")
    };
    let users = [user(&one), user(&other)];
    assert!(users[0] != users[1] && users.iter().all(|user| (1_900_000_000..=1_900_000_099).contains(user)));
    if is_enforced(&server) {
        for (attack, succeeded, said) in attacks(&server, &one, &other) {
            assert!(!succeeded, "{attack}: {said}");
        }
    }
    let pid = server.postmaster(&one.cluster);
    server.kill();
    server.start();
    assert_eq!(server.postmaster(&one.cluster), pid, "adopted");
    processes::kill(pid);
    eventually("another process responds", || one.control("SELECT 1").ok());
    let again = status(server.postmaster(&one.cluster), "Uid").expect("a process");
    assert!(again.starts_with(&users[0].to_string()), "{again}");
}

/// Runs `work` in a thread for which the kernel has no Landlock, nor for the programs that it starts. Returns `None`
/// if that is not possible.
fn without_landlock<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).ok()?;
    let calls =
        [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
    let rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, missing, architecture).expect("a filter");
    let filter = BpfProgram::try_from(filter).expect("a program");
    thread::scope(|scope| {
        let thread = scope.spawn(|| apply_filter(&filter).is_ok().then(work));
        thread.join().expect("the thread ends")
    })
}

#[test]
fn without_landlock_a_warning_says_what_is_missing_and_the_rest_is_enforced() {
    let started = without_landlock(|| {
        let server = server("auto");
        let doctor = server.run(&["doctor", "--listen", "127.0.0.1:0", "--sql-listen", "127.0.0.1:0"]);
        (server, String::from_utf8_lossy(&doctor.stdout).into_owned())
    });
    let Some((server, doctor)) = started else {
        eprintln!("skipped: the kernel has no seccomp filters");
        return;
    };
    let reason = "Landlock is not enabled in the kernel, so files are not limited";
    assert!(server.log().contains("the sandbox of SQL servers is incomplete on this machine"));
    assert!(server.log().contains(reason));
    assert!(doctor.contains("warn  sandbox") && doctor.contains(reason), "{doctor}");
    let (one, other) = (Instance::new(&server, "one-cluster"), Instance::new(&server, "other-cluster"));
    one.read(&other.data.join("PG_VERSION")).expect("files are not limited");
    for (attack, succeeded, said) in attacks(&server, &one, &other) {
        assert!(!(succeeded && attack.starts_with("connect")), "{attack}: {said}");
    }
    assert_eq!(status(server.postmaster(&one.cluster), "NoNewPrivs").as_deref(), Some("1"));
}

#[test]
fn sql_servers_start_after_the_program_was_replaced() {
    let folder = Folder::new();
    let program = folder.path().join("private/ootheca");
    let private = program.parent().expect("a folder");
    fs::create_dir(private).expect("created");
    // The users of SQL servers can't enter it.
    fs::set_permissions(private, Permissions::from_mode(0o700)).expect("its mode");
    let copied = fs::hard_link(PROGRAM, &program).or_else(|_| fs::copy(PROGRAM, &program).map(drop));
    copied.expect("a copy of the program");
    let server = ServerBuilder::new(program.to_str().expect("UTF-8")).engine(Engine::Postgres).boot();
    fs::remove_file(&program).expect("removed");
    server.create_cluster("some-cluster", "STANDARD");
}
