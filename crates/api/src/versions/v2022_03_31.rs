//! The default dialect: what the product's page shows. Today's names, but empty answers to a cluster's
//! PATCH and DELETE, names alone in the list of regions, and STANDARD as the plan of who names none. Older
//! members of `pagination` stand beside the newer ones; see [`super::v2022_09_20`].

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
        // The official clients expect BASIC of `serverless: {}`, so that is what handlers take.
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
