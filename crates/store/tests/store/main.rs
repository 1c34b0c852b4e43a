//! A conformance suite for both databases.
//!
//! On SQLite each case is a separate test. On PostgreSQL all cases run one after another on one server, each
//! in its own database, because starting a server takes longer than all cases together.

#![allow(clippy::unwrap_used)]

mod chain;
mod changes;
mod copies;
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
    changes::rows_are_read_as_written,
    changes::unique_keys_are_enforced_until_released,
    changes::stale_changes_are_rejected,
    changes::batches_are_atomic,
    changes::validation_returns_the_error_of_the_commit_and_keeps_nothing,
    changes::callers_access_only_their_organization,
    changes::hints_are_sent_after_the_commit,
    changes::stamps_change_with_every_change,
    lists::lists_support_every_order,
    lists::lists_support_every_filter,
    lists::pages_contain_each_row_once_while_rows_are_added,
    lists::a_position_without_an_id_is_before_the_rows_with_its_value,
    lists::revisions_list_active_rows,
    lists::due_rows_are_sorted_by_due_time,
    log::entries_are_strictly_ordered,
    log::entries_with_equal_times_are_on_one_page,
    log::interrupted_entries_are_completed_once,
    chain::intact_chains_have_no_faults,
    chain::changed_entries_are_detected,
    chain::removed_entries_are_detected,
    chain::reordered_entries_are_detected,
    chain::removed_tails_are_detected,
    chain::older_entries_are_counted,
    chain::followers_get_each_entry_once,
    events::each_change_produces_one_event,
    events::failed_changes_produce_no_events,
    events::old_events_are_deleted,
    events::events_are_ordered_without_gaps,
    samples::samples_are_read_by_cluster_step_and_time,
    samples::old_samples_are_deleted,
    samples::samples_of_other_organizations_are_inaccessible,
    shared::leases_have_one_holder,
    shared::lost_leases_fence_off_their_holder,
    shared::concurrent_changes_are_not_lost,
    shared::many_rows_are_inserted_concurrently,
    shared::everything_persists_after_reopening,
    shared::concurrent_starts_migrate_once,
    sql::every_statement_can_be_prepared,
    sql::newer_schemas_are_rejected,
}
