//! What the hash chain of the audit log proves and detects.

use crate::subject::{Subject, entry, organization};
use futures_util::future::join_all;
use ootheca_model::{
    OrganizationId, Timestamp,
    audit::{AuditEntry, INTERRUPTED},
};
use ootheca_store::{Anchor, AuditCheck, AuditQuery, Batch, verify_audit};
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;

async fn append(subject: &Subject, entry: AuditEntry) -> AuditEntry {
    let batch = Batch { audit: vec![entry], ..Batch::server("test") };
    subject.store.commit(batch, Timestamp(100)).await.unwrap().remove(0)
}

/// Seven links: five entries and the outcomes of two of them.
async fn history(subject: &Subject) -> OrganizationId {
    let organization = organization();
    append(subject, entry(organization)).await;
    for _ in 0..2 {
        let begun = AuditEntry { error: Some(INTERRUPTED.into()), ..entry(organization) };
        let begun = append(subject, begun).await;
        subject.store.complete_audit(begun.id, "{\"a\":1}", None).await.unwrap();
    }
    append(subject, entry(organization)).await;
    append(subject, entry(organization)).await;
    organization
}

async fn check(subject: &Subject) -> AuditCheck {
    verify_audit(&subject.url, &[]).await.unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// The numbers of the faulty links, and all messages in one text.
async fn faults(subject: &Subject) -> (Vec<i64>, String) {
    let check = check(subject).await;
    let faults = check.chains.iter().flat_map(|chain| &chain.faults);
    let messages: Vec<String> = faults.clone().map(|fault| fault.message.clone()).collect();
    (faults.map(|fault| fault.sequence).collect(), messages.join("; "))
}

pub(crate) async fn intact_chains_have_no_faults(subject: &Subject) {
    let (first, _second) = (history(subject).await, history(subject).await);
    let check = check(subject).await;
    assert!(check.is_whole(), "{check:?}");
    assert_eq!(check.chains.len(), 2);
    let chain = check.chains.iter().find(|chain| chain.organization == first).unwrap();
    assert_eq!((chain.entries, chain.outcomes, chain.older), (5, 2, 0));
    let head = chain.head.clone().unwrap();
    assert_eq!((head.sequence, head.hash.len()), (7, 64));
    // A recorded link is still found after more links were written, and a wrong one is reported.
    append(subject, entry(first)).await;
    let again = verify_audit(&subject.url, &[head.to_string().parse().unwrap()]).await.unwrap();
    assert!(again.is_whole(), "{again:?}");
    let other = Anchor { hash: head.hash.chars().rev().collect(), ..head };
    let again = verify_audit(&subject.url, std::slice::from_ref(&other)).await.unwrap();
    assert!(!again.is_whole());
    assert_eq!(again.lost_anchors, [other]);
}

pub(crate) async fn changed_entries_are_detected(subject: &Subject) {
    history(subject).await;
    subject.run("UPDATE audit SET document = REPLACE(document, 'trace', 'other') WHERE sequence = 1").await;
    assert_eq!(faults(subject).await.0, [1]);
    subject.run("UPDATE audit SET document = REPLACE(document, 'other', 'trace') WHERE sequence = 1").await;
    assert_eq!(faults(subject).await.0, [0_i64; 0]);
    subject
        .run("UPDATE audit_outcomes SET document = '{\"payload\":\"\",\"error\":\"x\"}' WHERE sequence = 3")
        .await;
    assert_eq!(faults(subject).await.0, [3]);
    // An invented hash for the changed link breaks the next link.
    subject.run("UPDATE audit SET hash = 'made up' WHERE sequence = 6").await;
    assert_eq!(faults(subject).await.0, [3, 6, 7]);
}

pub(crate) async fn removed_entries_are_detected(subject: &Subject) {
    history(subject).await;
    subject.run("DELETE FROM audit WHERE sequence = 4").await;
    let (numbers, messages) = faults(subject).await;
    assert_eq!(numbers, [4]);
    assert!(messages.contains("links 4 to 4 are missing"), "{messages}");
    // Renumbering the later links does not hide it.
    subject.run("UPDATE audit_outcomes SET sequence = 4 WHERE sequence = 5").await;
    subject.run("UPDATE audit SET sequence = 5 WHERE sequence = 6").await;
    subject.run("UPDATE audit SET sequence = 6 WHERE sequence = 7").await;
    subject.run("UPDATE audit_heads SET sequence = 6").await;
    assert_eq!(faults(subject).await.0, [4, 5, 6]);
}

pub(crate) async fn reordered_entries_are_detected(subject: &Subject) {
    history(subject).await;
    subject.run("UPDATE audit SET sequence = 99 WHERE sequence = 6").await;
    subject.run("UPDATE audit SET sequence = 6 WHERE sequence = 7").await;
    subject.run("UPDATE audit SET sequence = 7 WHERE sequence = 99").await;
    let (numbers, messages) = faults(subject).await;
    assert!(numbers.contains(&6) && numbers.contains(&7), "{numbers:?}");
    assert!(messages.contains("later"), "{messages}");
}

pub(crate) async fn removed_tails_are_detected(subject: &Subject) {
    history(subject).await;
    let head = check(subject).await.chains.remove(0).head.unwrap();
    subject.run("DELETE FROM audit WHERE sequence >= 6").await;
    assert_eq!(faults(subject).await.0, [6]);
    // The head can be changed as well. Then only a recorded link shows it.
    subject.run("UPDATE audit_heads SET sequence = 5, hash = (SELECT hash FROM audit_outcomes WHERE sequence = 5)").await;
    assert_eq!(faults(subject).await.0, [0_i64; 0]);
    assert_eq!(verify_audit(&subject.url, std::slice::from_ref(&head)).await.unwrap().lost_anchors, [head]);
    subject.run("DELETE FROM audit_heads").await;
    let (numbers, messages) = faults(subject).await;
    assert_eq!(numbers, [1]);
    assert!(messages.contains("head"), "{messages}");
}

/// The chain counts entries that were written before it started.
pub(crate) async fn older_entries_are_counted(subject: &Subject) {
    let organization = history(subject).await;
    subject.run("UPDATE audit SET sequence = NULL, hash = NULL; DELETE FROM audit_outcomes; DELETE FROM audit_heads").await;
    let whole = check(subject).await;
    assert!(whole.is_whole() && whole.chains[0].older == 5, "{whole:?}");
    let next = append(subject, entry(organization)).await;
    assert_eq!(next.created_at, Timestamp(105), "later than all existing entries");
    let whole = check(subject).await;
    assert!(whole.is_whole() && whole.chains[0].entries == 1, "{whole:?}");
    subject.run("DELETE FROM audit WHERE created_at = 102").await;
    assert_eq!(faults(subject).await.0, [1]);
}

pub(crate) async fn followers_get_each_entry_once(subject: &Subject) {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let organization = organization();
    // Two servers write concurrently if the database supports it. SQLite has only one.
    let other = if subject.url.starts_with("sqlite") {
        subject.store.clone()
    } else {
        ootheca_store::open(&subject.url).await.unwrap()
    };
    let writers = (0..WRITERS).map(|number| {
        let store = if number % 2 == 0 { subject.store.clone() } else { other.clone() };
        tokio::spawn(async move {
            for turn in 0..EACH {
                let entry = AuditEntry { error: Some(INTERRUPTED.into()), ..entry(organization) };
                let id = entry.id;
                let batch = Batch { audit: vec![entry], ..Batch::server("test") };
                store.commit(batch, Timestamp(1000)).await.unwrap();
                if turn % 4 == 0 {
                    store.complete_audit(id, "{}", None).await.unwrap();
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let follow = async {
        let (mut seen, mut from) = (Vec::new(), Timestamp(0));
        while seen.len() < WRITERS * EACH {
            let query = AuditQuery { organization, starting_from: Some(from), descending: false, limit: 7 };
            let page = other.audit(&query).await.unwrap();
            from = page.last().map_or(from, |last| Timestamp(last.created_at.0 + 1));
            seen.extend(page);
            tokio::task::yield_now().await;
        }
        seen
    };
    let seen = timeout(Duration::from_secs(120), follow).await.expect("the follower must not miss entries");
    join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let ids: HashSet<_> = seen.iter().map(|entry| entry.id).collect();
    assert_eq!((seen.len(), ids.len()), (WRITERS * EACH, WRITERS * EACH));
    assert!(seen.windows(2).all(|pair| pair[0].created_at < pair[1].created_at));
    let check = check(subject).await;
    assert!(check.is_whole(), "{check:?}");
}
