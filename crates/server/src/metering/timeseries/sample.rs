//! The values of one sample. Samples can be added: the sample of two periods is the sum of their samples, so a
//! coarser series contains exactly the sums of the finer one, regardless of the order in which they were
//! added.

use ootheca_model::units::Quantities;

/// The number of values in a sample.
pub(crate) const COLUMNS: usize = 15;

/// The measurements of a cluster in a period. Amounts and gauges are sums; only storage is a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The number of samples.
    pub(crate) samples: u64,
    /// The time in milliseconds that the amounts cover, less than the whole period if the cluster was
    /// suspended.
    pub(crate) millis: u64,
    /// Open sessions, as the sum of all samples.
    pub(crate) connections: u64,
    /// Transactions that ended, except those that open a session.
    pub(crate) transactions: u64,
    /// Microseconds in which sessions executed statements.
    pub(crate) active_micros: u64,
    /// Microseconds of CPU.
    pub(crate) cpu_micros: u64,
    /// Bytes of data at the end of the period.
    pub(crate) storage_bytes: u64,
    /// Usage that is charged in request units.
    pub(crate) used: Quantities,
}

/// Names of the series in the order of [`Sample::values`]; those of request units are in between.
const FIRST: [&str; 3] = ["connections", "statements", "latency_ms"];
const LAST: [&str; 2] = ["cpu", "storage_bytes"];

impl Sample {
    /// Adds the sample of a later period.
    pub(crate) fn add(&mut self, later: &Self) {
        if later.samples == 0 {
            return;
        }
        let storage_bytes = later.storage_bytes;
        let sum = self.columns().into_iter().zip(later.columns());
        let mut columns = [0; COLUMNS];
        for (column, (before, after)) in columns.iter_mut().zip(sum) {
            *column = before.saturating_add(after);
        }
        *self = Self { storage_bytes, ..Self::of_columns(&columns) };
    }

    /// The sum of samples in order of time.
    #[cfg(test)]
    pub(crate) fn sum<'a>(samples: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        samples.into_iter().for_each(|sample| sum.add(sample));
        sum
    }

    /// The values of the sample.
    pub(crate) fn columns(&self) -> [u64; COLUMNS] {
        let used = &self.used;
        [
            self.samples,
            self.millis,
            self.connections,
            self.transactions,
            self.active_micros,
            self.cpu_micros,
            self.storage_bytes,
            used.cpu_micros,
            used.egress_bytes,
            used.read_batches,
            used.read_requests,
            used.read_bytes,
            used.write_batches,
            used.write_requests,
            used.write_bytes,
        ]
    }

    /// The sample with these values.
    pub(crate) fn of_columns(columns: &[u64; COLUMNS]) -> Self {
        let used = Quantities {
            cpu_micros: columns[7],
            egress_bytes: columns[8],
            read_batches: columns[9],
            read_requests: columns[10],
            read_bytes: columns[11],
            write_batches: columns[12],
            write_requests: columns[13],
            write_bytes: columns[14],
        };
        Self {
            samples: columns[0],
            millis: columns[1],
            connections: columns[2],
            transactions: columns[3],
            active_micros: columns[4],
            cpu_micros: columns[5],
            storage_bytes: columns[6],
            used,
        }
    }

    /// The values for charts, by name. A sample without samples has none; there are no rates if no time has
    /// passed, and no latency if no transaction ended.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn values(&self) -> Vec<(String, Option<f64>)> {
        let per = |amount: u64, divisor: u64, unit: f64| {
            (divisor > 0).then(|| rounded(amount as f64 / divisor as f64 * unit))
        };
        let rate = |amount, unit| per(amount, self.millis, unit * 1000.0);
        let first = [
            per(self.connections, self.samples, 1.0),
            rate(self.transactions, 1.0),
            per(self.active_micros, self.transactions, 1e-3),
        ];
        let last = [rate(self.cpu_micros, 1e-6), (self.samples > 0).then_some(self.storage_bytes as f64)];
        let units = self.used.request_units().components();
        let units = units.map(|(name, micros)| (format!("request_units.{name}"), rate(micros, 1e-6)));
        let named = |names: &[&str], values: &[Option<f64>]| -> Vec<(String, Option<f64>)> {
            names.iter().map(|name| (*name).to_owned()).zip(values.iter().copied()).collect()
        };
        [named(&FIRST, &first), units.to_vec(), named(&LAST, &last)].concat()
    }
}

/// Rounds to six decimal places, because more digits only make responses longer.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any possible sample of a real sample, and larger ones.
    pub(in crate::metering::timeseries) fn any_cell() -> impl Strategy<Value = Sample> {
        let number = || prop_oneof![Just(0), 0..1000_u64, 0..1_u64 << 40];
        (1..13_u64, prop::array::uniform14(number())).prop_map(|(samples, rest)| {
            let mut columns = [samples; COLUMNS];
            columns[1..].copy_from_slice(&rest);
            Sample::of_columns(&columns)
        })
    }

    fn value(sample: &Sample, name: &str) -> Option<f64> {
        sample.values().into_iter().find(|(known, _)| known == name).expect("a series").1
    }

    #[test]
    fn values_are_rates_means_and_the_last_gauge() {
        let used = Quantities { write_requests: 30, ..Quantities::default() };
        let sample = Sample {
            samples: 4,
            millis: 20_000,
            connections: 6,
            transactions: 50,
            active_micros: 100_000,
            cpu_micros: 5_000_000,
            storage_bytes: 4096,
            used,
        };
        assert_eq!(value(&sample, "connections"), Some(1.5));
        assert_eq!(value(&sample, "statements"), Some(2.5));
        assert_eq!(value(&sample, "latency_ms"), Some(2.0));
        assert_eq!(value(&sample, "cpu"), Some(0.25));
        assert_eq!(value(&sample, "storage_bytes"), Some(4096.0));
        assert_eq!(value(&sample, "request_units.write_requests"), Some(1.5));
        assert_eq!(value(&sample, "request_units.egress"), Some(0.0));
        let idle = Sample { samples: 1, millis: 10_000, ..Sample::default() };
        assert_eq!((value(&idle, "statements"), value(&idle, "latency_ms")), (Some(0.0), None));
        let first = Sample { samples: 1, ..Sample::default() };
        assert_eq!((value(&first, "connections"), value(&first, "cpu")), (Some(0.0), None));
        assert!(Sample::default().values().iter().all(|(_, value)| value.is_none()));
        assert_eq!(sample.values().len(), 13);
    }

    proptest! {
        #[test]
        fn columns_contain_the_whole_sample(sample in any_cell()) {
            prop_assert_eq!(Sample::of_columns(&sample.columns()), sample);
        }

        /// The sum of the samples of a period does not depend on how they are divided.
        #[test]
        fn sums_do_not_depend_on_the_order(
            samples in prop::collection::vec(any_cell(), 0..20),
            portion in 1..7_usize,
        ) {
            let portions: Vec<Sample> = samples.chunks(portion).map(Sample::sum).collect();
            prop_assert_eq!(Sample::sum(&portions), Sample::sum(&samples));
            let last = samples.last().map_or(0, |sample| sample.storage_bytes);
            prop_assert_eq!(Sample::sum(&samples).storage_bytes, last);
        }
    }
}
