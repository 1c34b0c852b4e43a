//! Issuers of tokens that are accepted beside API keys, and how a token's identity becomes one of ours.

use crate::{Error, OrganizationId, Result, Timestamp};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Largest compiled regular expression in bytes.
const REGEX_LIMIT: usize = 256 * 1024;
/// Most entries of an identity map.
const MOST_ENTRIES: usize = 100;
/// Longest text of an entry in bytes.
const LONGEST: usize = 1024;

/// Somebody else's token service that an organization trusts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JwtIssuer {
    /// The organization.
    pub organization: OrganizationId,
    /// Id, a UUID.
    pub id: String,
    /// `iss` of its tokens, and where its keys are found.
    pub issuer_url: String,
    /// `aud` that its tokens must hold.
    pub audience: String,
    /// The claim that names the caller; `None` is `sub`.
    pub claim: Option<String>,
    /// Its keys, JSON; `None` fetches them from the issuer.
    pub jwks: Option<String>,
    /// From identities in tokens to identities here; empty takes them as they are.
    pub identity_map: Vec<IdentityMapEntry>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// One line of an identity map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentityMapEntry {
    /// A literal, or a regular expression after a slash.
    pub token_identity: String,
    /// What it becomes; `\1` is what the expression's first group matched.
    pub cc_identity: String,
}

impl IdentityMapEntry {
    /// The expression, if it is one.
    fn regex(&self) -> Option<Result<Regex, regex::Error>> {
        let pattern = self.token_identity.strip_prefix('/')?;
        Some(RegexBuilder::new(pattern).size_limit(REGEX_LIMIT).build())
    }

    fn check(&self, place: &str) -> Result<()> {
        let token_field = format!("{place}.token_identity");
        let cc_field = format!("{place}.cc_identity");
        for (field, text) in [(&token_field, &self.token_identity), (&cc_field, &self.cc_identity)] {
            if text.is_empty() || text.len() > LONGEST {
                return Err(Error::invalid(field, format!("must have 1 to {LONGEST} bytes")));
            }
        }
        let Some(regex) = self.regex() else { return Ok(()) };
        let regex = regex.map_err(|error| {
            let error = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Error::invalid(&token_field, format!("is no regular expression: {error}"))
        })?;
        if regex.captures_len() < 2 {
            return Err(Error::invalid(&token_field, "a regular expression needs a group, for example (.*)"));
        }
        if !self.cc_identity.contains(r"\1") {
            return Err(Error::invalid(&cc_field, r"must hold \1 where token_identity is an expression"));
        }
        Ok(())
    }

    fn apply(&self, identity: &str) -> Option<String> {
        let Some(regex) = self.regex() else {
            return (self.token_identity == identity).then(|| self.cc_identity.clone());
        };
        let regex = regex.ok()?;
        let matched = regex.captures(identity)?.get(1)?;
        Some(self.cc_identity.replace(r"\1", matched.as_str()))
    }
}

impl JwtIssuer {
    /// The claim that names the caller.
    pub fn claim(&self) -> &str {
        self.claim.as_deref().unwrap_or("sub")
    }

    /// Whether it can be kept like this.
    pub fn check(&self) -> Result<()> {
        check_url("issuer_url", &self.issuer_url)?;
        if self.audience.is_empty() || self.audience.len() > LONGEST {
            return Err(Error::invalid("audience", format!("must have 1 to {LONGEST} bytes")));
        }
        if self.claim.as_ref().is_some_and(|claim| claim.len() > LONGEST) {
            return Err(Error::invalid("claim", format!("must have at most {LONGEST} bytes")));
        }
        if self.identity_map.len() > MOST_ENTRIES {
            return Err(Error::invalid("identity_map", format!("must have at most {MOST_ENTRIES} entries")));
        }
        let mut entries = self.identity_map.iter().enumerate();
        entries.try_for_each(|(at, entry)| entry.check(&format!("identity_map[{at}]")))
    }

    /// Who here the identity of a token may be, lower case, each once: e-mail addresses or ids of service
    /// accounts, whether they exist or not.
    pub fn identities(&self, token_identity: &str) -> Vec<String> {
        if self.identity_map.is_empty() {
            return vec![token_identity.to_lowercase()];
        }
        let mut found = Vec::new();
        for entry in &self.identity_map {
            let identity = entry.apply(token_identity).map(|identity| identity.to_lowercase());
            found.extend(identity.filter(|identity| !found.contains(identity)));
        }
        found
    }
}

/// Whether keys may be fetched from there: over TLS, or without it from this machine.
pub fn check_url(field: &str, url: &str) -> Result<()> {
    let rule = "must be an https:// address, or http:// on this machine's loopback address";
    let wrong = || Error::invalid(field, rule);
    if url.len() > LONGEST || url.bytes().any(|byte| byte <= b' ' || byte == b'#' || byte == 0x7f) {
        return Err(wrong());
    }
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err(wrong());
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    match scheme {
        "https" => Ok(()),
        "http" if matches!(host, "localhost" | "127.0.0.1" | "::1") => Ok(()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
