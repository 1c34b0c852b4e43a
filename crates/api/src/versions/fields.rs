//! Finds nested members of a body.

use crate::operations::Op;
use serde_json::Value;

/// The paths of clusters in responses.
const CLUSTERS: [(Op, &str); 7] = [
    (Op::CreateCluster, ""),
    (Op::GetCluster, ""),
    (Op::UpdateCluster, ""),
    (Op::DeleteCluster, ""),
    (Op::ListClusters, "clusters.*"),
    (Op::ListInvoices, "invoices.*.invoice_items.*.cluster"),
    (Op::GetInvoice, "invoice_items.*.cluster"),
];

/// Calls `change` with each value at `path`: member names separated by dots, with `*` for each item of an
/// array. Does nothing if the path does not exist.
pub(super) fn each(body: &mut Value, path: &str, change: &mut impl FnMut(&mut Value)) {
    if path.is_empty() {
        return change(body);
    }
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match body {
        Value::Array(items) if first == "*" => items.iter_mut().for_each(|item| each(item, rest, change)),
        Value::Object(members) => {
            if let Some(member) = members.get_mut(first) {
                each(member, rest, change);
            }
        }
        _ => {}
    }
}

/// Whether responses of this operation contain clusters.
pub(super) fn has_clusters(op: Op) -> bool {
    CLUSTERS.iter().any(|(known, _)| *known == op)
}

/// Calls `change` with each cluster in a response.
pub(super) fn each_cluster(op: Op, body: &mut Value, mut change: impl FnMut(&mut Value)) {
    for (_, path) in CLUSTERS.iter().filter(|(known, _)| *known == op) {
        each(body, path, &mut change);
    }
}
