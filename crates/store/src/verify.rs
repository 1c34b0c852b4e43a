//! Verifies the chain of the audit log and reports where it is broken. Only reads, and can run while the
//! server is running.

use crate::{
    backend::Backend,
    chain::{self, Head, Link, LinkKind},
    postgres::Postgres,
    sql,
    sqlite::Sqlite,
    value::{Columns, Record},
};
use ootheca_model::{Error, OrganizationId, Result, Timestamp};
use serde::Serialize;
use std::{collections::HashSet, fmt, path::Path, str::FromStr};

/// The number of links that are read at once.
const WINDOW: i64 = 1000;
/// The maximum number of faults that are listed for a chain.
const MOST_FAULTS: usize = 100;

/// A link that was recorded outside of the store. The chain must still contain it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Anchor {
    /// The number of the link.
    pub sequence: i64,
    /// The hash of the link.
    pub hash: String,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

impl FromStr for Anchor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':').and_then(|(number, hash)| Some((number.parse().ok()?, hash)));
        match parts {
            Some((sequence, hash)) if hash.len() == 64 => Ok(Self { sequence, hash: hash.to_owned() }),
            _ => Err(Error::invalid("anchor", "must be a chain head in the form NUMBER:HASH")),
        }
    }
}

/// An inconsistency in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The number of the link, or of the first missing one.
    pub sequence: i64,
    /// The ID of the entry, if there is one.
    pub entry: Option<String>,
    pub message: String,
}

/// The result for the chain of one organization.
#[derive(Clone, Debug, Serialize)]
pub struct ChainReport {
    pub organization: OrganizationId,
    /// The number of entries in the chain.
    pub entries: u64,
    /// The number of outcomes in the chain.
    pub outcomes: u64,
    /// The number of entries that are older than the chain, which the chain only counts.
    pub older: i64,
    /// The newest link, to be recorded outside of the store.
    pub head: Option<Anchor>,
    pub faults: Vec<Fault>,
}

/// The result of a verification.
#[derive(Clone, Debug, Serialize)]
pub struct AuditCheck {
    /// One report for each organization with an audit log.
    pub chains: Vec<ChainReport>,
    /// Anchors that no chain contains.
    pub lost_anchors: Vec<Anchor>,
}

impl AuditCheck {
    /// Whether no faults were found.
    pub fn is_whole(&self) -> bool {
        self.lost_anchors.is_empty() && self.chains.iter().all(|chain| chain.faults.is_empty())
    }
}

/// Verifies the audit log of the store at `address`, and that it still contains `anchors`.
pub async fn verify_audit(address: &str, anchors: &[Anchor]) -> Result<AuditCheck> {
    match address.strip_prefix("sqlite:") {
        Some(path) => verify(&Sqlite::open_to_read(Path::new(path))?, anchors).await,
        None => verify(&Postgres::open_to_read(address).await?, anchors).await,
    }
}

async fn verify<B: Backend>(backend: &B, anchors: &[Anchor]) -> Result<AuditCheck> {
    let mut found = HashSet::new();
    let mut chains = Vec::new();
    for record in backend.query(sql::AUDIT_ORGANIZATIONS, &[]).await? {
        let organization = Columns::of(record).text()?.parse();
        let organization =
            organization.map_err(|error| Error::internal("store: invalid organization id").because(error))?;
        let walk = ChainVerifier::new(backend, organization, anchors).await?;
        let (report, anchors) = walk.run().await?;
        chains.push(report);
        found.extend(anchors);
    }
    let lost_anchors = anchors.iter().filter(|anchor| !found.contains(anchor)).cloned().collect();
    Ok(AuditCheck { chains, lost_anchors })
}

/// The verification of one chain.
struct ChainVerifier<'a, B> {
    backend: &'a B,
    anchors: &'a [Anchor],
    found: Vec<Anchor>,
    report: ChainReport,
    /// The head when the verification began. Later links may still be being written.
    head: Option<Head>,
    /// The hash of the previous link, unless that link is missing.
    previous: Option<String>,
    expected: i64,
    latest: Option<Timestamp>,
}

impl<'a, B: Backend> ChainVerifier<'a, B> {
    async fn new(backend: &'a B, organization: OrganizationId, anchors: &'a [Anchor]) -> Result<Self> {
        let head = backend.query(sql::AUDIT_HEAD, &[organization.into()]).await?.pop();
        let head = head.map(chain::head).transpose()?;
        let older = backend.query(sql::AUDIT_OLDER, &[organization.into()]).await?.pop();
        let mut columns = Columns::of(older.unwrap_or_default());
        let (older, latest) = (columns.int()?, columns.optional_int()?.map(Timestamp));
        let report = ChainReport {
            organization,
            entries: 0,
            outcomes: 0,
            older,
            head: head.as_ref().map(|head| Anchor { sequence: head.sequence, hash: head.hash.clone() }),
            faults: Vec::new(),
        };
        let previous = Some(chain::initial_hash(organization, older));
        Ok(Self { backend, anchors, found: Vec::new(), report, head, previous, expected: 1, latest })
    }

    async fn run(mut self) -> Result<(ChainReport, Vec<Anchor>)> {
        let last = self.head.as_ref().map_or(0, |head| head.sequence);
        let mut from = 1;
        while from <= last {
            let to = last.min(from + WINDOW - 1);
            for (link, hash) in self.links(from, to).await? {
                self.step(&link, hash);
            }
            from = to + 1;
        }
        if self.expected <= last {
            self.fault(self.expected, None, format!("links {} to {last} are missing", self.expected));
        } else if let Some(head) = &self.head
            && self.previous.as_ref().is_some_and(|hash| *hash != head.hash)
        {
            self.fault(last, None, "the newest link is not the one that the head refers to".to_owned());
        }
        self.check_end().await?;
        Ok((self.report, self.found))
    }

    /// The links of a window, by number.
    async fn links(&self, from: i64, to: i64) -> Result<Vec<(Link, String)>> {
        let organization = self.report.organization;
        let mut links = Vec::new();
        for (kind, statement) in
            [(LinkKind::Entry, sql::AUDIT_LINKS), (LinkKind::Outcome, sql::OUTCOME_LINKS)]
        {
            let params = [organization.into(), from.into(), to.into()];
            for record in self.backend.query(statement, &params).await? {
                links.push(link(kind, organization, record)?);
            }
        }
        links.sort_by_key(|(link, _)| link.sequence);
        Ok(links)
    }

    fn step(&mut self, link: &Link, hash: String) {
        if link.sequence < self.expected {
            return self.fault(link.sequence, Some(&link.id), "two links have this number".to_owned());
        }
        if link.sequence > self.expected {
            let (first, last) = (self.expected, link.sequence - 1);
            self.fault(first, None, format!("links {first} to {last} are missing"));
            self.previous = None;
        }
        match link.kind {
            LinkKind::Entry => self.report.entries += 1,
            LinkKind::Outcome => self.report.outcomes += 1,
        }
        if self.previous.as_ref().is_some_and(|previous| link.hash(previous) != hash) {
            let message = if link.sequence == 1 {
                "does not match its hash: it was changed, or entries that are older than the chain were added or removed"
            } else {
                "does not match its hash: this link or the previous one was changed or moved"
            };
            self.fault(link.sequence, Some(&link.id), message.to_owned());
        }
        if link.kind == LinkKind::Entry {
            if self.latest.is_some_and(|latest| link.created_at <= latest) {
                let message = "is not later than the previous entry".to_owned();
                self.fault(link.sequence, Some(&link.id), message);
            }
            self.latest = self.latest.max(Some(link.created_at));
        }
        let anchor = Anchor { sequence: link.sequence, hash };
        if self.anchors.contains(&anchor) {
            self.found.push(anchor.clone());
        }
        self.previous = Some(anchor.hash);
        self.expected = link.sequence + 1;
    }

    /// Checks that no link follows the head, which is read after the links.
    async fn check_end(&mut self) -> Result<()> {
        let organization = self.report.organization;
        let newest = self.backend.query(sql::AUDIT_NEWEST, &[organization.into()]).await?.pop();
        let mut columns = Columns::of(newest.unwrap_or_default());
        let newest = columns.optional_int()?.max(columns.optional_int()?).unwrap_or(0);
        let head = self.backend.query(sql::AUDIT_HEAD, &[organization.into()]).await?.pop();
        let head = head.map(chain::head).transpose()?.map_or(0, |head| head.sequence);
        if newest > head {
            let message = format!("the head was changed or removed: there are links up to {newest}");
            self.fault(head + 1, None, message);
        }
        Ok(())
    }

    fn fault(&mut self, sequence: i64, entry: Option<&str>, message: String) {
        if self.report.faults.len() < MOST_FAULTS {
            self.report.faults.push(Fault { sequence, entry: entry.map(str::to_owned), message });
        }
    }
}

fn link(kind: LinkKind, organization: OrganizationId, record: Record) -> Result<(Link, String)> {
    let mut columns = Columns::of(record);
    let link = Link {
        kind,
        organization,
        sequence: columns.int()?,
        id: columns.text()?,
        created_at: Timestamp(columns.int()?),
        document: columns.text()?,
    };
    // A number without a hash, as after a manual change.
    Ok((link, columns.optional_text()?.unwrap_or_default()))
}
