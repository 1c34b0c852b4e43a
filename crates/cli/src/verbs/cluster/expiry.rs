//! The flags of `cluster create` for a cluster that expires.

use crate::verbs::time;
use clap::Args;
use ootheca_model::Timestamp;
use std::time::{Duration, SystemTime};

/// When the cluster expires; never by default.
#[derive(Args, Default)]
#[group(multiple = false)]
pub(super) struct ExpiryArgs {
    /// Delete the cluster and all its data after this time: a whole number of s, m, h, or d, such as 48h [default: never]
    #[arg(long, value_name = "DURATION", value_parser = time::seconds)]
    expires_in: Option<u64>,
    /// Delete the cluster and all its data at this time, such as 2026-03-01T10:30:00Z [default: never]
    #[arg(long, value_name = "TIME", value_parser = time::rfc3339)]
    expires_at: Option<Timestamp>,
}

impl ExpiryArgs {
    /// The time at which the cluster expires. A duration starts now, by the clock of this machine.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at_from(SystemTime::now().into())
    }

    fn expires_at_from(&self, now: Timestamp) -> Option<Timestamp> {
        self.expires_at.or_else(|| Some(now.after(Duration::from_secs(self.expires_in?))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_time_or_a_duration_from_now() {
        let now = Timestamp(1_772_361_000_000_000);
        let at = |args: ExpiryArgs| args.expires_at_from(now).map(|time| time.to_string());
        assert_eq!(at(ExpiryArgs::default()), None);
        let duration = ExpiryArgs { expires_in: Some(48 * 3600), ..ExpiryArgs::default() };
        assert_eq!(at(duration).as_deref(), Some("2026-03-03T10:30:00.000000Z"));
        let time = ExpiryArgs { expires_at: Some(Timestamp(0)), ..ExpiryArgs::default() };
        assert_eq!(at(time).as_deref(), Some("1970-01-01T00:00:00.000000Z"));
    }
}
