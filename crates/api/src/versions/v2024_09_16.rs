//! The boundary between 2023-04-10 and 2024-09-16: plans were renamed, and limits are amounts instead of
//! money.
//!
//! Money is not stored. `spend_limit` in a response is the price of the limits; in a request it is converted
//! to the limits that it buys. 0 is the free allowance in the official service, and no limit here.

use super::{Boundary, fields};
use crate::operations::Op;
use ootheca_model::{Error, Result};
use serde_json::{Map, Value, json};

pub(super) const BOUNDARY: Boundary = Boundary { touches: fields::has_clusters, upgrade, downgrade };

/// Request units for one cent: four fifths of a cent buy them, at 20 cents per million.
const UNITS_A_CENT: i64 = 40_000;
/// Mebibytes for 1000 cents: one fifth of them buys storage, at 50 cents per gibibyte.
const MIB_A_THOUSAND_CENTS: i64 = 4096;

const SPEND_LIMIT: &str = "serverless.spend_limit";
const LIMITS: &str = "serverless.usage_limits";

fn upgrade(op: Op, body: &mut Value) -> Result<()> {
    let block = match op {
        Op::CreateCluster => body.pointer_mut("/spec/serverless"),
        Op::UpdateCluster => body.pointer_mut("/serverless"),
        _ => None,
    };
    let Some(block) = block.and_then(Value::as_object_mut) else { return Ok(()) };
    let money = block.remove("spend_limit").unwrap_or_default();
    let money = if money.is_null() { None } else { Some(cents(&money)?) };
    match (block.get("usage_limits"), money) {
        (Some(Value::Object(limits)), _) => check_limits(limits),
        (None | Some(Value::Null), Some(cents)) => {
            block.insert("usage_limits".to_owned(), bought(cents));
            Ok(())
        }
        _ => Ok(()),
    }
}

fn cents(money: &Value) -> Result<i64> {
    let number = money.as_i64().or_else(|| money.as_str()?.parse().ok());
    let fits = number.filter(|cents| (0..=i64::from(i32::MAX)).contains(cents));
    fits.ok_or_else(|| Error::invalid(SPEND_LIMIT, "must be a number of US cents from 0 to 2147483647"))
}

/// Both limits had to be set together.
fn check_limits(limits: &Map<String, Value>) -> Result<()> {
    let told = |name: &str| limits.get(name).is_some_and(|limit| !limit.is_null());
    let pair = told("request_unit_limit") && told("storage_mib_limit");
    if pair || told("provisioned_virtual_cpus") {
        return Ok(());
    }
    let rule = "must have both request_unit_limit and storage_mib_limit before Cc-Version 2024-09-16";
    Err(Error::invalid(LIMITS, rule))
}

fn bought(cents: i64) -> Value {
    if cents == 0 {
        return json!({});
    }
    json!({
        "request_unit_limit": (cents * UNITS_A_CENT).to_string(),
        "storage_mib_limit": (cents * MIB_A_THOUSAND_CENTS / 1000).to_string(),
    })
}

fn price(units: Option<i64>, mib: Option<i64>) -> i64 {
    let units = units.map(|units| units.saturating_add(UNITS_A_CENT - 1) / UNITS_A_CENT);
    let mib = || {
        mib.map(|mib| {
            mib.saturating_mul(1000).saturating_add(MIB_A_THOUSAND_CENTS - 1) / MIB_A_THOUSAND_CENTS
        })
    };
    units.or_else(mib).unwrap_or(0).min(i64::from(i32::MAX))
}

fn downgrade(op: Op, body: &mut Value) {
    fields::each_cluster(op, body, |cluster| {
        let older = match cluster["plan"].as_str() {
            Some("BASIC" | "STANDARD") => "SERVERLESS",
            Some("ADVANCED") => "DEDICATED",
            _ => return,
        };
        cluster["plan"] = older.into();
        if let Some(block) = cluster.pointer_mut("/config/serverless").and_then(Value::as_object_mut) {
            downgrade_limits(block);
        }
    });
}

fn downgrade_limits(block: &mut Map<String, Value>) {
    block.remove("upgrade_type");
    let limits = block.remove("usage_limits").unwrap_or_default();
    let limit = |name: &str| limits[name].as_str().and_then(|text| text.parse::<i64>().ok());
    let (units, mib) = (limit("request_unit_limit"), limit("storage_mib_limit"));
    block.insert("spend_limit".to_owned(), price(units, mib).into());
    if units.is_some() || mib.is_some() {
        let text = |limit: Option<i64>| limit.unwrap_or(0).to_string();
        let pair = json!({ "request_unit_limit": text(units), "storage_mib_limit": text(mib) });
        block.insert("usage_limits".to_owned(), pair);
    }
}
