//! Counts of the API's responses by status class, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The number of responses of each class.
#[derive(Debug, Default)]
pub struct ResponseCounts([AtomicU64; CLASSES.len()]);

impl ResponseCounts {
    /// Counts a response with this HTTP status.
    pub fn count(&self, status: u16) {
        if let Some(class) = usize::from(status / 100).checked_sub(1).and_then(|class| self.0.get(class)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The count of each class.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = CLASSES.iter().zip(&self.0);
        counts.map(|(class, count)| (*class, count.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_counted_by_status_class() {
        let answers = ResponseCounts::default();
        for status in [200, 204, 404, 999, 0] {
            answers.count(status);
        }
        let counts: Vec<u64> = answers.counts().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [0, 2, 0, 1, 0]);
    }
}
