//! Callers: service accounts with API keys, people with sessions and links, and tokens of other issuers.
//!
//! Authorization is decided in `ootheca_model::identity`, not here.

pub mod admin;
pub mod administrators;
pub mod api_key;
pub mod authenticate;
pub mod bootstrap;
pub mod groups;
pub mod holders;
pub mod invitations;
pub mod jwt;
pub mod last_use;
mod local_audit;
pub mod members;
pub mod passwords;
pub mod principal;
pub mod rate_limit;
pub mod sessions;
pub mod sign_in_link;
pub mod token;

use crate::context::Context;
use jwt::keys::Keys;
use last_use::LastUse;
use ootheca_model::{OrganizationId, Result};
use passwords::Passwords;
use rate_limit::Limiter;
use sign_in_link::SignInLink;
use std::{net::IpAddr, sync::Arc, time::Instant};

/// The in-memory state of authentication.
pub struct Identity {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// The sign-in link that was printed at the start.
    pub sign_in_link: SignInLink,
    /// When keys and sessions were last used.
    pub last_use: Arc<LastUse>,
    /// The keys of other issuers.
    pub issuer_keys: Keys,
    /// The rate limits, and the recent calls of each caller.
    pub limiter: Limiter,
}

impl Identity {
    /// No caller has been seen yet.
    pub fn new(context: Arc<Context>) -> Self {
        let limiter = Limiter::new(&context.settings.rate_limit, context.settings.engine_kind);
        Self {
            context,
            passwords: Passwords::default(),
            sign_in_link: SignInLink::default(),
            last_use: Arc::default(),
            issuer_keys: Keys::default(),
            limiter,
        }
    }

    /// Whether the password of a person matches the stored hash. Waits if many wrong ones were tried for this person
    /// from the same address.
    pub async fn verify_password(
        &self,
        peer: IpAddr,
        (organization, email): (OrganizationId, &str),
        password: &str,
        kept: Option<&str>,
    ) -> Result<bool> {
        let attempt = self.limiter.attempt(peer, &(organization, email)).await?;
        let right = self.passwords.verify(password, kept).await?;
        match attempt {
            Some(attempt) if right => attempt.succeed(),
            Some(attempt) => drop(attempt.fail(Instant::now())),
            None => {}
        }
        Ok(right)
    }
}
