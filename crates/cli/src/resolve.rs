//! A name or an id → the thing itself, for clusters, folders and service accounts.

use crate::{
    client::{Client, segment},
    failure::{Exit, Failure, Result},
};
use serde_json::Value;

/// Most names that a message suggests.
const MOST: usize = 3;

/// A cluster by its name or id.
pub(crate) fn cluster(client: &Client, wanted: &str) -> Result<Value> {
    find(client, "cluster", "/api/v1/clusters", "clusters", wanted)
}

/// A folder by its name or id.
pub(crate) fn folder(client: &Client, wanted: &str) -> Result<Value> {
    find(client, "folder", "/api/v1/folders", "folders", wanted)
}

/// A service account by its name or id.
pub(crate) fn service_account(client: &Client, wanted: &str) -> Result<Value> {
    find(client, "service account", "/api/v1/service-accounts", "service_accounts", wanted)
}

/// Whether that is an id and no name.
pub(crate) fn is_id(text: &str) -> bool {
    let dashes = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(dashes)
}

/// The id of a thing.
pub(crate) fn id(thing: &Value) -> &str {
    // Folders call theirs differently.
    let id = thing.get("id").or_else(|| thing.get("resource_id"));
    id.and_then(Value::as_str).unwrap_or_default()
}

/// The name of a thing.
pub(crate) fn name(thing: &Value) -> &str {
    thing.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn find(client: &Client, noun: &str, path: &str, field: &str, wanted: &str) -> Result<Value> {
    if is_id(wanted) {
        return client.get(&format!("{path}/{}", segment(wanted)));
    }
    choose(noun, wanted, client.pages(path, field)?)
}

fn choose(noun: &str, wanted: &str, things: Vec<Value>) -> Result<Value> {
    let (mut named, others): (Vec<_>, Vec<_>) = things.into_iter().partition(|thing| name(thing) == wanted);
    match (named.len(), named.pop()) {
        (1, Some(thing)) => Ok(thing),
        (0, _) | (_, None) => {
            let near = near(wanted, others.iter().map(name));
            let failure = Failure::new(Exit::NotFound, format!("there is no {noun} {wanted:?}"));
            Err(match near.is_empty() {
                true => {
                    failure.hint(format!("`ootheca {} list` shows those you may see", noun.replace(' ', "-")))
                }
                false => failure.hint(format!("did you mean {}?", near.join(", "))),
            })
        }
        (count, Some(last)) => {
            named.push(last);
            let ids: Vec<&str> = named.iter().map(id).collect();
            let message = format!("there are {count} {noun}s named {wanted:?}");
            Err(Failure::usage(message).hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

/// Names that are nearly the wanted one, nearest first.
fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut all: Vec<(usize, &str)> = names
        .map(|name| {
            let lower = name.to_lowercase();
            let part = lower.contains(&wanted) || (!lower.is_empty() && wanted.contains(&lower));
            (if part { 1 } else { distance(&wanted, &lower) }, name)
        })
        .filter(|(distance, _)| *distance <= wanted.chars().count() / 3 + 1)
        .collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// How many letters differ, by Levenshtein.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().enumerate() {
        let mut before = row[0];
        row[0] = line + 1;
        for (place, other) in right.iter().enumerate() {
            let changed = before + usize::from(letter != *other);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn things() -> Vec<Value> {
        let thing = |id: &str, name: &str| json!({ "id": id, "name": name });
        vec![thing("1", "blue-dog"), thing("2", "red-fox"), thing("3", "twin"), thing("4", "twin")]
    }

    #[test]
    fn one_of_that_name_is_it() {
        assert_eq!(id(&choose("cluster", "red-fox", things()).unwrap()), "2");
    }

    #[test]
    fn absent_names_the_nearest() {
        let failure = choose("cluster", "bluedog", things()).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.hint.as_deref(), Some("did you mean blue-dog?"));
        let failure = choose("service account", "something-else", things()).unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("`ootheca service-account list` shows those you may see"));
    }

    #[test]
    fn several_are_told_by_their_ids() {
        let failure = choose("cluster", "twin", things()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.hint.as_deref(), Some("name one by its id: 3, 4"));
    }

    #[test]
    fn ids_are_told_from_names() {
        assert!(is_id("6f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f11"));
        assert!(!is_id("blue-dog"));
        assert!(!is_id("6f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f1g"));
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
