//! The default dialect, as the official page shows it: current names, but empty responses to PATCH and DELETE
//! of a cluster, a list of regions that consists of names only, and STANDARD with 2 vCPUs as the default plan.
//! `pagination` has the older members in addition to the newer ones; see [`super::v2022_09_20`].

use super::Boundary;
use crate::operations::Op;
use ootheca_model::{Result, cluster::create::DEFAULT_CPUS};
use serde_json::Value;

pub(super) const BOUNDARY: Boundary = Boundary {
    touches: |op| matches!(op, Op::UpdateCluster | Op::DeleteCluster | Op::ListAvailableRegions),
    upgrade,
    downgrade,
};

fn upgrade(op: Op, body: &mut Value) -> Result<()> {
    if op == Op::CreateCluster
        && let Some(spec) = body.get_mut("spec").filter(|spec| spec["serverless"].is_object())
    {
        // The official clients expect that `serverless: {}` creates a BASIC cluster, so this is what handlers
        // receive.
        let limits = &spec["serverless"]["usage_limits"];
        let basic = !limits["request_unit_limit"].is_null() || !limits["storage_mib_limit"].is_null();
        if spec["plan"].is_null() && !basic {
            spec["plan"] = "STANDARD".into();
            let limits = &mut spec["serverless"]["usage_limits"];
            // Other types are refused later.
            if limits.is_null() || limits.is_object() && limits["provisioned_virtual_cpus"].is_null() {
                limits["provisioned_virtual_cpus"] = DEFAULT_CPUS.to_string().into();
            }
        }
    }
    Ok(())
}

fn downgrade(op: Op, body: &mut Value) {
    if op == Op::ListAvailableRegions {
        super::fields::each(body, "regions.*", &mut |region| *region = region["name"].take());
    } else {
        *body = Value::Null;
    }
}
