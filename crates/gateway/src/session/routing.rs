//! Which cluster a client means: from its database name, its options, or the name it gave in TLS.
//!
//! Pure. A routing id is a cluster's name and number, `name-number`, split at the last dash.
//!
//! - Database: `<routing id>.<database>`. Names of databases may hold dots themselves, so a prefix
//!   that is no routing id is part of the name when another method names the cluster.
//! - Options: `--cluster=<routing id>`, `-c cluster=<routing id>` or `-ccluster=<routing id>`.
//! - Server name: the first label of a name of several, only where the other two are absent.
//!
//! All that name one must agree; a server name counts for that only right below a zone of the gateway,
//! since other hosts may be called `name-number` by chance. What was consumed does not go on to the server.

use crate::error::Refusal;
use ootheca_pg_protocol::startup::StartupMessage;

/// The routing id; `startup` loses what named it. `zones` are the gateway's own.
pub(crate) fn route(
    startup: &mut StartupMessage,
    server_name: Option<&str>,
    zones: &[String],
) -> Result<String, Refusal> {
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
    let own = label.as_deref().filter(|_| server_name.is_some_and(|name| is_below(name, zones)));
    agree([(flag.as_deref(), "options"), (named.as_deref(), "database"), (own, "server name")])?;
    named.or(flag).or(label).ok_or_else(Refusal::missing)
}

/// All that is said names the same cluster.
fn agree(said: [(Option<&str>, &str); 3]) -> Result<(), Refusal> {
    let mut said = said.into_iter().filter_map(|(id, place)| Some((id?, place)));
    let Some((first, place)) = said.next() else { return Ok(()) };
    match said.find(|(id, _)| *id != first) {
        None => Ok(()),
        Some((other, elsewhere)) => Err(Refusal::routing(format!(
            "multiple different cluster identifiers provided: '{first}' in the {place}, '{other}' in the {elsewhere}"
        ))),
    }
}

/// Whether a name stands right below a zone.
fn is_below(name: &str, zones: &[String]) -> bool {
    let zone = name.split_once('.').map(|(_, zone)| zone.trim_end_matches('.'));
    zone.is_some_and(|zone| zones.iter().any(|known| known.trim_matches('.').eq_ignore_ascii_case(zone)))
}

fn is_routing_id(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.rsplit_once('-').is_some_and(|(name, number)| {
        let named = !name.is_empty() && name.bytes().all(inner);
        named && (1..=10).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    })
}

fn check(id: &str) -> Result<(), Refusal> {
    if is_routing_id(id) {
        Ok(())
    } else {
        Err(Refusal::routing(format!("invalid cluster identifier '{id}'")))
    }
}

fn from_server_name(name: &str) -> Option<String> {
    let label = name.split_once('.')?.0.to_ascii_lowercase();
    is_routing_id(&label).then_some(label)
}

fn from_database(database: &[u8], elsewhere: bool) -> Result<Option<(&str, &[u8])>, Refusal> {
    let Some(dot) = database.iter().position(|byte| *byte == b'.') else {
        return Ok(None);
    };
    let (id, rest) = (&database[..dot], &database[dot + 1..]);
    match std::str::from_utf8(id) {
        _ if id.is_empty() || rest.is_empty() => Err(Refusal::routing("invalid database param")),
        Ok(id) if is_routing_id(id) => Ok(Some((id, rest))),
        _ if elsewhere => Ok(None),
        Ok(id) => Err(Refusal::routing(format!("invalid cluster identifier '{id}'"))),
        Err(_) => Err(Refusal::routing("invalid database param")),
    }
}

/// The cluster flag, and the options without it.
fn from_options(options: &[u8]) -> Result<(Option<String>, Vec<u8>), Refusal> {
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
            return Err(Refusal::routing("multiple cluster flags provided"));
        }
        match String::from_utf8(value) {
            Ok(value) if !value.is_empty() => found = Some(value),
            _ => return Err(Refusal::routing("invalid cluster flag")),
        }
    }
    Ok((found, kept.join(&b' ')))
}

/// The value of `cluster=value`; empty if there is none.
fn flag(argument: &[u8]) -> Option<&[u8]> {
    match argument.strip_prefix(b"cluster")? {
        [] => Some(&[]),
        [b'=', value @ ..] => Some(value),
        _ => None,
    }
}

/// Words as PostgreSQL splits options: at blanks that no backslash precedes. Backslashes stay.
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
