//! Routing: which cluster a client requests, by its options, its database, or its TLS server name.
//!
//! A routing ID is the name and number of a cluster, `name-number`, split at the last hyphen.
//!
//! - Options: `--cluster=<routing-id>`, `-c cluster=<routing-id>`, or `-ccluster=<routing-id>`.
//! - Database: `<routing-id>.<database>`. Database names may contain dots, so if the client identifies the
//!   cluster otherwise, a prefix that is not a routing ID is part of the name.
//! - Server name: the first of several labels, used only if the other two are absent.
//!
//! All of them must identify the same cluster. A server name is compared only directly below a domain of
//! the gateway, because other host names may look like a routing ID by chance. The parts that identify the
//! cluster are removed from the startup message.

use crate::error::ClientError;
use ootheca_pg_protocol::startup::StartupMessage;

/// The routing ID. `domains` are those of the gateway.
pub(crate) fn route(
    startup: &mut StartupMessage,
    server_name: Option<&str>,
    domains: &[String],
) -> Result<String, ClientError> {
    let (flag, rest) = from_options(startup.get("options").unwrap_or_default())?;
    let flag = flag.map(|id| check(&id).map(|()| id)).transpose()?;
    let label = server_name.and_then(from_server_name);
    let elsewhere = flag.is_some() || label.is_some();
    let prefix = from_database(startup.get("database").unwrap_or_default(), elsewhere)?;
    let prefix = prefix.map(|(id, database)| (id.to_owned(), database.to_vec()));
    if flag.is_some() {
        startup.replace("options", rest);
    }
    let named = prefix.map(|(id, database)| {
        startup.replace("database", database);
        id
    });
    let own = label.as_deref().filter(|_| server_name.is_some_and(|name| is_below(name, domains)));
    require_agreement([(flag.as_deref(), "options"), (named.as_deref(), "database"), (own, "server name")])?;
    named.or(flag).or(label).ok_or_else(ClientError::no_cluster)
}

/// Fails if the routing IDs differ.
fn require_agreement(found: [(Option<&str>, &str); 3]) -> Result<(), ClientError> {
    let mut found = found.into_iter().filter_map(|(id, place)| Some((id?, place)));
    let Some((first, place)) = found.next() else { return Ok(()) };
    match found.find(|(id, _)| *id != first) {
        None => Ok(()),
        Some((other, elsewhere)) => Err(ClientError::routing(format!(
            "multiple different cluster identifiers provided: '{first}' in the {place}, '{other}' in the {elsewhere}"
        ))),
    }
}

/// Whether a name is directly below a domain.
fn is_below(name: &str, domains: &[String]) -> bool {
    let parent = name.split_once('.').map(|(_, parent)| parent.trim_end_matches('.'));
    let is_parent = |domain: &str, parent: &str| domain.trim_matches('.').eq_ignore_ascii_case(parent);
    parent.is_some_and(|parent| domains.iter().any(|domain| is_parent(domain, parent)))
}

pub(crate) fn is_routing_id(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.rsplit_once('-').is_some_and(|(name, number)| {
        let named = !name.is_empty() && name.bytes().all(inner);
        named && (1..=10).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn check(id: &str) -> Result<(), ClientError> {
    if is_routing_id(id) {
        Ok(())
    } else {
        Err(ClientError::routing(format!("invalid cluster identifier '{id}'")))
    }
}

fn from_server_name(name: &str) -> Option<String> {
    let label = name.split_once('.')?.0.to_ascii_lowercase();
    is_routing_id(&label).then_some(label)
}

fn from_database(database: &[u8], elsewhere: bool) -> Result<Option<(&str, &[u8])>, ClientError> {
    let Some(dot) = database.iter().position(|byte| *byte == b'.') else {
        return Ok(None);
    };
    let (id, rest) = (&database[..dot], &database[dot + 1..]);
    match std::str::from_utf8(id) {
        _ if id.is_empty() || rest.is_empty() => Err(ClientError::routing("invalid database param")),
        Ok(id) if is_routing_id(id) => Ok(Some((id, rest))),
        _ if elsewhere => Ok(None),
        Ok(id) => Err(ClientError::routing(format!("invalid cluster identifier '{id}'"))),
        Err(_) => Err(ClientError::routing("invalid database param")),
    }
}

/// The cluster flag, and the other options.
fn from_options(options: &[u8]) -> Result<(Option<String>, Vec<u8>), ClientError> {
    let (mut found, mut kept) = (None, Vec::new());
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let value = if word.as_slice() == b"-c" {
            match words.next() {
                Some(next) if flag(&next).is_some() => flag(&next).map(<[u8]>::to_vec),
                next => {
                    kept.push(word);
                    kept.extend(next);
                    continue;
                }
            }
        } else {
            let argument = word.strip_prefix(b"--").or_else(|| word.strip_prefix(b"-c"));
            argument.and_then(flag).map(<[u8]>::to_vec)
        };
        let Some(value) = value else {
            kept.push(word);
            continue;
        };
        if found.is_some() {
            return Err(ClientError::routing("multiple cluster flags provided"));
        }
        match String::from_utf8(value) {
            Ok(value) if !value.is_empty() => found = Some(value),
            _ => return Err(ClientError::routing("invalid cluster flag")),
        }
    }
    Ok((found, kept.join(&b' ')))
}

/// The value of `cluster=value`; empty without a value.
fn flag(argument: &[u8]) -> Option<&[u8]> {
    match argument.strip_prefix(b"cluster")? {
        [] => Some(&[]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    }
}

/// Splits options as PostgreSQL does, at whitespace without a preceding backslash. Keeps backslashes.
fn words(options: &[u8]) -> Vec<Vec<u8>> {
    let (mut words, mut word, mut escaped) = (Vec::new(), Vec::new(), false);
    for byte in options {
        if !escaped && (byte.is_ascii_whitespace() || *byte == 0x0b) {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(*byte);
        }
        escaped = !escaped && *byte == b'\\';
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
