//! One suite that both databases pass.
//!
//! Each case is a test of its own on SQLite. On PostgreSQL all run one after the other on one server,
//! each in a database of its own, because starting a server costs more than all of them.

#![allow(clippy::unwrap_used)]

mod chain;
mod changes;
mod events;
mod lists;
mod log;
mod samples;
mod server;
mod shared;
mod sql;
mod subject;

use server::Server;
use subject::Subject;

macro_rules! cases {
    ($($module:ident::$case:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let folder = tempfile::tempdir().unwrap();
                    let subject = crate::Subject::sqlite(&folder.path().join("store.db")).await;
                    crate::$module::$case(&subject).await;
                }
            )*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_passes_every_case() {
            let server = Server::start().await;
            $(
                eprintln!("case {}", stringify!($case));
                let subject = Subject::postgres(&server, stringify!($case)).await;
                $module::$case(&subject).await;
            )*
        }
    };
}

cases! {
    changes::a_row_comes_back_as_it_was_written,
    changes::a_taken_key_is_refused_until_it_is_free,
    changes::a_stale_change_is_refused,
    changes::a_batch_is_applied_whole_or_not_at_all,
    changes::a_caller_reaches_its_own_organization_only,
    changes::hints_follow_the_commit,
    changes::a_stamp_is_another_after_every_change,
    lists::rows_come_in_every_order,
    lists::filters_narrow_a_list,
    lists::pages_show_each_row_once_while_others_are_added,
    lists::revisions_tell_what_is_active_and_what_changed,
    lists::due_rows_come_the_longest_due_first,
    log::entries_are_strictly_ordered,
    log::a_moment_is_never_split,
    log::an_interrupted_entry_is_completed_once,
    chain::a_chain_is_whole,
    chain::a_changed_entry_is_found,
    chain::a_removed_entry_is_found,
    chain::a_reordered_entry_is_found,
    chain::a_cut_tail_is_found,
    chain::older_entries_are_counted,
    chain::a_follower_sees_each_entry_once,
    events::each_change_is_told_once,
    events::a_change_that_fails_is_not_told,
    events::old_events_are_forgotten,
    events::events_are_seen_in_order_without_gaps,
    samples::samples_are_read_by_cluster_step_and_time,
    samples::samples_are_forgotten,
    samples::samples_of_another_organization_are_out_of_reach,
    shared::a_lease_has_one_holder,
    shared::a_lost_lease_fences_off_its_holder,
    shared::no_concurrent_change_is_lost,
    shared::many_rows_are_added_at_once,
    shared::everything_is_there_after_reopening,
    shared::servers_that_start_at_once_migrate_once,
    sql::every_statement_prepares,
    sql::a_newer_schema_is_refused,
}
