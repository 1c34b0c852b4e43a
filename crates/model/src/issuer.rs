//! Issuers of tokens that are accepted like API keys, and the mapping of token identities to principals.

use crate::{Error, OrganizationId, Result, Timestamp};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// The maximum size of a compiled regular expression, in bytes.
const REGEX_LIMIT: usize = 256 * 1024;
/// The maximum number of entries in an identity map.
const MAX_ENTRIES: usize = 100;
/// The maximum length of a text in an entry, in bytes.
const MAX_LENGTH: usize = 1024;

/// An external token issuer that an organization trusts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JwtIssuer {
    pub organization: OrganizationId,
    /// The ID, a UUID.
    pub id: String,
    /// The `iss` claim of its tokens, which is also the URL where its keys are found.
    pub issuer_url: String,
    /// The `aud` claim that its tokens must contain.
    pub audience: String,
    /// The claim that identifies the caller; `None` means `sub`.
    pub claim: Option<String>,
    /// The keys as JSON; `None` means that they are fetched from the issuer.
    pub jwks: Option<String>,
    /// Maps identities in tokens to identities of principals. If empty, they are used unchanged.
    pub identity_map: Vec<IdentityMapEntry>,
    pub created_at: Timestamp,
}

/// An entry of an identity map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentityMapEntry {
    /// A literal, or a regular expression if it starts with a slash.
    pub token_identity: String,
    /// The resulting identity. `\1` is replaced by the first group of the regular expression.
    pub cc_identity: String,
}

impl IdentityMapEntry {
    /// The compiled regular expression, if the entry has one.
    fn regex(&self) -> Option<Result<Regex, regex::Error>> {
        let pattern = self.token_identity.strip_prefix('/')?;
        Some(RegexBuilder::new(pattern).size_limit(REGEX_LIMIT).build())
    }

    fn check(&self, place: &str) -> Result<()> {
        let token_field = format!("{place}.token_identity");
        let cc_field = format!("{place}.cc_identity");
        for (field, text) in [(&token_field, &self.token_identity), (&cc_field, &self.cc_identity)] {
            if text.is_empty() || text.len() > MAX_LENGTH {
                return Err(Error::invalid(field, format!("must have 1 to {MAX_LENGTH} bytes")));
            }
        }
        let Some(regex) = self.regex() else { return Ok(()) };
        let regex = regex.map_err(|error| {
            let error = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            Error::invalid(&token_field, format!("is not a valid regular expression: {error}"))
        })?;
        if regex.captures_len() < 2 {
            return Err(Error::invalid(
                &token_field,
                "must contain a group if it is a regular expression, for example (.*)",
            ));
        }
        if !self.cc_identity.contains(r"\1") {
            return Err(Error::invalid(
                &cc_field,
                r"must contain \1 if token_identity is a regular expression",
            ));
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
    /// The claim that identifies the caller.
    pub fn claim(&self) -> &str {
        self.claim.as_deref().unwrap_or("sub")
    }

    /// Checks that the issuer is valid.
    pub fn check(&self) -> Result<()> {
        check_url("issuer_url", &self.issuer_url)?;
        if self.audience.is_empty() || self.audience.len() > MAX_LENGTH {
            return Err(Error::invalid("audience", format!("must have 1 to {MAX_LENGTH} bytes")));
        }
        if self.claim.as_ref().is_some_and(|claim| claim.len() > MAX_LENGTH) {
            return Err(Error::invalid("claim", format!("must have at most {MAX_LENGTH} bytes")));
        }
        if self.identity_map.len() > MAX_ENTRIES {
            return Err(Error::invalid("identity_map", format!("must have at most {MAX_ENTRIES} entries")));
        }
        let mut entries = self.identity_map.iter().enumerate();
        entries.try_for_each(|(at, entry)| entry.check(&format!("identity_map[{at}]")))
    }

    /// The possible identities for the identity in a token, in lower case and without duplicates: email
    /// addresses or IDs of service accounts, which need not exist.
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

/// Checks that keys can be fetched from a URL: with TLS, or without TLS from this machine.
pub fn check_url(field: &str, url: &str) -> Result<()> {
    let rule = "must be an https:// URL, or an http:// URL on this machine's loopback address";
    let wrong = || Error::invalid(field, rule);
    if url.len() > MAX_LENGTH || url.bytes().any(|byte| byte <= b' ' || byte == b'#' || byte == 0x7f) {
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
