//! Values with a special encoding.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt};

/// A 64-bit integer. It is encoded as a JSON string, and decoded from a string or a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int64(pub i64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Int64Visitor)
    }
}

struct Int64Visitor;

impl de::Visitor<'_> for Int64Visitor {
    type Value = Int64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit integer, as a string or a number")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Int64, E> {
        Ok(Int64(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Int64, E> {
        i64::try_from(number)
            .map(Int64)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Int64, E> {
        text.parse().map(Int64).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Int64 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Int64".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "int64" })
    }
}

/// The body of an operation that takes none. Any content is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct NoBody {}

/// The schema of a [`Timestamp`](ootheca_model::Timestamp).
pub(crate) struct DateTime;

impl JsonSchema for DateTime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DateTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn int64_is_encoded_as_a_string_and_decoded_from_both(number: i64) {
            let text = serde_json::to_string(&Int64(number)).unwrap();
            prop_assert_eq!(&text, &format!("\"{number}\""));
            prop_assert_eq!(serde_json::from_str::<Int64>(&text).unwrap(), Int64(number));
            prop_assert_eq!(serde_json::from_str::<Int64>(&number.to_string()).unwrap(), Int64(number));
        }
    }

    #[test]
    fn int64_refuses_other_values() {
        for text in ["\"\"", "\"abc\"", "1.5", "true", "9223372036854775808", "\"9223372036854775808\"", "[]"]
        {
            assert!(serde_json::from_str::<Int64>(text).is_err(), "{text}");
        }
    }
}
