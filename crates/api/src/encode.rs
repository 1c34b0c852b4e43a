//! Encodes responses as JSON. The bytes are those of `serde_json`, which compares each byte of each text and of
//! each name of a member with a table. This checks eight bytes at once, and does not check names.

use serde::{
    Serialize,
    ser::{self, Error as _},
};
use serde_json::{Error, Result};

/// A cluster fits, so that its response does not have to be moved while it grows.
const USUAL_SIZE: usize = 2048;

/// The JSON of a response.
pub fn json<T: Serialize>(response: &T) -> Result<Vec<u8>> {
    let mut json = Vec::with_capacity(USUAL_SIZE);
    response.serialize(Encoder(&mut json))?;
    Ok(json)
}

struct Encoder<'a>(&'a mut Vec<u8>);

/// A text or a name of a member.
fn text(json: &mut Vec<u8>, text: &str) -> Result<()> {
    if needs_escapes(text.as_bytes()) {
        return serde_json::to_writer(json, text);
    }
    json.push(b'"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'"');
    Ok(())
}

/// Whether a text contains a control character, a quotation mark, or a backslash.
fn needs_escapes(text: &[u8]) -> bool {
    let one = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let Some(last) = text.last_chunk::<8>() else { return text.iter().any(one) };
    let (eights, _) = text.as_chunks::<8>();
    // The last eight bytes can overlap with those before.
    eights.iter().fold(any_of_eight(*last), |any, bytes| any | any_of_eight(*bytes))
}

/// The same for eight bytes.
fn any_of_eight(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES * 0x80;
    // Borrows into the high bit of a byte that is less than `limit`, and then perhaps of higher bytes.
    let less = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes;
    let bytes = u64::from_ne_bytes(bytes);
    let equal = |byte: u8| less(bytes ^ (ONES * u64::from(byte)), 1);
    (less(bytes, 0x20) | equal(b'"') | equal(b'\\')) & HIGH_BITS != 0
}

macro_rules! numbers {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, number: $type) -> Result<()> {
            serde_json::to_writer(self.0, &number)
        }
    )*};
}

impl<'a> ser::Serializer for Encoder<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Items<'a>;
    type SerializeStruct = Items<'a>;
    type SerializeStructVariant = Items<'a>;

    numbers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64) serialize_bool(bool)
    }

    fn serialize_char(self, value: char) -> Result<()> {
        text(self.0, value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<()> {
        text(self.0, value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<()> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        text(self.0, variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        let mut items = Items::new(self.0, "{", "}");
        items.member(variant, value)?;
        items.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>> {
        Ok(Items::new(self.0, "[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>> {
        Ok(Items::new(self.0, "[", "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>> {
        Ok(Items::new(self.0, "[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>> {
        Items::in_variant(self.0, variant, "[", "]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Items<'a>> {
        Ok(Items::new(self.0, "{", "}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Items<'a>> {
        Ok(Items::new(self.0, "{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Items<'a>> {
        Items::in_variant(self.0, variant, "{", "}}")
    }
}

/// The items of an array, or the members of an object.
struct Items<'a> {
    json: &'a mut Vec<u8>,
    /// Whether the next item is the first one.
    first: bool,
    /// What is written after the last one.
    end: &'static str,
}

impl<'a> Items<'a> {
    fn new(json: &'a mut Vec<u8>, start: &str, end: &'static str) -> Self {
        json.extend_from_slice(start.as_bytes());
        Self { json, first: true, end }
    }

    fn in_variant(json: &'a mut Vec<u8>, variant: &str, start: &str, end: &'static str) -> Result<Self> {
        json.push(b'{');
        text(json, variant)?;
        json.push(b':');
        Ok(Self::new(json, start, end))
    }

    fn separate(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.json.push(b',');
        }
    }

    fn item<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        self.separate();
        value.serialize(Encoder(self.json))
    }

    /// The name is one of the program, not of a request.
    fn member<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<()> {
        debug_assert!(!needs_escapes(name.as_bytes()), "{name:?}");
        self.separate();
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
        value.serialize(Encoder(self.json))
    }

    fn close(self) -> Result<()> {
        self.json.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

macro_rules! arrays {
    ($($trait:ident::$method:ident)*) => {$(
        impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
                self.item(value)
            }

            fn end(self) -> Result<()> {
                self.close()
            }
        }
    )*};
}

macro_rules! objects {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Items<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<()> {
                self.member(name, value)
            }

            fn end(self) -> Result<()> {
                self.close()
            }
        }
    )*};
}

arrays! {
    SerializeSeq::serialize_element SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field SerializeTupleVariant::serialize_field
}
objects! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Items<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<()> {
        self.separate();
        let start = self.json.len();
        key.serialize(Encoder(self.json))?;
        // Unlike here, `serde_json` converts numbers. No response contains them.
        if self.json.get(start) == Some(&b'"') { Ok(()) } else { Err(Error::custom("key must be a string")) }
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<()> {
        self.json.push(b':');
        value.serialize(Encoder(self.json))
    }

    fn end(self) -> Result<()> {
        self.close()
    }
}

#[cfg(test)]
mod tests;
