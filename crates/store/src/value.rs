//! The values that are exchanged with either database.

use crate::{Kind, Row};
use ootheca_model::{Error, OrganizationId, Result, Timestamp};

/// The value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

/// The columns of one result row, in the order of the statement.
pub(crate) type Record = Vec<Value>;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Value::Null, Value::Text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Value::Int(time.0)
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(time: Option<Timestamp>) -> Self {
        time.map_or(Value::Null, Value::from)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<OrganizationId> for Value {
    fn from(id: OrganizationId) -> Self {
        Value::Text(id.to_string())
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        kind.name().into()
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 22] = [
        Kind::Organization,
        Kind::Person,
        Kind::Group,
        Kind::ServiceAccount,
        Kind::ApiKey,
        Kind::Folder,
        Kind::Session,
        Kind::Invitation,
        Kind::JwtIssuer,
        Kind::Cluster,
        Kind::AllowlistEntry,
        Kind::BlackoutWindow,
        Kind::BackupBase,
        Kind::RecoveryPoint,
        Kind::Restore,
        Kind::SqlCatalog,
        Kind::SqlCatalogBucket,
        Kind::Meter,
        Kind::UsageHour,
        Kind::UsageMonth,
        Kind::Idempotency,
        Kind::Setting,
    ];

    /// The name in events and in the column `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Organization => "organization",
            Kind::Person => "person",
            Kind::Group => "group",
            Kind::ServiceAccount => "service_account",
            Kind::ApiKey => "api_key",
            Kind::Folder => "folder",
            Kind::Session => "session",
            Kind::Invitation => "invitation",
            Kind::JwtIssuer => "jwt_issuer",
            Kind::Cluster => "cluster",
            Kind::AllowlistEntry => "allowlist_entry",
            Kind::BlackoutWindow => "blackout_window",
            Kind::BackupBase => "backup_base",
            Kind::RecoveryPoint => "recovery_point",
            Kind::Restore => "restore",
            Kind::SqlCatalog => "sql_catalog",
            Kind::SqlCatalogBucket => "sql_catalog_bucket",
            Kind::Meter => "meter",
            Kind::UsageHour => "usage_hour",
            Kind::UsageMonth => "usage_month",
            Kind::Idempotency => "idempotency",
            Kind::Setting => "setting",
        }
    }

    /// The name in messages.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Organization => "organization",
            Kind::Person => "user",
            Kind::Group => "group",
            Kind::ServiceAccount => "service account",
            Kind::ApiKey => "API key",
            Kind::Folder => "folder",
            Kind::Session => "session",
            Kind::Invitation => "invitation",
            Kind::JwtIssuer => "JWT issuer",
            Kind::Cluster => "cluster",
            Kind::AllowlistEntry => "allowlist entry",
            Kind::BlackoutWindow => "blackout window",
            Kind::BackupBase => "base",
            Kind::RecoveryPoint => "recovery point",
            Kind::Restore => "restore",
            Kind::SqlCatalog => "SQL metadata of a cluster",
            Kind::SqlCatalogBucket => "bucket of SQL metadata",
            Kind::Meter => "meter",
            Kind::UsageHour => "usage of an hour",
            Kind::UsageMonth => "usage of a month",
            Kind::Idempotency => "idempotency key",
            Kind::Setting => "setting",
        }
    }
}

/// Takes the columns of a record one by one.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    pub(crate) fn of(record: Record) -> Self {
        Self(record.into_iter())
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            other => Err(unexpected("a text", other)),
        }
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<String>> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            other => Err(unexpected("a text", other)),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number),
            other => Err(unexpected("a number", other)),
        }
    }

    pub(crate) fn optional_int(&mut self) -> Result<Option<i64>> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(Some(number)),
            Some(Value::Null) => Ok(None),
            other => Err(unexpected("a number", other)),
        }
    }
}

fn unexpected(wanted: &str, found: Option<Value>) -> Error {
    Error::internal(format!("store: expected {wanted}, found {found:?}"))
}

/// Parses a record with the columns of [`crate::sql::COLUMNS`].
pub(crate) fn row(record: Record) -> Result<Row> {
    let mut columns = Columns::of(record);
    let kind = columns.text()?;
    let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
    Ok(Row {
        kind: known.ok_or_else(|| Error::internal(format!("store: unknown kind {kind:?}")))?,
        id: columns.text()?,
        organization: columns
            .text()?
            .parse()
            .map_err(|error| Error::internal("store: invalid organization id").because(error))?,
        parent: columns.text()?,
        unique_key: columns.optional_text()?,
        alias: columns.optional_text()?,
        sort_key: columns.text()?,
        due_at: columns.optional_int()?.map(Timestamp),
        revision: columns.int()?,
        created_at: Timestamp(columns.int()?),
        updated_at: Timestamp(columns.int()?),
        ended_at: columns.optional_int()?.map(Timestamp),
        document: columns.text()?,
    })
}

/// The values of a row with the given revision, in the order of [`crate::sql::COLUMNS`].
pub(crate) fn values(row: &Row, revision: i64) -> Vec<Value> {
    vec![
        row.kind.into(),
        row.id.as_str().into(),
        row.organization.into(),
        row.parent.as_str().into(),
        row.unique_key.clone().into(),
        row.alias.clone().into(),
        row.sort_key.as_str().into(),
        row.due_at.into(),
        revision.into(),
        row.created_at.into(),
        row.updated_at.into(),
        row.ended_at.into(),
        row.document.as_str().into(),
    ]
}
