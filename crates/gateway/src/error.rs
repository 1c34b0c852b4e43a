//! What a client is told when it can not have what it asked for.
//!
//! The text for the client is written here on purpose, apart from what is logged.

use crate::{Notice, registry::Cut};
use ootheca_pg_protocol::{ProtocolViolation, backend, scram::AuthenticationError};
use std::time::Duration;

/// The answer to a client that is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The kind in the log.
    pub(crate) kind: &'static str,
    sqlstate: &'static str,
    message: String,
    hint: Option<String>,
    /// The whole message, where it is somebody else's.
    answer: Option<Vec<u8>>,
}

impl Refusal {
    fn new(kind: &'static str, sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { kind, sqlstate, message: message.into(), hint: None, answer: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The parameters name no cluster, or not one.
    pub(crate) fn routing(message: impl std::fmt::Display) -> Self {
        Self::new("routing", "08004", format!("codeParamsRoutingFailed: {message}"))
    }

    /// The parameters name no cluster at all.
    pub(crate) fn missing() -> Self {
        Self::routing("missing cluster identifier").hint(
            "Name the cluster in one of three ways: put \"options=--cluster=<routing id>\" into the connection \
             string; put it before the database, as in \"<routing id>.defaultdb\"; or connect to the cluster's \
             own host name with a driver that sends it (SNI).",
        )
    }

    /// No active cluster has that routing id.
    pub(crate) fn unknown(routing_id: &str) -> Self {
        Self { kind: "unknown_cluster", ..Self::hidden(routing_id) }
    }

    /// The peer's address is not on the allowlist.
    pub(crate) fn denied(routing_id: &str) -> Self {
        Self { kind: "denied", ..Self::hidden(routing_id) }
    }

    /// Strangers do not learn which clusters there are.
    fn hidden(routing_id: &str) -> Self {
        Self::routing(format!("cluster {routing_id} not found, or connection refused by its IP allowlist"))
            .hint("Check the routing id, and that the cluster's IP allowlist has your address.")
    }

    /// Whether it must not show, by the time that it takes either, which of two reasons it has.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(self.kind, "unknown_cluster" | "denied")
    }

    /// The startup message names no user.
    pub(crate) fn no_user() -> Self {
        let message = "codeAuthFailed: no PostgreSQL user name specified in startup packet";
        Self::new("no_user", "28000", message)
    }

    /// The password is wrong, or the user has none, or there is no such user.
    pub(crate) fn password(user: &str) -> Self {
        Self::new("wrong_password", "28P01", format!("password authentication failed for user \"{user}\""))
    }

    /// The password is kept in a form that tells the gateway too little.
    pub(crate) fn other_secret(user: &str, kind: &str) -> Self {
        let message = format!(
            "codeAuthFailed: user \"{user}\" has a password of the kind {kind}, and only SCRAM-SHA-256 works here"
        );
        Self::new("other_secret", "28000", message)
            .hint("Set the user's password again: it is then kept for SCRAM-SHA-256.")
    }

    /// The password is another one since a moment ago.
    pub(crate) fn changed(user: &str) -> Self {
        let message = format!("codeAuthFailed: the password of user \"{user}\" was changed a moment ago");
        Self::new("password_changed", "28P01", message).hint("Try again.")
    }

    /// Somebody may be between the client and the gateway.
    pub(crate) fn binding(error: &AuthenticationError) -> Self {
        Self::new("channel_binding", "28000", format!("codeAuthFailed: {error}"))
            .hint("Somebody may be between you and the server: check its certificate.")
    }

    /// Too many wrong passwords.
    pub(crate) fn throttled(wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let message =
            format!("codeProxyRefusedConnection: too many failed login attempts; try again in {seconds} s");
        Self::new("throttled", "28000", message).hint("Check user and password.")
    }

    /// The cluster is over its request units.
    pub(crate) fn disabled(notice: Notice) -> Self {
        Self::new("disabled", "57P03", format!("codeUnavailable: {}", notice.message)).hint(notice.hint)
    }

    /// The cluster is over its storage, and its one session is taken.
    pub(crate) fn seat_taken(notice: Notice) -> Self {
        Self::new("over_storage", "53300", format!("codeProxyRefusedConnection: {}", notice.message))
            .hint(notice.hint)
    }

    /// The cluster has as many sessions as it may.
    pub(crate) fn cluster_full() -> Self {
        let message = "codeProxyRefusedConnection: too many connections to this cluster";
        Self::new("cluster_full", "53300", message).hint("Close some, or use a connection pool.")
    }

    /// What the server said, as it is.
    pub(crate) fn server(message: Vec<u8>) -> Self {
        Self { answer: Some(message), ..Self::new("login_refused", "", "") }
    }

    /// Why a session, or a login, is ended from this side.
    pub(crate) fn cut(cut: Cut, notice: Option<Notice>) -> Self {
        match (cut, notice) {
            (Cut::Drain | Cut::Shutdown, _) => Self::shutdown(),
            (Cut::Throttled, Some(notice)) => Self::now_throttled(notice),
            (Cut::Disabled, Some(notice)) => Self::disabled(notice),
            (Cut::Throttled | Cut::Disabled, None) => Self::backend_down(),
            (Cut::Policy, _) => Self::no_longer_allowed(),
            (Cut::Deleted, _) => Self::deleted(),
        }
    }

    fn now_throttled(notice: Notice) -> Self {
        let message = format!("codeExpiredClientConnection: terminating connection: {}", notice.message);
        Self::new("over_storage", "57P01", message).hint(notice.hint)
    }

    /// The user belongs to the engine.
    pub(crate) fn reserved(user: &str) -> Self {
        Self::new("reserved_user", "28000", format!("codeAuthFailed: user \"{user}\" is reserved"))
            .hint("Connect as a SQL user of the cluster.")
    }

    /// The session did not ask for TLS.
    pub(crate) fn plaintext() -> Self {
        let message =
            "codeUnexpectedInsecureStartupMessage: unsupported startup message: the server needs TLS";
        Self::new("plaintext", "08004", message).hint("Connect with sslmode=verify-full or sslmode=require.")
    }

    /// TLS without negotiation, and without the name of the protocol in it.
    pub(crate) fn no_alpn() -> Self {
        let message = "codeUnexpectedStartupMessage: direct TLS needs the ALPN protocol \"postgresql\"";
        Self::new("malformed", "08P01", message)
    }

    /// A packet that is none, or in the wrong place.
    pub(crate) fn malformed(why: ProtocolViolation) -> Self {
        Self::new("malformed", "08P01", format!("codeUnexpectedStartupMessage: {why}"))
    }

    /// Replication goes around everything that the control plane knows.
    pub(crate) fn replication() -> Self {
        let message = "codeUnexpectedStartupMessage: replication connections are not supported";
        Self::new("replication", "0A000", message)
    }

    /// The cluster's server does not answer.
    pub(crate) fn backend_down() -> Self {
        let message = "codeBackendDown: the cluster does not accept connections at the moment";
        Self::new("backend_down", "57P03", message).hint("Try again in a few seconds.")
    }

    /// Login took too long.
    pub(crate) fn login_timeout() -> Self {
        Self::new("login_timeout", "57014", "codeAuthFailed: the login took too long")
    }

    /// All connections are taken.
    pub(crate) fn full() -> Self {
        Self::new("full", "53300", "codeProxyRefusedConnection: too many connections")
            .hint("Try again later.")
    }

    /// A defect; the log knows more.
    pub(crate) fn internal() -> Self {
        Self::new("internal", "XX000", "codeUnavailable: internal error").hint("The server's log says more.")
    }

    /// The allowlist no longer has the peer's address.
    fn no_longer_allowed() -> Self {
        let message = "codeExpiredClientConnection: terminating connection: your address was removed from the \
                       cluster's IP allowlist";
        Self::new("no_longer_allowed", "28000", message)
    }

    /// The cluster was deleted under a live session.
    fn deleted() -> Self {
        let message = "codeExpiredClientConnection: terminating connection: the cluster was deleted";
        Self::new("deleted", "57P01", message)
    }

    /// The gateway goes down.
    fn shutdown() -> Self {
        let message = "codeExpiredClientConnection: terminating connection due to administrator command";
        Self::new("shutdown", "57P01", message).hint("Connect again in a few seconds.")
    }

    /// The ErrorResponse message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        backend::error_response("FATAL", self.sqlstate, &self.message, self.hint.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response() {
        let refusal = Refusal::new("kind", "08004", "no\0pe").hint("ask");
        assert_eq!(refusal.encode(), b"E\0\0\0\x25SFATAL\0VFATAL\0C08004\0Mnope\0Hask\0\0");
    }
}
