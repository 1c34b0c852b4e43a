//! Finds objects by name or ID: clusters, folders, service accounts, and API keys.

use crate::{
    client::{Client, segment},
    failure::{Exit, Failure, Result},
};
use serde_json::Value;

/// Maximum number of names that an error message suggests.
const MAX_SUGGESTIONS: usize = 3;

/// Finds a cluster by name or ID.
pub(crate) fn cluster(client: &Client, wanted: &str) -> Result<Value> {
    find(client, "cluster", "/api/v1/clusters", "clusters", wanted)
}

/// The URL path of a cluster, or of something below it.
pub(crate) fn path(cluster: &Value, below: &str) -> String {
    format!("/api/v1/clusters/{}{below}", segment(id(cluster)))
}

/// The URL path of something below a cluster that is given by name or ID.
pub(crate) fn cluster_path(client: &Client, wanted: &str, below: &str) -> Result<String> {
    Ok(path(&cluster(client, wanted)?, below))
}

/// Finds a folder by name or ID.
pub(crate) fn folder(client: &Client, wanted: &str) -> Result<Value> {
    find(client, "folder", "/api/v1/folders", "folders", wanted)
}

/// Finds a service account by name or ID.
pub(crate) fn service_account(client: &Client, wanted: &str) -> Result<Value> {
    find(client, "service account", "/api/v1/service-accounts", "service_accounts", wanted)
}

/// Finds an API key by ID or name. Its ID is not a UUID.
pub(crate) fn api_key(client: &Client, wanted: &str) -> Result<Value> {
    let keys = client.pages("/api/v1/api-keys", "api_keys")?;
    match keys.iter().find(|key| id(key) == wanted) {
        Some(key) => Ok(key.clone()),
        None => choose("API key", wanted, keys),
    }
}

/// The ID of a folder by name or ID; `root` is the top of the hierarchy.
pub(crate) fn folder_id(client: &Client, wanted: &str) -> Result<String> {
    match wanted {
        "root" => Ok(wanted.to_owned()),
        wanted => Ok(id(&folder(client, wanted)?).to_owned()),
    }
}

/// Whether the text is an ID rather than a name.
pub(crate) fn is_id(text: &str) -> bool {
    let dashes = |(position, byte): (usize, u8)| match position {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(dashes)
}

/// The ID of an object.
pub(crate) fn id(thing: &Value) -> &str {
    // The ID of a folder has another name.
    let id = thing.get("id").or_else(|| thing.get("resource_id"));
    id.and_then(Value::as_str).unwrap_or_default()
}

/// The name of an object.
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
            let failure = Failure::new(Exit::NotFound, format!("{noun} {wanted:?} not found"));
            let command = noun.replace(' ', "-").to_lowercase();
            Err(match near.is_empty() {
                true => failure.hint(format!("list the available ones with `ootheca {command} list`")),
                false => failure.hint(format!("did you mean {}?", near.join(", "))),
            })
        }
        (count, Some(last)) => {
            named.push(last);
            let ids: Vec<&str> = named.iter().map(id).collect();
            let message = format!("found {count} {noun}s named {wanted:?}");
            Err(Failure::usage(message).hint(format!("use one of these IDs: {}", ids.join(", "))))
        }
    }
}

/// Names similar to the wanted one, most similar first.
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
    all.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name).collect()
}

/// The Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, letter) in left.chars().enumerate() {
        let mut before = row[0];
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = before + usize::from(letter != *other);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
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
    fn a_unique_name_is_found() {
        assert_eq!(id(&choose("cluster", "red-fox", things()).unwrap()), "2");
    }

    #[test]
    fn an_unknown_name_suggests_similar_names() {
        let failure = choose("cluster", "bluedog", things()).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.hint.as_deref(), Some("did you mean blue-dog?"));
        let failure = choose("service account", "something-else", things()).unwrap_err();
        assert_eq!(
            failure.hint.as_deref(),
            Some("list the available ones with `ootheca service-account list`")
        );
    }

    #[test]
    fn an_ambiguous_name_lists_the_ids() {
        let failure = choose("cluster", "twin", things()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.hint.as_deref(), Some("use one of these IDs: 3, 4"));
    }

    #[test]
    fn an_id_is_distinguished_from_a_name() {
        assert!(is_id("6f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f11"));
        assert!(!is_id("blue-dog"));
        assert!(!is_id("6f4c7b0e-9c53-4b12-8a53-0f6a1f1f3f1g"));
    }

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
