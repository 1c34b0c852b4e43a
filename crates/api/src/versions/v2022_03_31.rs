//! The default dialect, as the official page shows it: current names, but empty responses to PATCH and DELETE
//! of a cluster, a list of regions that consists of names only, and STANDARD as the default plan.
//! `pagination` has the older members in addition to the newer ones; see [`super::v2022_09_20`].

use super::Boundary;
use crate::operations::Op;
use ootheca_model::Result;
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
