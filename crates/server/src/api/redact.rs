//! Redacts requests for the audit log, which must not contain secrets.

use crate::{
    api::statement_rules,
    identity::{api_key, jwt::keys},
};
use ootheca_model::Error;
use serde_json::{Map, Value, json};

/// The maximum length of a payload in bytes.
const LONGEST: usize = 8 * 1024;

/// The same for a refused call, and for the message of an error.
const LONGEST_REFUSED: usize = 1024;

/// The replacement of what is too large.
const OMITTED: &str = "omitted: too large";

/// The replacement of a secret.
const STRUCK: &str = "***";

/// The operation, its path parameters, and its body as JSON text, with secrets redacted.
pub fn payload<'a>(operation: &str, params: impl Iterator<Item = (&'a str, &'a str)>, body: &[u8]) -> String {
    let params: Map<String, Value> =
        params.map(|(name, value)| (name.to_owned(), text(value).into())).collect();
    let mut request: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    // Every text of such a request can be SQL, also if its member is misspelled.
    let has_sql = ["RunStatement", "CreateCluster"].contains(&operation);
    strike(&mut request, if has_sql { statement_rules::kept } else { str::to_owned });
    reduce(json!({ "operation": operation, "parameters": params, "request": request }), LONGEST)
}

/// The payload of a refused call: callers without any role must not be able to fill the audit log.
pub fn refused(payload: String) -> String {
    match serde_json::from_str(&payload) {
        Ok(value) if payload.len() > LONGEST_REFUSED => reduce(value, LONGEST_REFUSED),
        _ => payload,
    }
}

/// Leaves out the request, and then the parameters, as long as the text is longer than `longest`.
fn reduce(mut payload: Value, longest: usize) -> String {
    let mut text = payload.to_string();
    for member in ["request", "parameters"] {
        if text.len() <= longest {
            break;
        }
        payload[member] = OMITTED.into();
        text = payload.to_string();
    }
    text
}

/// The message of an error for the audit log, redacted because it can quote the request.
pub fn error(error: &Error) -> String {
    let mut text = strike_text(ootheca_api::error::message(error), str::to_owned);
    if text.len() > LONGEST_REFUSED {
        text.truncate(text.floor_char_boundary(LONGEST_REFUSED));
        text.push('…');
    }
    text
}

/// Redacts API keys in a text, except their IDs. A text that contains a private key in PEM is redacted as a
/// whole.
pub fn text(text: &str) -> String {
    if text.contains("PRIVATE KEY-----") {
        return STRUCK.to_owned();
    }
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(secret) = api_key::find_secret(rest) {
        kept.push_str(&rest[..secret.start]);
        kept.push_str(STRUCK);
        rest = &rest[secret.end..];
    }
    kept + rest
}

/// Redacts every value whose name indicates a secret, at any depth, and every text that is a secret. `kept`
/// redacts the other texts further.
fn strike(value: &mut Value, kept: fn(&str) -> String) {
    match value {
        Value::Object(members) => {
            // In an operation of a SCIM patch, the path next to the value contains its name.
            let path = members.get("path").and_then(Value::as_str).is_some_and(is_secret);
            let key = members.contains_key("kty");
            let struck = std::mem::take(members).into_iter().map(|(name, mut member)| {
                let private = key && keys::PRIVATE_MEMBERS.contains(&name.as_str());
                if private || is_secret(&name) || (path && name == "value") {
                    member = STRUCK.into();
                } else if name.eq_ignore_ascii_case("jwks") {
                    strike_keys(&mut member);
                } else {
                    strike(&mut member, kept);
                }
                (strike_text(&name, kept), member)
            });
            *members = struck.collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| strike(item, kept)),
        // A JSON Web Key in a member where it does not belong.
        Value::String(found) if found.contains("kty\"") || found.contains("kty\\") => strike_keys(value),
        Value::String(found) => *found = strike_text(found, kept),
        _ => {}
    }
}

/// Redacts a text, which can be JSON itself. A text that seems to contain a member with a secret, but is not
/// JSON, is redacted as a whole.
fn strike_text(found: &str, kept: fn(&str) -> String) -> String {
    match serde_json::from_str::<Value>(found) {
        Ok(mut inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => {
            // Serialized again, because only one of several members with the same name was parsed.
            strike(&mut inner, kept);
            inner.to_string()
        }
        Err(_) if has_secret_member(found) => STRUCK.to_owned(),
        _ => text(&kept(found)),
    }
}

/// Whether a text contains a quoted name that indicates a secret, followed by a colon.
fn has_secret_member(text: &str) -> bool {
    text.split(':').any(|before| {
        let before = before.trim_end().trim_end_matches('\\');
        let name = before.strip_suffix('"').map(|quoted| quoted.trim_end_matches('\\'));
        name.is_some_and(|name| is_secret(name.rsplit(['"', ',', '{']).next().unwrap_or(name)))
    })
}

/// Keeps public keys only. A text that cannot be parsed is redacted as a whole.
fn strike_keys(value: &mut Value) {
    let read = match *value {
        Value::String(ref text) if text.trim().is_empty() => return,
        Value::String(ref text) => serde_json::from_str(text).ok(),
        ref other => Some(Value::clone(other)),
    };
    let public = read.filter(|keys: &Value| !keys.is_string() && !keys::holds_private_key(keys));
    *value = match public {
        // Serialized again, because only one of several members with the same name was parsed.
        Some(mut keys) => {
            strike(&mut keys, str::to_owned);
            if value.is_string() { keys.to_string().into() } else { keys }
        }
        None => STRUCK.into(),
    };
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
    (name == "jwt" || words.iter().any(|word| name.contains(word)))
        && name != "token_identity"
        && name != "tokenidentity"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::api_key::Secret;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_redacted_at_any_depth() {
        let body =
            br#"{"name":"a","password":"hunter2hunter2","x":[{"sharedKey":"k","deep":{"newPassword":"p"}}]}"#;
        let text = payload("CreateSQLUser", [("cluster_id", "1")].into_iter(), body);
        assert!(!text.contains("hunter2") && !text.contains("\"k\"") && !text.contains("\"p\""), "{text}");
        assert!(text.contains("\"name\":\"a\"") && text.contains("\"cluster_id\":\"1\""), "{text}");
    }

    #[test]
    fn secrets_are_recognized_by_form_and_by_scim_path() {
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
    fn secrets_in_json_texts_are_redacted() {
        let inner = json!({ "name": "moose", "password": "hunter2" });
        let twice = json!([{ "name": "moose", "deep": [inner.to_string()] }]).to_string();
        let bodies = [
            json!(inner.to_string()),
            json!(json!(inner.to_string()).to_string()),
            json!({ "description": inner.to_string() }),
            json!({ "description": format!(" {twice} ") }),
            json!([twice]),
        ];
        for body in bodies {
            let kept = payload("CreateSQLUser", std::iter::empty(), body.to_string().as_bytes());
            assert!(!kept.contains("hunter2") && kept.contains("moose"), "{body} left {kept}");
        }
        for text in [
            r#"{"password":"hunter2""#,
            r#"a {"password" : "hunter2"} b"#,
            r#"{\"password\":\"hunter2\"}"#,
            r#"{"a":1,"new_password":"hunter2",}"#,
            r#"{"password":"one","password":"hunter2"}"#,
        ] {
            let body = json!({ "description": text });
            let kept = payload("CreateSQLUser", std::iter::empty(), body.to_string().as_bytes());
            assert!(!kept.contains("hunter2"), "{body} left {kept}");
            let kept = error(&Error::invalid("spec", format!("invalid type: string {text:?}")));
            assert!(!kept.contains("hunter2"), "{text} left {kept}");
            let kept =
                payload("CreateSQLUser", std::iter::empty(), json!({ text: 1 }).to_string().as_bytes());
            assert!(!kept.contains("hunter2"), "{text} left {kept}");
        }
        for harmless in ["7", "true", "the password: see \"vault\"", "{\"a\": 1", "a \"b\": \"c\""] {
            assert_eq!(strike_text(harmless, str::to_owned), harmless);
        }
    }

    #[test]
    fn passwords_in_statements_are_redacted_wherever_they_are() {
        let sql = "DO $$ BEGIN EXECUTE 'ALTER USER moose PASSWORD ''hunter2'''; END $$";
        for body in [
            json!({ "statement": sql }),
            json!({ "statement": "ALTER USER moose PASSWORD 'hunter2'" }),
            json!({ "Statment": sql }),
            json!({ sql: true }),
            json!({ "statement": [sql] }),
            json!(sql),
            json!(json!({ "statement": sql }).to_string()),
        ] {
            let kept = payload("RunStatement", std::iter::empty(), body.to_string().as_bytes());
            assert!(!kept.contains("hunter2"), "{body} left {kept}");
        }
    }

    #[test]
    fn masking_sql_is_truncated_and_its_passwords_are_redacted() {
        let sql = format!("ALTER USER moose PASSWORD 'hunter2'; {}", "SELECT 1; ".repeat(LONGEST));
        let body = json!({ "name": "branch", "restoreFrom": { "maskingSql": sql } });
        let kept = payload("CreateCluster", std::iter::empty(), body.to_string().as_bytes());
        assert!(kept.len() <= LONGEST && !kept.contains("hunter2"), "{kept}");
        assert!(kept.contains("\"name\":\"branch\"") && kept.contains("bytes in all"), "{kept}");
    }

    #[test]
    fn api_keys_are_redacted_everywhere() {
        let key = Secret::random().reveal();
        let id = &key[..28];
        let body = json!({ &key: 1, "name": format!("x{key}y"), "deep": [{ format!("a {key}"): "b" }] });
        let params = [("id", key.as_str()), ("role_name", &key[..60])];
        let kept = payload("DeleteApiKey", params.into_iter(), body.to_string().as_bytes());
        assert!(!kept.contains(&key[29..]) && !kept.contains(&key[29..60]), "{kept}");
        assert_eq!(kept.matches(&format!("{id}_***")).count(), 5, "the id tells which key it was: {kept}");
        let lower = key.to_lowercase();
        let refused = Error::invalid("id", format!("{key:?} and {lower} are none"));
        let kept = error(&refused);
        assert!(!kept.contains(&key[29..]) && !kept.contains(&lower[29..]), "{kept}");
        assert!(kept.starts_with("invalid argument: id: ") && kept.ends_with("*** are none"), "{kept}");
        let kept = text(&format!("{id}_{key}_{key}"));
        assert!(!kept.contains(&key[29..]), "{kept}");
        for harmless in ["CCDB1_12345abcdefGHIJKLMnopq", "CCDB1_", "CCDB1_short_x", "über CCDB1_ü_"] {
            assert_eq!(text(harmless), harmless);
        }
    }

    proptest! {
        #[test]
        fn secrets_are_redacted_in_json_texts(
            levels in prop::collection::vec(0_u8..4, 0..5),
            name in "[a-z_]{0,5}(password|Secret|TOKEN|apiKey)[a-z]{0,5}",
            secret in "hunter[a-z0-9\"\\\\é{]{0,12}x",
            cut in any::<prop::sample::Index>(),
        ) {
            prop_assume!(!["token_identity", "tokenidentity"].contains(&name.to_lowercase().as_str()));
            let mut body = json!({ name: format!("hunter{secret}") });
            for level in levels {
                body = match level {
                    0 => json!({ "a": 1, "b": body }),
                    1 => json!([true, body]),
                    2 => json!({ "description": body.to_string() }),
                    _ => json!(body.to_string()),
                };
            }
            let body = body.to_string();
            let kept = payload("CreateSQLUser", std::iter::empty(), body.as_bytes());
            prop_assert!(!kept.contains("hunterhunter"), "{} left {}", body, kept);
            // Truncated JSON in a text.
            let end = (0..=cut.index(body.len())).rev().find(|end| body.is_char_boundary(*end)).unwrap_or(0);
            let outer = json!({ "description": &body[..end] }).to_string();
            let kept = payload("CreateSQLUser", std::iter::empty(), outer.as_bytes());
            prop_assert!(!kept.contains("hunterhunter"), "{} left {}", outer, kept);
        }

        #[test]
        fn api_keys_are_redacted_in_any_text(before in "[A-Z_0-9é]{0,70}", after in "[A-Z_0-9é]{0,70}") {
            let key = Secret::random().reveal();
            let kept = text(&format!("{before}{key}{after}{key}"));
            prop_assert!(!kept.contains(&key[29..]), "{}", kept);
        }
    }

    #[test]
    fn only_public_issuer_keys_are_kept() {
        let public = json!({ "kty": "RSA", "n": "modulus", "e": "AQAB", "kid": "one" });
        let mut private = public.clone();
        for member in keys::PRIVATE_MEMBERS {
            private[*member] = "hidden".into();
        }
        let twice = format!(r#"{{"keys":[{private}],"keys":[]}}"#);
        let hiding = [
            json!({ "keys": [public, private] }).to_string(),
            private.to_string(),
            json!([private]).to_string(),
            format!("{{\"keys\":[{private},]}}"),
            json!(private.to_string()).to_string(),
            twice,
        ];
        let texts = hiding.iter().flat_map(|text| [json!({ "jwks": text }), json!({ "JWKS": [text] })]);
        let objects = [json!({ "jwks": private }), json!({ "x": private }), json!({ "x": hiding[0] })];
        for body in texts.chain(objects) {
            let kept = payload("AddJWTIssuer", std::iter::empty(), body.to_string().as_bytes());
            assert!(!kept.contains("hidden"), "{body} left {kept}");
        }
        let body = json!({ "jwks": json!({ "keys": [public] }).to_string() });
        let kept = payload("AddJWTIssuer", std::iter::empty(), body.to_string().as_bytes());
        assert!(kept.contains("modulus"), "{kept}");
    }

    #[test]
    fn a_large_body_is_omitted() {
        let body = format!("{{\"name\":\"{}\"}}", "x".repeat(LONGEST));
        assert!(payload("X", std::iter::empty(), body.as_bytes()).len() < 200);
    }
}
