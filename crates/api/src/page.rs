//! Keyset pagination: the part of a list that a request asks for, and the opaque tokens of the neighboring
//! pages.
//!
//! A token contains the key of the item next to the page, and everything that must not change between the
//! pages of a list. It is signed, so that clients cannot forge one.

use crate::wire::PageQuery;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use ootheca_model::{Error, Result, Timestamp, cluster::SortOrder};
use sha2::{Digest, Sha256};

/// The default limit of a page, and the largest one.
pub const LIMIT: usize = 500;

/// Length of a signature in bytes.
const SIGNATURE: usize = 32;

/// A position in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The value of that item in the order of the list.
    pub value: String,
    /// The ID of that item, which decides between equal values.
    pub id: String,
    /// Whether the page is before that item instead of after it.
    pub backward: bool,
    /// The time as of which the list is shown.
    pub as_of: Timestamp,
    /// The direction of the list.
    pub order: SortOrder,
    /// [`fingerprint`] of the list and its filters.
    pub filters: String,
}

impl PageToken {
    /// The token as clients see it.
    pub fn encode(&self, key: &[u8; 32]) -> String {
        let order = self.order.name();
        let parts = (&self.value, &self.id, self.backward, self.as_of.0, order, &self.filters);
        let mut bytes = serde_json::json!(parts).to_string().into_bytes();
        let signature = mac(key, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        BASE64.encode(bytes)
    }

    /// Reads a token. Refuses tokens that were not signed with `key`.
    pub fn decode(text: &str, key: &[u8; 32]) -> Result<Self> {
        let wrong = || Error::invalid("pagination.page", "is not a page token of this server");
        let bytes = BASE64.decode(text).map_err(|_| wrong())?;
        let split = bytes.len().checked_sub(SIGNATURE).ok_or_else(wrong)?;
        let (bytes, signature) = bytes.split_at(split);
        mac(key, bytes).verify_slice(signature).map_err(|_| wrong())?;
        let parts: (String, String, bool, i64, SortOrder, String) =
            serde_json::from_slice(bytes).map_err(|_| wrong())?;
        let (value, id, backward, as_of, order, filters) = parts;
        Ok(Self { value, id, backward, as_of: Timestamp(as_of), order, filters })
    }
}

fn mac(key: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(bytes);
    mac
}

/// A text that must be equal for a token to be valid: the list and each of its filters, in order.
pub fn fingerprint<'a>(list: &'a str, filters: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(list).chain(filters) {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    BASE64.encode(&hash.finalize()[..16])
}

/// The part of a list that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The position to start at; the start of the list if it is absent.
    pub token: Option<PageToken>,
    /// The maximum number of items, from 1 to [`LIMIT`].
    pub limit: usize,
    /// The direction of the list.
    pub order: SortOrder,
    /// The time as of which the list is shown.
    pub as_of: Timestamp,
}

impl PageRequest {
    /// Reads the pagination parameters. `filters` is the [`fingerprint`] of the list; `default` is its order
    /// if the request has none.
    pub fn read(
        query: &PageQuery,
        key: &[u8; 32],
        filters: &str,
        default: SortOrder,
        now: Timestamp,
    ) -> Result<Self> {
        let limit = match query.limit {
            Some(limit) if limit < 0 => {
                return Err(Error::invalid("pagination.limit", "must not be negative"));
            }
            None | Some(0) => LIMIT,
            Some(limit) => usize::try_from(limit).map_or(LIMIT, |limit| limit.min(LIMIT)),
        };
        let token = match query.page.as_deref() {
            None | Some("") => None,
            Some(text) => Some(PageToken::decode(text, key)?),
        };
        let Some(token) = token else {
            let order = query.sort_order.unwrap_or(default);
            return Ok(Self { token, limit, order, as_of: query.as_of_time.unwrap_or(now) });
        };
        let same = token.filters == filters
            && query.sort_order.is_none_or(|order| order == token.order)
            && query.as_of_time.is_none_or(|time| time == token.as_of);
        if !same {
            return Err(Error::invalid(
                "pagination.page",
                "does not match the other parameters of the request",
            ));
        }
        Ok(Self { limit, order: token.order, as_of: token.as_of, token: Some(token) })
    }
}

#[cfg(test)]
mod tests;
