use super::*;
use proptest::prelude::*;

const PASSED: &[&str] = &[
    "",
    " ; ;; -- nothing",
    "select 1",
    "SELECT * FROM t WHERE a = 'INSERT INTO t' -- update t set a = 1",
    "select $$insert into t$$, e'\\'; insert into t', /* ; drop /* insert into t */ */ 2",
    "select \"insert\", insert, update, \"into\", t.into, 1 as into from \"update\"",
    "select update.set from t",
    "select * from t for update",
    "select * from t for no key update skip locked",
    "select * from t for update of t nowait",
    "select coalesce(update, 1) from t where update = 2",
    "(select 1) union (select 2)",
    "((values (1)))",
    "with a as (select 1) select * from a",
    "with a as (delete from t returning *) select count(*) from a",
    "with a as (select 1) delete from t using a",
    "table t; values (1)",
    "show all; reset all; discard all",
    "set search_path to a, b",
    "explain select 1",
    "explain insert into t values (1)",
    "explain (costs off, verbose) update t set a = 1",
    "explain (select 1)",
    "explain ((select 1))",
    "explain analyze select 1",
    "explain (analyze, buffers) delete from t",
    "explain analyze verbose (select 1)",
    "begin; savepoint a; rollback to a; release a; commit; start transaction; end; abort",
    "prepare transaction 'a'; commit prepared 'a'",
    "delete from t where update in (1)",
    "truncate t, u cascade",
    "drop table t; drop schema s cascade; drop owned by ann",
    "vacuum full t; analyze t; cluster t; reindex table t; checkpoint",
    "alter table t drop column a, drop constraint b",
    "alter table if exists only s.t * detach partition p",
    "alter table drop drop column add",
    "alter table t alter column a drop default, alter b drop not null",
    "alter table \"add\" rename to x; alter index i rename to j; alter table t owner to ann",
    "alter materialized view v rename to w",
    "alter role ann password 'x'; alter default privileges grant select on tables to ann",
    "revoke all on t from ann; grant update (a), insert on t to ann; reassign owned by a to b",
    "copy t to stdout; copy (select a from t) to stdout; copy t (a, b) to stdout with csv",
    "copy public.from to stdout",
    "copy \"from\" (\"to\") to stdout",
    "prepare p as select 1; execute p(1); deallocate p",
    "prepare p (int, numeric(1, 2), s.as) as delete from t",
    "declare c cursor for select 1; fetch all from c; move c; close c",
    "listen a; notify a, 'b'; unlisten *; lock t",
    "refresh materialized view v with no data",
];

const REFUSED: &[&str] = &[
    "insert into t values (1)",
    "  /* x */ InSeRt INTO t SELECT 1",
    "update t set a = 1",
    "merge into t using u on true when matched then delete",
    "select * into u from t",
    "select into u from t",
    "select 1 as as into u",
    "select 1 into u",
    "select 1.into u",
    "(select 1 into u)",
    "select t.* into u from t",
    "create table t (a int)",
    "create table t as select 1",
    "create index on t (a)",
    "create function f() returns int begin atomic; select 1; end",
    "refresh materialized view v",
    "refresh materialized view concurrently v with data",
    "import foreign schema a from server b into c",
    "do $$ begin end $$",
    "call f()",
    "comment on table t is 'x'",
    "load 'x'",
    "with a as (insert into t values (1) returning *) select * from a",
    "with a as not materialized (update t set a = 1 returning *) select * from a",
    "with a as (update only (s.t) as b set a = 1 returning *) select * from a",
    "with a as (update \"x\" set a = 1 returning *) delete from t",
    "with a as (update U&\"x\" uescape '!' set a = 1 returning *) delete from t",
    "with a as (update t as set set a = 1 returning *) delete from t",
    "with a as (update set set a = 1 returning *) delete from t",
    "with a as (select 1) update t set a = 1",
    "with a as (select 1) insert into t select * from a",
    "with a as (with b as (select 1) update t * set a = 1 returning *) table a",
    "explain analyze insert into t values (1)",
    "explain (\"analyze\") insert into t values (1)",
    "explain (costs off, \"analyze\" true) create table t as select 1",
    "explain (U&\"\\0061nalyze\") insert into t values (1)",
    "EXPLAIN ANALYSE VERBOSE update t set a = 1",
    "explain (verbose, analyze true) create table t as select 1",
    "explain analyze execute p; do $$$$",
    "copy t from stdin",
    "copy public.to from stdin",
    "copy t (a, b) from stdin",
    "copy (insert into t values (1) returning *) to stdout",
    "copy t",
    "prepare p as insert into t values ($1)",
    "prepare p (int) as update t set a = $1",
    "prepare p",
    "alter table t add column a int",
    "alter table t drop column a, add column b int default 'x, drop'",
    "alter table t alter column a type text, drop column b",
    "alter table t alter a set data type text",
    "alter table t set logged",
    "alter table t attach partition p for values in (1)",
    "alter table drop add column a int",
    "alter table all in tablespace a set tablespace b",
    "alter type t add value 'x'",
    "alter",
    "alter table",
    "select 1; insert into t values (1)",
    "begin; update t set a = 1; commit",
    "select 'it''s'; insert into t values (1)",
    "select 'a\\'; insert into t values (1) --'",
    "select e'a'\n'\\''; insert into t values (1)",
    "select /* /* */ */ 1; create table t ()",
    "select 'unfinished",
    "select 1 /* unfinished",
    "\"select\" 1",
    "frobnicate t",
    "(",
    "(insert into t values (1))",
    "1",
];

#[test]
fn statements_that_add_data_are_recognized() {
    let wrong = |list: &[&'static str], expected| {
        list.iter().copied().filter(|text| adds_data(text.as_bytes()) != expected).collect::<Vec<_>>()
    };
    assert_eq!(wrong(PASSED, false), [""; 0], "these add nothing");
    assert_eq!(wrong(REFUSED, true), [""; 0], "these add data");
}

#[test]
fn text_after_a_zero_byte_is_ignored() {
    assert!(!adds_data(b"select 1\0; insert into t values (1)"));
}

#[test]
fn long_texts_take_linear_time() {
    let started = std::time::Instant::now();
    let parts = [
        "update ",
        "explain analyze ",
        "prepare a as ",
        "(",
        "$a$b",
        "/*",
        "as ",
        "e'a'\n",
        "alter table a,",
    ];
    for part in parts {
        let _ = adds_data(part.repeat(1 << 16).as_bytes());
    }
    let (tag, other) = ("a".repeat(1 << 19), "a".repeat(1 << 10));
    let _ = adds_data(format!("${tag}$ {}", format!("${other}").repeat(1 << 9)).as_bytes());
    // Quadratic time would take minutes.
    assert!(started.elapsed().as_secs() < 30);
}

proptest! {
    #[test]
    fn never_panics(text: Vec<u8>) {
        let _ = adds_data(&text);
    }

    #[test]
    fn words_in_any_order_never_panic(words in prop::collection::vec(prop::sample::select(&[
        "select", "with", "as", "(", ")", "insert", "into", "update", "set", "t", "alter", "table", "only",
        "if", "exists", "drop", "add", ",", ";", ".", "explain", "analyze", "prepare", "copy", "to", "from",
        "refresh", "'a'", "$$b$$", "\"c\"", "--", "/*", "*/", "\n",
    ]), 0..12)) {
        let _ = adds_data(words.join(" ").as_bytes());
    }

    #[test]
    fn case_comments_and_other_statements_do_not_matter(at in 0..REFUSED.len(), other in 0..PASSED.len()) {
        let (refused, pass) = (REFUSED[at], PASSED[other]);
        prop_assert!(adds_data(refused.to_uppercase().as_bytes()));
        let pair = format!("/* a */ {pass}\n;\n{refused}");
        prop_assert!(adds_data(pair.as_bytes()), "{}", pair);
    }
}
