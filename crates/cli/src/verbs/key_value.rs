//! Pairs on the command line, such as `--label team=data`.

use serde_json::{Map, Value};

/// Parses `KEY=VALUE`. The value can be empty and can contain `=`.
pub(crate) fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must have the form KEY=VALUE".to_owned()),
    }
}

/// The pairs as a JSON object.
pub(crate) fn object(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pair(key: &str, value: &str) -> Result<(String, String), String> {
        Ok((key.to_owned(), value.to_owned()))
    }

    #[test]
    fn a_pair_has_a_key_and_an_equals_sign() {
        assert_eq!(parse("team=data"), pair("team", "data"));
        assert_eq!(parse("team="), pair("team", ""));
        assert_eq!(parse("query=a=b"), pair("query", "a=b"));
        for invalid in ["", "team", "=data", "="] {
            assert!(parse(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn the_last_pair_with_a_key_wins() {
        let pairs: Vec<_> = ["a=1", "b=2", "a=3"].iter().map(|text| parse(text).unwrap()).collect();
        assert_eq!(Value::from(object(&pairs)), json!({ "a": "3", "b": "2" }));
    }
}
