//! The format of responses of SCIM paths: content type and errors. The pipeline does not depend on it.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, header},
    response::Response,
};
use ootheca_api::scim;

/// Converts a response to the format of SCIM. The content type is `application/json` if the client accepts only
/// that.
pub async fn dress(accept: Option<&str>, response: Response) -> Response {
    let (mut head, mut body) = response.into_parts();
    let plain = accept.is_some_and(|accept| {
        accept.contains("application/json") && !accept.contains(scim::CONTENT_TYPE) && !accept.contains("*/*")
    });
    if !plain {
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(scim::CONTENT_TYPE));
    }
    if head.status.is_client_error() || head.status.is_server_error() {
        let said = to_bytes(body, usize::MAX).await.unwrap_or_default();
        head.headers.remove(header::CONTENT_LENGTH);
        body = Body::from(scim::error::body(head.status.as_u16(), &said));
    }
    Response::from_parts(head, body)
}
