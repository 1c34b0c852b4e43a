//! What a client is told when it can not have what it asked for.
//!
//! The text for the client is written here on purpose, apart from what is logged.

use crate::startup::Malformed;

/// The answer to a client that is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The kind in the log.
    pub(crate) kind: &'static str,
    sqlstate: &'static str,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(kind: &'static str, sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { kind, sqlstate, message: message.into(), hint: None }
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
        Self { kind: "unknown_cluster", ..Self::routing(format!("cluster {routing_id} not found")) }
    }

    /// The peer's address is not on the allowlist.
    pub(crate) fn denied() -> Self {
        Self::new("denied", "28000", "codeProxyRefusedConnection: connection refused")
            .hint("Add your address to the cluster's IP allowlist.")
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
    pub(crate) fn malformed(why: Malformed) -> Self {
        Self::new("malformed", "08P01", format!("codeUnexpectedStartupMessage: {}", why.0))
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
    pub(crate) fn no_longer_allowed() -> Self {
        let message = "codeExpiredClientConnection: terminating connection: your address was removed from the \
                       cluster's IP allowlist";
        Self::new("no_longer_allowed", "28000", message)
    }

    /// The cluster was deleted under a live session.
    pub(crate) fn deleted() -> Self {
        let message = "codeExpiredClientConnection: terminating connection: the cluster was deleted";
        Self::new("deleted", "57P01", message)
    }

    /// The gateway goes down.
    pub(crate) fn shutdown() -> Self {
        let message = "codeExpiredClientConnection: terminating connection due to administrator command";
        Self::new("shutdown", "57P01", message).hint("Connect again in a few seconds.")
    }

    /// The ErrorResponse message.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', self.sqlstate), (b'M', &self.message)];
        let hint = self.hint.as_deref().map(|hint| (b'H', hint));
        let mut body = Vec::new();
        for (field, text) in fields.into_iter().chain(hint) {
            body.push(field);
            body.extend(text.bytes().filter(|byte| *byte != 0));
            body.push(0);
        }
        body.push(0);
        let mut message = vec![b'E'];
        message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
        message.extend_from_slice(&body);
        message
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
