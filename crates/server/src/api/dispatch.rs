//! Calls the handler of a row: decodes, calls, and encodes. Generated from the table, so that a row without a
//! handler, or a handler with the wrong types, does not compile.

use crate::api::{call::Call, decision::Decision, handlers};
use futures_util::stream::BoxStream;
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

/// A stream of server-sent events, as text.
pub type Events = BoxStream<'static, String>;

/// The encoded result of a handler.
pub enum Outcome {
    /// The response to a read.
    Read(Vec<u8>),
    /// A change that is not committed yet.
    Change(Box<Decision<Vec<u8>>>),
    /// The response to a request for a stream.
    Stream(Events),
}

/// A cluster fits, so that its response does not have to be moved while it grows.
const USUAL_SIZE: usize = 2048;

fn encode<T: Serialize>(reply: T) -> Result<Vec<u8>> {
    let mut body = Vec::with_capacity(USUAL_SIZE);
    let encoded = serde_json::to_writer(&mut body, &reply);
    encoded.map_err(|error| Error::internal("could not encode a response").because(error))?;
    Ok(body)
}

fn read<T: Serialize>(reply: T) -> Result<Outcome> {
    encode(reply).map(Outcome::Read)
}

fn change<T: Serialize + Send + 'static>(change: Decision<T>) -> Result<Outcome> {
    change.map(encode).map(|change| Outcome::Change(Box::new(change)))
}

/// `T` is the type of an event's data, for the OpenAPI document.
#[allow(clippy::extra_unused_type_parameters)]
fn stream<T>(events: Events) -> Result<Outcome> {
    Ok(Outcome::Stream(events))
}

/// Calls a handler with the parts of the request that its row declares.
macro_rules! invoke {
    ($handler:ident, $call:ident, NoPath $path:ident, NoQuery $query:ident, NoBody $body:ident) => {
        handlers::$handler($call)
    };
    ($handler:ident, $call:ident, $p:ident $path:ident, NoQuery $query:ident, NoBody $body:ident) => {
        handlers::$handler($call, $path)
    };
    ($handler:ident, $call:ident, NoPath $path:ident, $q:ident $query:ident, NoBody $body:ident) => {
        handlers::$handler($call, $query)
    };
    ($handler:ident, $call:ident, NoPath $path:ident, NoQuery $query:ident, $b:ident $body:ident) => {
        handlers::$handler($call, $body)
    };
    ($handler:ident, $call:ident, $p:ident $path:ident, $q:ident $query:ident, NoBody $body:ident) => {
        handlers::$handler($call, $path, $query)
    };
    ($handler:ident, $call:ident, $p:ident $path:ident, NoQuery $query:ident, $b:ident $body:ident) => {
        handlers::$handler($call, $path, $body)
    };
    ($handler:ident, $call:ident, NoPath $path:ident, $q:ident $query:ident, $b:ident $body:ident) => {
        handlers::$handler($call, $query, $body)
    };
    ($handler:ident, $call:ident, $p:ident $path:ident, $q:ident $query:ident, $b:ident $body:ident) => {
        handlers::$handler($call, $path, $query, $body)
    };
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
        #[allow(unused_variables)]
        pub async fn run(op: Op, call: Arc<Call>, input: Input<'_>) -> Result<Outcome> {
            match op {
                $(Op::$op => {
                    let path: $params = decode::path(input.params)?;
                    let query: $query = decode::query(input.query)?;
                    let body: $body = decode::body(call.version, op, input.body)?;
                    // Boxed, so that the future of one request is not as large as the largest handler.
                    let reply = invoke!($handler, call, $params path, $query query, $body body);
                    $kind::<$reply>(Box::pin(reply).await?)
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
