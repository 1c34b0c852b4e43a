//! The boundary between 2022-09-20 and 2023-04-10: enum values lost their prefixes, `usage_limits` was added,
//! and `spend_limit` became optional.

use super::{Boundary, fields};
use crate::operations::Op;
use ootheca_model::{Error, Result};
use serde_json::Value;

pub(super) const BOUNDARY: Boundary = Boundary {
    touches: |op| fields::has_clusters(op) || ANSWERS.iter().any(|words| words.ops.contains(&op)),
    upgrade,
    downgrade,
};

/// Enum values at one place of a body, and the prefix that they had.
struct Words {
    ops: &'static [Op],
    path: &'static str,
    prefix: &'static str,
    /// The values that had the prefix; all values if empty.
    only: &'static [&'static str],
}

const fn words(ops: &'static [Op], path: &'static str, prefix: &'static str) -> Words {
    Words { ops, path, prefix, only: &[] }
}

const UNSPECIFIED: &[&str] = &["UNSPECIFIED"];
const MIN_LEVEL: &str = "LOG_LEVEL_";
const ROLE: &str = "ORG_ROLE_";
const ENDPOINT: &str = "ENDPOINT_";
const NETWORK_VISIBILITY: &str = "NETWORK_VISIBILITY_";

/// The places in each cluster of a response.
const IN_CLUSTERS: [Words; 3] = [
    Words { ops: &[], path: "operation_status", prefix: "CLUSTER_STATUS_", only: UNSPECIFIED },
    words(&[], "network_visibility", NETWORK_VISIBILITY),
    Words {
        ops: &[],
        path: "egress_traffic_policy",
        prefix: "POLICY_",
        only: &["UNSPECIFIED", "ERROR", "UPDATING"],
    },
];

const ROLES_OF_ONE: &[Op] = &[
    Op::GetAllRolesForUser,
    Op::SetRolesForUser,
    Op::AddUserToRole,
    Op::RemoveUserFromRole,
    Op::GetServiceAccount,
    Op::CreateServiceAccount,
    Op::UpdateServiceAccount,
    Op::DeleteServiceAccount,
];

const LOG_EXPORTS: &[Op] = &[Op::EnableLogExport, Op::GetLogExportInfo, Op::DeleteLogExport];

const ANSWERS: [Words; 10] = [
    words(ROLES_OF_ONE, "roles.*.name", ROLE),
    words(ROLES_OF_ONE, "group_roles.*.role.name", ROLE),
    words(&[Op::ListServiceAccounts], "service_accounts.*.roles.*.name", ROLE),
    words(&[Op::ListServiceAccounts], "service_accounts.*.group_roles.*.role.name", ROLE),
    words(&[Op::ListRoleGrants], "grants.*.roles.*.name", ROLE),
    words(&[Op::ListRoleGrants], "user_group_grants.*.group_roles.*.role.name", ROLE),
    Words { ops: LOG_EXPORTS, path: "spec.groups.*.min_level", prefix: MIN_LEVEL, only: UNSPECIFIED },
    words(&[Op::ListAwsEndpointConnections], "connections.*.status", ENDPOINT),
    words(&[Op::SetAwsEndpointConnectionState], "status", ENDPOINT),
    words(
        &[Op::ListPrivateEndpointServices, Op::CreatePrivateEndpointServices],
        "services.*.status",
        "ENDPOINT_SERVICE_STATUS_",
    ),
];

const REQUESTS: [Words; 4] = [
    words(&[Op::CreateCluster], "spec.dedicated.network_visibility", NETWORK_VISIBILITY),
    words(&[Op::SetRolesForUser, Op::CreateServiceAccount], "roles.*.name", ROLE),
    Words { ops: &[Op::EnableLogExport], path: "groups.*.min_level", prefix: MIN_LEVEL, only: UNSPECIFIED },
    words(&[Op::SetAwsEndpointConnectionState], "status", ENDPOINT),
];

/// Path and query parameters.
const PARAMETERS: [(&str, &str); 3] = [("role_name", ROLE), ("roles", ROLE), ("os", "OS_")];

/// The newer spelling of a parameter.
pub(super) fn parameter<'a>(name: &str, text: &'a str) -> &'a str {
    let known = PARAMETERS.iter().find(|(known, _)| *known == name);
    known.and_then(|(_, prefix)| text.strip_prefix(prefix)).unwrap_or(text)
}

/// Replaces older enum values in the body of a request; they are accepted in every version.
pub(super) fn upgrade_words(op: Op, body: &mut Value) {
    for words in REQUESTS.iter().filter(|words| words.ops.contains(&op)) {
        fields::each(body, words.path, &mut |word| {
            let bare = word.as_str().and_then(|text| text.strip_prefix(words.prefix));
            if let Some(bare) = bare.filter(|bare| words.had_prefix(bare)) {
                *word = bare.into();
            }
        });
    }
}

/// A request must contain `spend_limit`, unless it uses a newer member instead.
fn upgrade(op: Op, body: &mut Value) -> Result<()> {
    let (spec, newer) = match op {
        Op::CreateCluster => (&body["spec"], &["usage_limits", "upgrade_type"][..]),
        Op::UpdateCluster => (&*body, &["usage_limits", "upgrade_type", "regions", "primary_region"][..]),
        _ => return Ok(()),
    };
    let block = &spec["serverless"];
    let told = |name: &str| !block[name].is_null();
    if block.is_object()
        && spec["plan"].is_null()
        && !told("spend_limit")
        && !newer.iter().any(|name| told(name))
    {
        return Err(Error::invalid("serverless.spend_limit", "is required in Cc-Version 2022-09-20"));
    }
    Ok(())
}

fn downgrade(op: Op, body: &mut Value) {
    fields::each_cluster(op, body, |cluster| {
        IN_CLUSTERS.iter().for_each(|words| words.restore(cluster));
        if let Some(block) = cluster.pointer_mut("/config/serverless").and_then(Value::as_object_mut) {
            block.remove("usage_limits");
        }
    });
    ANSWERS.iter().filter(|words| words.ops.contains(&op)).for_each(|words| words.restore(body));
}

impl Words {
    fn had_prefix(&self, word: &str) -> bool {
        self.only.is_empty() || self.only.contains(&word)
    }

    fn restore(&self, body: &mut Value) {
        fields::each(body, self.path, &mut |word| {
            if let Some(bare) = word.as_str().filter(|bare| self.had_prefix(bare)) {
                *word = format!("{}{bare}", self.prefix).into();
            }
        });
    }
}
