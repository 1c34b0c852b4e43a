//! What of a request may stand in the audit log: everything but its secrets.

use crate::keys::Secret;
use serde_json::{Map, Value, json};

/// Longest payload in bytes; a longer one keeps only its parameters.
const LONGEST: usize = 8 * 1024;

/// What stands in place of a secret.
const STRUCK: &str = "***";

/// JSON text of the operation, its path parameters and its body, secrets struck out.
pub fn payload<'a>(operation: &str, params: impl Iterator<Item = (&'a str, &'a str)>, body: &[u8]) -> String {
    let params: Map<String, Value> = params.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut request: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    strike(&mut request);
    let whole = json!({ "operation": operation, "parameters": params, "request": request }).to_string();
    if whole.len() <= LONGEST {
        return whole;
    }
    json!({ "operation": operation, "parameters": params, "request": "left out: too large" }).to_string()
}

/// Strikes out every value whose name speaks of a secret, at any depth, and every text that is one.
fn strike(value: &mut Value) {
    match value {
        Value::Object(members) => {
            // An operation of a SCIM patch names what it sets beside the value.
            let path = members.get("path").and_then(Value::as_str).is_some_and(is_secret);
            for (name, member) in members {
                let secret = is_secret(name) || (path && name == "value");
                if secret { *member = STRUCK.into() } else { strike(member) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strike),
        Value::String(text) if looks_secret(text) => *value = STRUCK.into(),
        _ => {}
    }
}

/// A private key in PEM, or one of our API keys, wherever it stands.
fn looks_secret(text: &str) -> bool {
    let words = || text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    text.contains("PRIVATE KEY-----") || words().any(|word| Secret::parse(word).is_some())
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "password",
        "secret",
        "token",
        "api_key",
        "apikey",
        "private",
        "shared_key",
        "sharedkey",
        "credential",
    ];
    words.iter().any(|word| name.contains(word)) && name != "token_identity" && name != "tokenidentity"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out_at_any_depth() {
        let body =
            br#"{"name":"a","password":"hunter2hunter2","x":[{"sharedKey":"k","deep":{"newPassword":"p"}}]}"#;
        let text = payload("CreateSQLUser", [("cluster_id", "1")].into_iter(), body);
        assert!(!text.contains("hunter2") && !text.contains("\"k\"") && !text.contains("\"p\""), "{text}");
        assert!(text.contains("\"name\":\"a\"") && text.contains("\"cluster_id\":\"1\""), "{text}");
    }

    #[test]
    fn secrets_are_known_by_their_form_and_by_a_path_beside_them() {
        let key = Secret::random().reveal();
        let body = serde_json::json!({
            "description": format!("made for {key}, keep it"),
            "pem": "-----BEGIN EC PRIVATE KEY-----\nabc",
            "certificate": "-----BEGIN CERTIFICATE-----\nfine",
            "Operations": [
                { "op": "replace", "path": "password", "value": "hunter2" },
                { "op": "replace", "path": "userName", "value": "moose" },
            ],
        });
        let text = payload("PatchUser", std::iter::empty(), body.to_string().as_bytes());
        assert!(!text.contains(&key) && !text.contains("abc") && !text.contains("hunter2"), "{text}");
        assert!(text.contains("fine") && text.contains("moose"), "{text}");
    }

    #[test]
    fn a_large_body_is_left_out() {
        let body = format!("{{\"name\":\"{}\"}}", "x".repeat(LONGEST));
        assert!(payload("X", std::iter::empty(), body.as_bytes()).len() < 200);
    }
}
