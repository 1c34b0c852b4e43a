use super::*;
use ootheca_engine::launcher::Enforcement;
use ootheca_model::Error;
use proptest::prelude::*;

fn healthy() -> Facts {
    let free = |address: &str| Port { address: address.to_owned(), state: PortState::Free };
    Facts {
        simulated: false,
        majors: vec![(15, "PostgreSQL 15.18".to_owned(), "/usr/lib/postgresql/15/bin".into())],
        wanted_majors: Vec::new(),
        root: true,
        user: "ootheca".to_owned(),
        owner: Ok(()),
        sandbox: SandboxProbe::Enforced(Enforcement { landlock: 7, system_calls: true }),
        sandbox_reduced: None,
        cpu: Ok(2),
        data_dir: DataDir {
            path: "/var/lib/ootheca".into(),
            exists: true,
            writable: Ok(()),
            kind: "xfs".to_owned(),
            shares_blocks: true,
            free_bytes: 100 * GIB,
            free_files: 1_000_000,
        },
        api: free("127.0.0.1:8080"),
        sql: free("127.0.0.1:26257"),
        names: vec![("localhost".to_owned(), Ok(vec!["127.0.0.1".parse().expect("an address")]))],
        limits: Limits {
            open_files: Some(65536),
            open_files_hard: None,
            processes: None,
            pid_max: 4_194_304,
            shared_memory: Some(GIB),
            memory: 8 * GIB,
        },
        now: EARLIEST_TIME + 1000,
        at_least: EARLIEST_TIME,
        synchronized: Some(true),
        time_zones: true,
        psql: Some("psql (PostgreSQL) 15.18".to_owned()),
    }
}

/// A check, and a change of the facts that makes it fail or warn.
type Case = (&'static str, fn(&mut Facts));

/// The only finding that isn't ok.
#[track_caller]
fn only(change: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = healthy();
    change(&mut facts);
    let mut bad: Vec<Finding> =
        diagnose(&facts).into_iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert_eq!(bad.len(), 1, "{bad:#?}");
    bad.remove(0)
}

#[test]
fn all_checks_pass_on_a_healthy_machine() {
    assert!(
        diagnose(&healthy()).iter().all(|finding| finding.verdict == Verdict::Ok && finding.advice.is_none())
    );
}

#[test]
fn missing_requirements_fail() {
    let fails: [Case; 11] = [
        ("SQL server", |facts| facts.majors.clear()),
        ("user", |facts| facts.owner = Err("useradd".to_owned())),
        ("sandbox", |facts| facts.sandbox = SandboxProbe::Failed(Error::precondition("no"))),
        ("data directory", |facts| facts.data_dir.writable = Err("read-only".to_owned())),
        ("data directory", |facts| facts.data_dir.path = "/x".repeat(36).into()),
        ("free space", |facts| facts.data_dir.free_bytes = 100 * MIB),
        ("SQL port", |facts| facts.sql.state = PortState::Unavailable("in use".to_owned())),
        ("open files", |facts| facts.limits.open_files = Some(256)),
        ("shared memory", |facts| facts.limits.shared_memory = None),
        ("memory", |facts| facts.limits.memory = 64 * MIB),
        ("clock", |facts| facts.now = 0),
    ];
    for (check, change) in fails {
        let finding = only(change);
        assert_eq!((finding.check, finding.verdict), (check, Verdict::Fail), "{finding:?}");
    }
}

#[test]
fn restrictions_warn() {
    let warns: [Case; 14] = [
        ("SQL server", |facts| facts.wanted_majors = vec![15, 17]),
        ("control groups", |facts| facts.cpu = Err("read-only".to_owned())),
        ("sandbox", |facts| {
            facts.sandbox = SandboxProbe::Enforced(Enforcement { landlock: 0, system_calls: true });
        }),
        ("sandbox", |facts| {
            facts.sandbox = SandboxProbe::Enforced(Enforcement { landlock: 7, system_calls: false });
        }),
        ("sandbox of nodes", |facts| facts.sandbox_reduced = Some("not root".to_owned())),
        ("file system", |facts| facts.data_dir.kind = "tmpfs".to_owned()),
        ("free space", |facts| facts.data_dir.free_bytes = GIB),
        ("free space", |facts| facts.data_dir.free_files = 10),
        ("host name", |facts| facts.names[0].1 = Err("no such name".to_owned())),
        ("host name", |facts| facts.names[0].1 = Ok(vec!["10.0.0.1".parse().expect("an address")])),
        ("open files", |facts| facts.limits.open_files = Some(1024)),
        ("processes", |facts| facts.limits.processes = Some(500)),
        ("time zones", |facts| facts.time_zones = false),
        ("psql", |facts| facts.psql = None),
    ];
    for (check, change) in warns {
        let finding = only(change);
        assert_eq!((finding.check, finding.verdict), (check, Verdict::Warn), "{finding:?}");
    }
}

#[test]
fn ports_of_the_running_server_are_ok() {
    let mut facts = healthy();
    facts.api.state = PortState::Ours;
    assert!(diagnose(&facts).iter().all(|finding| finding.verdict == Verdict::Ok));
}

#[test]
fn the_simulated_engine_needs_no_sql_server() {
    let mut facts = healthy();
    (facts.simulated, facts.owner, facts.cpu) = (true, Err(String::new()), Err(String::new()));
    facts.majors.clear();
    assert!(diagnose(&facts).iter().all(|finding| finding.verdict == Verdict::Ok));
}

proptest! {
    #[test]
    fn fewer_resources_never_improve_the_result(low in 0u64..20 * GIB, more in 0u64..20 * GIB) {
        let worst = |bytes: u64| {
            let mut facts = healthy();
            facts.data_dir.free_bytes = bytes;
            facts.limits.memory = bytes;
            facts.limits.shared_memory = Some(bytes);
            diagnose(&facts).iter().map(|finding| finding.verdict).max()
        };
        prop_assert!(worst(low) >= worst(low + more));
    }

    #[test]
    fn every_problem_has_advice(files in 0u64..10_000, processes in 0u64..10_000, now in any::<i64>()) {
        let mut facts = healthy();
        (facts.limits.open_files, facts.limits.processes, facts.now) = (Some(files), Some(processes), now);
        for finding in diagnose(&facts) {
            prop_assert_eq!(finding.verdict == Verdict::Ok, finding.advice.is_none());
        }
    }
}
