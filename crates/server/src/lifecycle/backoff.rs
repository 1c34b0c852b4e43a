//! How long a loop waits before it repeats what has failed.

use std::time::Duration;

/// The pause after this number of consecutive failures: `first`, doubling up to `longest`.
pub(crate) fn pause(failures: u32, first: Duration, longest: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_repeated_less_and_less_often() {
        let pause = |failures| pause(failures, Duration::from_secs(1), Duration::from_secs(30)).as_secs();
        assert_eq!([1, 2, 3, 5, 6, 100, u32::MAX].map(pause), [1, 2, 4, 16, 30, 30, 30]);
        assert_eq!(pause(0), 1);
    }
}
