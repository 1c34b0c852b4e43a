//! Errors for clients: the SQLSTATE, message, and hint of each are defined here, apart from what is logged.

use crate::{Notice, registry::Termination};
use ootheca_pg_protocol::{ProtocolViolation, backend, scram::AuthenticationError};
use std::time::Duration;

/// An error that ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientError {
    /// The reason in logs and metrics.
    pub(crate) kind: &'static str,
    sqlstate: &'static str,
    message: String,
    hint: Option<String>,
    /// The encoded error of a server, which is passed on unchanged.
    encoded: Option<Vec<u8>>,
}

impl ClientError {
    fn new(kind: &'static str, sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { kind, sqlstate, message: message.into(), hint: None, encoded: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The parameters of the connection do not identify a single cluster.
    pub(crate) fn routing(message: impl std::fmt::Display) -> Self {
        Self::new("routing", "08004", format!("codeParamsRoutingFailed: {message}"))
    }

    /// The parameters of the connection identify no cluster.
    pub(crate) fn no_cluster() -> Self {
        Self::routing("missing cluster identifier").hint(
            "Specify the cluster in one of three ways: add \"options=--cluster=<routing-id>\" to the connection \
             string; prefix the database, as in \"<routing-id>.defaultdb\"; or connect to the cluster's own host \
             name with a driver that supports SNI.",
        )
    }

    /// No active cluster has the routing ID.
    pub(crate) fn unknown_cluster(routing_id: &str) -> Self {
        Self { kind: "unknown_cluster", ..Self::unreachable(routing_id) }
    }

    /// The client's address is not on the cluster's allowlist.
    pub(crate) fn denied(routing_id: &str) -> Self {
        Self { kind: "denied", ..Self::unreachable(routing_id) }
    }

    /// The same text for both reasons, so that clients cannot find out which clusters exist.
    fn unreachable(routing_id: &str) -> Self {
        Self::routing(format!("cluster {routing_id} not found, or connection refused by its IP allowlist"))
            .hint("Check the routing ID, and that the cluster's IP allowlist includes your address.")
    }

    /// Whether the time of the answer must not reveal which of two reasons applies.
    pub(crate) fn hides_reason(&self) -> bool {
        matches!(self.kind, "unknown_cluster" | "denied")
    }

    pub(crate) fn no_user() -> Self {
        let message = "codeAuthFailed: no PostgreSQL user name specified in startup packet";
        Self::new("no_user", "28000", message)
    }

    /// The password is wrong, or the user does not exist or has no password.
    pub(crate) fn wrong_password(user: &str) -> Self {
        Self::new("wrong_password", "28P01", format!("password authentication failed for user \"{user}\""))
    }

    /// The password is stored in a form that the gateway cannot verify.
    pub(crate) fn unsupported_password(user: &str, kind: &str) -> Self {
        let message = format!(
            "codeAuthFailed: the password of user \"{user}\" is stored as {kind}, but only SCRAM-SHA-256 is supported"
        );
        Self::new("other_secret", "28000", message)
            .hint("Set the user's password again to store it for SCRAM-SHA-256.")
    }

    /// The password changed after the gateway had read it.
    pub(crate) fn password_changed(user: &str) -> Self {
        let message = format!("codeAuthFailed: the password of user \"{user}\" has just changed");
        Self::new("password_changed", "28P01", message).hint("Try again.")
    }

    /// The connection may be intercepted.
    pub(crate) fn channel_binding(error: &AuthenticationError) -> Self {
        Self::new("channel_binding", "28000", format!("codeAuthFailed: {error}"))
            .hint("The connection may be intercepted. Verify the server's certificate.")
    }

    /// Too many wrong passwords were sent from the client's address.
    pub(crate) fn login_throttled(user: &str, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let message = format!(
            "codeProxyRefusedConnection: too many failed login attempts for user \"{user}\" from your address; \
             try again in {seconds} s"
        );
        Self::new("throttled", "28000", message).hint("Check the user name and password.")
    }

    /// Connections that have not authenticated are closed in favor of new ones.
    pub(crate) fn too_many_unauthenticated() -> Self {
        let message = "codeProxyRefusedConnection: too many connections that have not authenticated";
        Self::new("evicted", "53300", message).hint("Try again later.")
    }

    /// The cluster exceeds its request unit limit.
    pub(crate) fn disabled(notice: Notice) -> Self {
        Self::new("disabled", "57P03", format!("codeUnavailable: {}", notice.message)).hint(notice.hint)
    }

    /// The cluster exceeds its storage limit, and another client uses its one session.
    pub(crate) fn slot_taken(notice: Notice) -> Self {
        Self::new("over_storage", "53300", format!("codeProxyRefusedConnection: {}", notice.message))
            .hint(notice.hint)
    }

    /// The cluster has the maximum number of sessions.
    pub(crate) fn too_many_sessions() -> Self {
        let message = "codeProxyRefusedConnection: too many connections to this cluster";
        Self::new("cluster_full", "53300", message).hint("Close some connections, or use a connection pool.")
    }

    /// The server rejected the login with this ErrorResponse.
    pub(crate) fn from_server(encoded: Vec<u8>) -> Self {
        Self { encoded: Some(encoded), ..Self::new("login_refused", "", "") }
    }

    /// The gateway terminates a session or a login.
    pub(crate) fn terminated(termination: Termination, notice: Option<Notice>) -> Self {
        match (termination, notice) {
            (Termination::Drain | Termination::Shutdown, _) => Self::shutdown(),
            (Termination::Throttled, Some(notice)) => Self::storage_exceeded(notice),
            (Termination::Disabled, Some(notice)) => Self::disabled(notice),
            (Termination::Throttled | Termination::Disabled, None) => Self::backend_down(),
            (Termination::NotAllowed, _) => Self::no_longer_allowed(),
            (Termination::Deleted, _) => Self::deleted(),
        }
    }

    fn storage_exceeded(notice: Notice) -> Self {
        let message = format!("codeExpiredClientConnection: terminating connection: {}", notice.message);
        Self::new("over_storage", "57P01", message).hint(notice.hint)
    }

    /// The user belongs to the engine.
    pub(crate) fn reserved_user(user: &str) -> Self {
        Self::new("reserved_user", "28000", format!("codeAuthFailed: user \"{user}\" is reserved"))
            .hint("Connect as a SQL user of the cluster.")
    }

    /// The client requested a session without TLS.
    pub(crate) fn plaintext() -> Self {
        let message =
            "codeUnexpectedInsecureStartupMessage: unsupported startup message: the server requires TLS";
        Self::new("plaintext", "08004", message).hint("Connect with sslmode=verify-full or sslmode=require.")
    }

    /// The client started TLS without negotiation and without ALPN.
    pub(crate) fn no_alpn() -> Self {
        let message =
            "codeUnexpectedStartupMessage: direct TLS connections require the ALPN protocol \"postgresql\"";
        Self::new("malformed", "08P01", message)
    }

    pub(crate) fn protocol_violation(error: &ProtocolViolation) -> Self {
        Self::new("malformed", "08P01", format!("codeUnexpectedStartupMessage: {error}"))
    }

    /// Replication would bypass the control plane.
    pub(crate) fn replication() -> Self {
        let message = "codeUnexpectedStartupMessage: replication connections are not supported";
        Self::new("replication", "0A000", message)
    }

    /// The cluster's server is not reachable.
    pub(crate) fn backend_down() -> Self {
        let message = "codeBackendDown: the cluster is not accepting connections";
        Self::new("backend_down", "57P03", message).hint("Try again in a few seconds.")
    }

    /// The cluster can't be served, and waiting does not change that.
    pub(crate) fn not_served(reason: &str) -> Self {
        Self::new("not_served", "57P03", format!("codeUnavailable: {reason}"))
    }

    pub(crate) fn login_timeout() -> Self {
        Self::new("login_timeout", "57014", "codeAuthFailed: the login took too long")
    }

    /// The gateway has the maximum number of connections.
    pub(crate) fn too_many_connections() -> Self {
        Self::new("full", "53300", "codeProxyRefusedConnection: too many connections")
            .hint("Try again later.")
    }

    /// An internal error, which has been logged.
    pub(crate) fn internal() -> Self {
        Self::new("internal", "XX000", "codeUnavailable: internal error")
            .hint("See the server's log for details.")
    }

    fn no_longer_allowed() -> Self {
        let message = "codeExpiredClientConnection: terminating connection: your address was removed from the \
                       cluster's IP allowlist";
        Self::new("no_longer_allowed", "28000", message)
    }

    fn deleted() -> Self {
        let message = "codeExpiredClientConnection: terminating connection: the cluster was deleted";
        Self::new("deleted", "57P01", message)
    }

    fn shutdown() -> Self {
        let message = "codeExpiredClientConnection: terminating connection due to administrator command";
        Self::new("shutdown", "57P01", message).hint("Connect again in a few seconds.")
    }

    /// The ErrorResponse.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match &self.encoded {
            Some(encoded) => encoded.clone(),
            None => backend::error_response("FATAL", self.sqlstate, &self.message, self.hint.as_deref()),
        }
    }
}
