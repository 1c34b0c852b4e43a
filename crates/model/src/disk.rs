//! What happens when the disk with the data of the clusters fills up. Part of it is a reserve, so that data
//! can be deleted and the control plane works when the rest is full.

/// How full the disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskPressure {
    /// There is enough space.
    #[default]
    None,
    /// Less than twice the reserve is free.
    Low,
    /// Less than the reserve is free: no clusters are created, and clusters can't add data.
    Full,
}

impl DiskPressure {
    /// The pressure when `free` bytes are left. To keep it from alternating, each level ends only when a quarter
    /// more than its threshold is free. Without a reserve, there is never pressure.
    #[must_use]
    pub fn next(self, free: u64, reserve: u64) -> Self {
        let below = |level: Self, threshold: u64| {
            let slack = if self >= level { threshold / 4 } else { 0 };
            free < threshold.saturating_add(slack)
        };
        if below(Self::Full, reserve) {
            Self::Full
        } else if below(Self::Low, reserve.saturating_mul(2)) {
            Self::Low
        } else {
            Self::None
        }
    }
}
