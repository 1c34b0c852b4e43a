//! `backup_label`: the file that tells PostgreSQL where the recovery of a base begins.

use super::{control_file::ControlFile, wal::is_segment};

/// The path in a data directory.
pub(super) const LABEL: &str = "backup_label";

/// The name of the segment in which the recovery begins.
pub(super) fn start_segment(label: &str) -> Option<&str> {
    let (_, file) = label.lines().next()?.strip_prefix("START WAL LOCATION: ")?.split_once(" (file ")?;
    file.strip_suffix(')').filter(|name| is_segment(name))
}

/// A label for the data of a server that was stopped cleanly, to which WAL was added. Without it, PostgreSQL would
/// not replay any. `segment` contains the last checkpoint.
///
/// There is no backup method, because the method of PostgreSQL's own labels requires a record of the end of the
/// backup in the WAL.
pub(super) fn for_stopped_server(control: &ControlFile, segment: &str) -> String {
    let ControlFile { checkpoint, redo, .. } = control;
    format!("START WAL LOCATION: {redo} (file {segment})\nCHECKPOINT LOCATION: {checkpoint}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::backup::wal::Lsn;

    const SEGMENT: &str = "000000010000000000000042";

    #[test]
    fn labels_name_the_first_segment() {
        let label = "START WAL LOCATION: 0/4200028 (file 000000010000000000000042)\n\
                     CHECKPOINT LOCATION: 0/4200060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\n\
                     START TIME: 2026-01-01 00:00:00 UTC\nLABEL: x (file y)\nSTART TIMELINE: 1\n";
        assert_eq!(start_segment(label), Some(SEGMENT));
        for damaged in ["", "\n", "START WAL LOCATION: 0/4200028 (file 42)\n", "LABEL: x\n"] {
            assert_eq!(start_segment(damaged), None, "{damaged}");
        }
    }

    #[test]
    fn labels_of_stopped_servers_contain_the_checkpoint() {
        let position = Lsn(0x420_0028);
        let control = ControlFile { shut_down: true, checkpoint: position, redo: position };
        let label = for_stopped_server(&control, SEGMENT);
        assert_eq!(start_segment(&label), Some(SEGMENT));
        assert!(label.ends_with("\nCHECKPOINT LOCATION: 0/4200028\n"), "{label}");
    }
}
