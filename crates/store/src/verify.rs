//! Proves the chain of the audit log, or says where it is broken. Reads only, beside a running server too.

use crate::{
    backend::Backend,
    chain::{self, Head, Link, Sort},
    postgres::Postgres,
    sql,
    sqlite::Sqlite,
    value::{Columns, Record},
};
use ootheca_model::{Error, OrganizationId, Result, Timestamp};
use serde::Serialize;
use std::{collections::HashSet, fmt, path::Path, str::FromStr};

/// How many links are read at once.
const WINDOW: i64 = 1000;
/// How many faults of a chain are listed.
const MOST_FAULTS: usize = 100;

/// A link as it was noted outside: whatever happens to the store, the chain must still hold it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Anchor {
    /// Number of the link.
    pub sequence: i64,
    /// Its hash.
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
            _ => Err(Error::invalid("anchor", "must be a head as it was shown: NUMBER:HASH")),
        }
    }
}

/// Something that is not as the chain says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Number of the link, or of the first that is missing.
    pub sequence: i64,
    /// Id of the entry, where there is one.
    pub entry: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// The chain of one organization.
#[derive(Clone, Debug, Serialize)]
pub struct ChainReport {
    /// The organization.
    pub organization: OrganizationId,
    /// Entries in the chain.
    pub entries: u64,
    /// Outcomes in the chain.
    pub outcomes: u64,
    /// Entries from before the chain, which it only counts.
    pub older: i64,
    /// Its newest link; to be noted outside.
    pub head: Option<Anchor>,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// What became of a check.
#[derive(Clone, Debug, Serialize)]
pub struct AuditCheck {
    /// Each organization with an audit log.
    pub chains: Vec<ChainReport>,
    /// Anchors that no chain holds.
    pub lost_anchors: Vec<Anchor>,
}

impl AuditCheck {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.lost_anchors.is_empty() && self.chains.iter().all(|chain| chain.faults.is_empty())
    }
}

/// Checks the audit log of the store at `address`, and that it still holds `anchors`.
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
            organization.map_err(|error| Error::internal("store: damaged organization").because(error))?;
        let walk = Walk::new(backend, organization, anchors).await?;
        let (report, anchors) = walk.run().await?;
        chains.push(report);
        found.extend(anchors);
    }
    let lost_anchors = anchors.iter().filter(|anchor| !found.contains(anchor)).cloned().collect();
    Ok(AuditCheck { chains, lost_anchors })
}

/// A walk along one chain.
struct Walk<'a, B> {
    backend: &'a B,
    anchors: &'a [Anchor],
    found: Vec<Anchor>,
    report: ChainReport,
    /// The head when the walk began; what comes behind it is still being written.
    head: Option<Head>,
    /// The hash of the link before, unless that one is missing.
    previous: Option<String>,
    expected: i64,
    latest: Option<Timestamp>,
}

impl<'a, B: Backend> Walk<'a, B> {
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
        let previous = Some(chain::beginning(organization, older));
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
            self.fault(last, None, "the newest link is not the one that the head names".to_owned());
        }
        self.check_end().await?;
        Ok((self.report, self.found))
    }

    /// The links of a window, by number.
    async fn links(&self, from: i64, to: i64) -> Result<Vec<(Link, String)>> {
        let organization = self.report.organization;
        let mut links = Vec::new();
        for (sort, statement) in [(Sort::Entry, sql::AUDIT_LINKS), (Sort::Outcome, sql::OUTCOME_LINKS)] {
            let params = [organization.into(), from.into(), to.into()];
            for record in self.backend.query(statement, &params).await? {
                links.push(link(sort, organization, record)?);
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
        match link.sort {
            Sort::Entry => self.report.entries += 1,
            Sort::Outcome => self.report.outcomes += 1,
        }
        if self.previous.as_ref().is_some_and(|previous| link.hash(previous) != hash) {
            let message = if link.sequence == 1 {
                "does not match its hash: it was changed, or entries from before the chain were added or removed"
            } else {
                "does not match its hash: it, or the link before it, was changed or is in another's place"
            };
            self.fault(link.sequence, Some(&link.id), message.to_owned());
        }
        if link.sort == Sort::Entry {
            if self.latest.is_some_and(|latest| link.created_at <= latest) {
                let message = "is not later than the entry before it".to_owned();
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

    /// Nothing may stand behind the head, which is read after it.
    async fn check_end(&mut self) -> Result<()> {
        let organization = self.report.organization;
        let newest = self.backend.query(sql::AUDIT_NEWEST, &[organization.into()]).await?.pop();
        let mut columns = Columns::of(newest.unwrap_or_default());
        let newest = columns.optional_int()?.max(columns.optional_int()?).unwrap_or(0);
        let head = self.backend.query(sql::AUDIT_HEAD, &[organization.into()]).await?.pop();
        let head = head.map(chain::head).transpose()?.map_or(0, |head| head.sequence);
        if newest > head {
            let message = format!("the head was set back or removed: there are links up to {newest}");
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

fn link(sort: Sort, organization: OrganizationId, record: Record) -> Result<(Link, String)> {
    let mut columns = Columns::of(record);
    let link = Link {
        sort,
        organization,
        sequence: columns.int()?,
        id: columns.text()?,
        created_at: Timestamp(columns.int()?),
        document: columns.text()?,
    };
    // Whoever sets a number by hand may forget the hash.
    Ok((link, columns.optional_text()?.unwrap_or_default()))
}
