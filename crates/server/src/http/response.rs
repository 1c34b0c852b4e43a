//! Responses that all routes share: plain text, and errors in the format of the API.

use crate::identity::rate_limit;
use axum::{
    body::Body,
    http::{StatusCode, header, response::Builder},
    response::Response,
};
use ootheca_model::Error;

pub(super) fn plain(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

pub(super) fn failure(error: &Error) -> Response {
    refusal(error).body(Body::from(ootheca_api::error::body(error))).unwrap_or_default()
}

/// Status and headers of an error response. The body is `ootheca_api::error::body`.
pub(crate) fn refusal(error: &Error) -> Builder {
    let response = Response::builder()
        .status(ootheca_api::error::status(error.kind()))
        .header(header::CONTENT_TYPE, "application/json");
    match rate_limit::retry_after_of(error) {
        Some(seconds) => response.header(header::RETRY_AFTER, seconds),
        None => response,
    }
}
