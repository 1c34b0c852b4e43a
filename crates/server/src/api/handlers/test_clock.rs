//! The test clock. Returns 404 unless the server was started with `--test-clock`.

use crate::{
    api::{
        call::Call,
        convert::required,
        decision::{Decision, Reply},
    },
    clock::TestClock,
    metering::collector,
};
use ootheca_api::wire::*;
use ootheca_model::{Error, Result};
use ootheca_store::Batch;
use std::sync::Arc;

/// The maximum number of seconds in one request: ten years.
const FURTHEST: i64 = 10 * 366 * 24 * 3600;

/// `GET /clock`
pub async fn get_clock(call: Arc<Call>) -> Result<Clock> {
    test_clock(&call)?;
    Ok(Clock { now: call.context.now() })
}

/// `POST /clock`: advances the clock, and responds once the work that is due was started.
pub async fn advance_clock(call: Arc<Call>, body: AdvanceClockRequest) -> Result<Decision<Clock>> {
    let clock = test_clock(&call)?.clone();
    let seconds = required("advance_seconds", body.advance_seconds)?;
    if !(0..=FURTHEST).contains(&seconds) {
        let rule = format!("must be from 0 to {FURTHEST}: the clock can only be advanced");
        return Err(Error::invalid("advance_seconds", rule));
    }
    let batch = Batch::by(&call.granted);
    let advance = async move {
        // Zero only starts the work that is due.
        if seconds > 0 {
            clock.advance(&*call.context.store, seconds).await?;
        }
        call.context.clock_moved.send_modify(|moves| *moves += 1);
        collector::tick(&call.metering).await?;
        Ok(Clock { now: call.context.now() })
    };
    Ok(Decision::new(batch, Reply::SideEffect(Box::pin(advance))))
}

fn test_clock(call: &Call) -> Result<&Arc<TestClock>> {
    let clock = call.context.test_clock.as_ref();
    clock.ok_or_else(|| Error::not_found(format!("path {}", call.operation.path)))
}
