//! Passwords of people, hashed with argon2id on separate threads, a few at a time.

use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use ootheca_model::{Error, Result};
use rand::Rng;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// The maximum number of passwords that are hashed at the same time: each needs about 20 MB of memory and a
/// core.
const AT_A_TIME: usize = 2;
const SHORTEST: usize = 12;
const LONGEST: usize = 256;

/// Hashes and verifies passwords.
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// A hash for unknown people, so that verifying their password takes the same time.
    decoy: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_A_TIME)), decoy: Arc::default() }
    }
}

impl Passwords {
    /// The hash to store for a new password.
    pub async fn hash(&self, password: &str) -> Result<String> {
        check(password)?;
        let password = password.to_owned();
        self.work(move || hash(&password)).await?
    }

    /// Whether `password` matches the stored hash. Takes the same time if there is no hash.
    pub async fn verify(&self, password: &str, kept: Option<&str>) -> Result<bool> {
        let (password, kept, decoy) = (password.to_owned(), kept.map(str::to_owned), self.decoy.clone());
        self.work(move || {
            let known = kept.is_some();
            let kept = match kept {
                Some(kept) => kept,
                None => match decoy.get() {
                    Some(hash) => hash.clone(),
                    None => {
                        let fresh = hash("nobody has this password")?;
                        decoy.get_or_init(|| fresh).clone()
                    }
                },
            };
            let parsed = PasswordHash::new(&kept)
                .map_err(|error| Error::internal(format!("password: damaged hash: {error}")))?;
            let same = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(same & known)
        })
        .await?
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let failed = || Error::internal("password: hashing was interrupted");
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| failed())?;
        let task = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        });
        task.await.map_err(|error| failed().because(error))
    }
}

fn check(password: &str) -> Result<()> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        let rule = format!("must have at least {SHORTEST} characters and at most {LONGEST} bytes");
        return Err(Error::invalid("password", rule));
    }
    Ok(())
}

fn hash(password: &str) -> Result<String> {
    let failed = |error| Error::internal(format!("password: could not be hashed: {error}"));
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    // The default is argon2id with 19 MiB and two passes.
    Argon2::default().hash_password(password.as_bytes(), &salt).map(|hash| hash.to_string()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let passwords = Passwords::default();
        let kept = passwords.hash("correct horse battery").await.expect("hashed");
        assert!(kept.starts_with("$argon2id$") && !kept.contains("horse"), "{kept}");
        assert!(passwords.verify("correct horse battery", Some(&kept)).await.expect("verified"));
        assert!(!passwords.verify("correct horse batterz", Some(&kept)).await.expect("verified"));
        assert!(!passwords.verify("nobody has this password", None).await.expect("verified"));
        assert!(passwords.verify("x", Some("not a hash")).await.is_err());
    }

    #[tokio::test]
    async fn short_and_long_passwords_are_refused() {
        let passwords = Passwords::default();
        assert!(passwords.hash("eleven char").await.is_err());
        assert!(passwords.hash(&"x".repeat(LONGEST + 1)).await.is_err());
    }
}
