//! Who calls: service accounts by API keys, people by sessions and links, and tokens of other issuers.
//!
//! What a caller is allowed to do is decided in `ootheca_model::identity`, not here.

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
use passwords::Passwords;
use rate_limit::Limiter;
use sign_in_link::SignInLink;
use std::sync::Arc;

/// What identity keeps in memory.
pub struct Identity {
    /// What every part may use.
    pub context: Arc<Context>,
    /// Hashes and verifies passwords.
    pub passwords: Passwords,
    /// The link that the start has printed.
    pub sign_in_link: SignInLink,
    /// When keys and sessions were last used.
    pub last_use: Arc<LastUse>,
    /// The signing keys of other issuers.
    pub issuer_keys: Keys,
    /// The rate limits, and how much of them each caller has used.
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
}
