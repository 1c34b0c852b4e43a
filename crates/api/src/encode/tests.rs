use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[track_caller]
fn assert_same<T: Serialize>(value: &T) {
    let expected = serde_json::to_string(value).expect("JSON");
    let encoded = super::json(value).expect("JSON");
    assert_eq!(String::from_utf8_lossy(&encoded), expected);
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype(u8);

#[derive(Serialize)]
struct Pair(i64, char);

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
enum Variant {
    #[serde(rename = "the \"first\"")]
    Plain,
    One(Option<bool>),
    Two(u8, u8),
    Named {
        name: String,
    },
}

#[derive(Serialize)]
struct Everything {
    unit: Unit,
    newtype: Newtype,
    pair: Pair,
    variants: Vec<Variant>,
    keys: BTreeMap<Variant, ()>,
    empty: (Vec<u8>, BTreeMap<String, u8>, Option<u8>),
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<u8>,
    floats: [f64; 6],
    float: f32,
    large: (u64, i64, u128, i128),
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[test]
fn every_shape_is_encoded_as_by_serde_json() {
    let variants = vec![
        Variant::Plain,
        Variant::One(None),
        Variant::Two(1, 2),
        Variant::Named { name: "\n".to_owned() },
    ];
    assert_same(&Everything {
        unit: Unit,
        newtype: Newtype(7),
        pair: Pair(-1, '\u{1}'),
        variants,
        keys: BTreeMap::from([(Variant::Plain, ())]),
        empty: (Vec::new(), BTreeMap::new(), None),
        absent: None,
        floats: [0.0, -0.0, 1e300, 0.1, f64::NAN, f64::INFINITY],
        float: 0.1,
        large: (u64::MAX, i64::MIN, u128::MAX, i128::MIN),
        rest: BTreeMap::from([("nested".to_owned(), json!({ "a": [null, true, {}], "": [] }))]),
    });
}

#[test]
fn every_byte_at_every_place_is_escaped_as_by_serde_json() {
    for length in 1..20 {
        for place in 0..length {
            for byte in 0..128_u8 {
                let mut text = "a".repeat(length);
                text.replace_range(place..=place, char::from(byte).encode_utf8(&mut [0; 4]));
                assert_same(&text);
            }
        }
    }
}

#[test]
fn keys_must_be_texts() {
    assert!(super::json(&BTreeMap::from([(1, 2)])).is_err());
}

/// Any JSON value.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let members = proptest::collection::btree_map(any::<String>(), inner.clone(), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_encoded_as_by_serde_json(value in values()) {
        assert_same(&value);
    }
}
