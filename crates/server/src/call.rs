//! A checked call, as handlers see it.

use crate::app::App;
use ootheca_api::{operations::Operation, versions::Version};
use ootheca_model::Granted;
use std::sync::Arc;

/// What every handler gets beside its decoded input.
pub struct Call {
    /// The server.
    pub app: Arc<App>,
    /// The row of the table.
    pub operation: &'static Operation,
    /// The proof.
    pub granted: Granted,
    /// The dialect.
    pub version: Version,
}
