//! Calls the handler of a row: decodes, calls, and encodes. Generated from the table, so that a row without a
//! handler, or a handler with the wrong types, does not compile.

use crate::api::{call::Call, decision::Decision, handlers};
use ootheca_api::{
    decode,
    operations::{Op, operation},
    router::Params,
    wire::*,
};
use ootheca_model::{Error, ErrorKind, Result};
use serde::Serialize;
use std::sync::Arc;

/// The undecoded parts of a request.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Path parameters.
    pub params: &'a Params,
    /// Query, without its question mark.
    pub query: &'a str,
    /// Body.
    pub body: &'a [u8],
}

/// The encoded result of a handler.
pub enum Outcome {
    /// The response to a read.
    Read(Vec<u8>),
    /// A change that is not committed yet.
    Change(Box<Decision<Vec<u8>>>),
}

fn encode<T: Serialize>(reply: T) -> Result<Vec<u8>> {
    serde_json::to_vec(&reply).map_err(|error| Error::internal("could not encode a response").because(error))
}

fn read<T: Serialize>(reply: T) -> Result<Outcome> {
    encode(reply).map(Outcome::Read)
}

fn change<T: Serialize + Send + 'static>(change: Decision<T>) -> Result<Outcome> {
    change.map(encode).map(|change| Outcome::Change(Box::new(change)))
}

macro_rules! dispatch {
    (
        built { $({
            $op:ident, $handler:ident, $tag:literal, $method:ident $path:literal,
            ($params:ident, $query:ident, $body:ident) -> $reply:ident,
            [$($access:tt)*], $kind:ident $($action:ident)?, $summary:literal
        })* }
        later { $($later:tt)* }
    ) => {
        /// Runs the handler of `op`. Returns `Unimplemented` if there is none.
        pub async fn run(op: Op, call: Arc<Call>, input: Input<'_>) -> Result<Outcome> {
            match op {
                $(Op::$op => {
                    let path: $params = decode::path(input.params)?;
                    let query: $query = decode::query(input.query)?;
                    let body: $body = decode::body(call.version, op, input.body)?;
                    // Boxed, so that the future of one request is not as large as the largest handler.
                    $kind::<$reply>(Box::pin(handlers::$handler(call, path, query, body)).await?)
                })*
                _ => {
                    let name = operation(op).name;
                    Err(Error::new(ErrorKind::Unimplemented, format!("operation {name} is not implemented")))
                }
            }
        }
    };
}
ootheca_api::for_each_operation!(dispatch);
