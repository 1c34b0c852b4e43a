//! The time to list the databases of a cluster, compared with a list of one database.

use crate::stats::Times;
use ootheca_testkit::{Engine, Ootheca, ServerBuilder};
use serde_json::json;

const DATABASES: usize = 40;
const LISTS: usize = 100;

pub(crate) fn run(program: &str) {
    println!("\n== GET /clusters/{{id}}/databases of an awake cluster");
    let server = ServerBuilder::new(program).engine(Engine::Postgres).boot();
    let cluster = server.create_cluster("bench-databases", "STANDARD");
    let path = format!("/clusters/{}/databases", cluster["id"].as_str().unwrap_or_default());
    let one = lists(&server, &path);
    for number in 1..DATABASES {
        server.post(&path, json!({ "name": format!("database_{number}") })).ok();
    }
    let all = lists(&server, &path);
    println!("{}", one.line("one database"));
    println!("{}", all.line(&format!("{DATABASES} databases")));
    println!("ratio {:.2}", all.median() / one.median());
}

fn lists(server: &Ootheca, path: &str) -> Times {
    Times::of(LISTS, |_| {
        server.get(path).ok();
    })
}
