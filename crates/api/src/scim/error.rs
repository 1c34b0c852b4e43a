//! Errors in the format of SCIM, converted from errors of the API.

use super::ERROR;
use serde_json::{Value, json};

/// The body of an error, converted from the body that the API would return.
pub fn body(status: u16, api: &[u8]) -> Vec<u8> {
    let api: Value = serde_json::from_slice(api).unwrap_or_default();
    let detail = api["message"].as_str().unwrap_or("request failed");
    let mut body = json!({ "schemas": [ERROR], "status": status.to_string(), "detail": detail });
    if let Some(kind) = kind(status, detail) {
        body["scimType"] = kind.into();
    }
    body.to_string().into_bytes()
}

/// The `scimType` of an error (RFC 7644 section 3.12).
fn kind(status: u16, detail: &str) -> Option<&'static str> {
    if status == 409 {
        return detail.ends_with("already exists").then_some("uniqueness");
    }
    let rest = detail.strip_prefix("invalid argument: ").filter(|_| status == 400)?;
    let (field, rule) = rest.split_once(": ")?;
    Some(match field {
        "filter" => "invalidFilter",
        "body" | "schemas" => "invalidSyntax",
        "path" if rule.starts_with(super::patch::NO_TARGET) => "noTarget",
        "path" if rule.starts_with(super::patch::READ_ONLY) => "mutability",
        "path" => "invalidPath",
        _ => "invalidValue",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ootheca_model::{Error, ErrorKind};

    fn shown(error: &Error) -> Value {
        let status = crate::error::status(error.kind());
        serde_json::from_slice(&body(status, &crate::error::body(error))).unwrap()
    }

    #[test]
    fn errors_contain_status_detail_and_type() {
        let error = shown(&Error::invalid("filter", "ends too early"));
        assert_eq!(error["schemas"], json!([ERROR]));
        assert_eq!(error["status"], "400");
        assert_eq!(error["detail"], "invalid argument: filter: ends too early");
        assert_eq!(error["scimType"], "invalidFilter");
        assert_eq!(shown(&Error::exists("user"))["scimType"], "uniqueness");
        assert_eq!(shown(&Error::invalid("active", "must be true or false"))["scimType"], "invalidValue");
        let denied = shown(&Error::new(ErrorKind::Denied, "no permission"));
        assert_eq!((denied["status"].as_str(), denied.get("scimType")), (Some("403"), None));
    }
}
