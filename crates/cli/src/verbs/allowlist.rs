//! `ootheca allowlist`: the networks that are allowed to connect to a cluster.

use super::Context;
use crate::{
    client::segment,
    failure::{Failure, Result},
    output::Column,
    resolve, terminal,
};
use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};
use std::{
    fmt,
    net::{IpAddr, ToSocketAddrs, UdpSocket},
    str::FromStr,
};

/// Verbs of `allowlist`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the allowed networks
    #[command(visible_alias = "ls")]
    List {
        /// Name or ID of the cluster
        cluster: String,
    },
    /// Allow a network to connect
    Create {
        /// Name or ID of the cluster
        cluster: String,
        /// Network such as 203.0.113.0/24, a single address, `current` for the address of this machine, or `public` for all networks
        network: Network,
        #[command(flatten)]
        access: Access,
    },
    /// Change the access or the name of a network
    Update {
        /// Name or ID of the cluster
        cluster: String,
        /// Network, as shown by `list`
        network: Network,
        #[command(flatten)]
        access: Access,
    },
    /// Remove a network, and end its open sessions
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the cluster
        cluster: String,
        /// Network, as shown by `list`
        network: Network,
    },
}

/// Access of a network.
#[derive(Args)]
pub(crate) struct Access {
    /// Allow SQL connections [default: true for a new entry]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    sql: Option<bool>,
    /// Allow access to the DB Console [default: false for a new entry]
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    ui: Option<bool>,
    /// Name of the entry
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
}

const COLUMNS: [Column; 4] = [
    Column::by("NETWORK", |entry| {
        format!("{}/{}", entry["cidr_ip"].as_str().unwrap_or_default(), entry["cidr_mask"])
    }),
    Column::text("NAME", "/name"),
    Column::text("SQL", "/sql"),
    Column::text("UI", "/ui"),
];

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    match verb {
        Verb::List { cluster } => {
            context.out.list(&COLUMNS, &context.client.list(&entries(context, &cluster)?, "allowlist")?)
        }
        Verb::Create { cluster, network, access } => {
            let (address, mask) = network.resolve(context)?;
            let mut body = json!({
                "cidr_ip": address.to_string(),
                "cidr_mask": mask,
                "sql": access.sql.unwrap_or(true),
                "ui": access.ui.unwrap_or_default(),
            });
            if let Some(name) = access.name {
                body["name"] = name.into();
            }
            let response = context.client.post(&entries(context, &cluster)?, &body)?;
            context.out.done(
                &format!("Created allowlist entry {address}/{mask} of {cluster}"),
                &response,
                &COLUMNS,
            )
        }
        Verb::Update { cluster, network, access } => {
            let (address, mask) = network.resolve(context)?;
            let entries = entries(context, &cluster)?;
            let body = changed(&find(context, &entries, &address, mask)?, access);
            let response = context.client.patch(&entry(&entries, &address, mask), &body)?;
            context.out.done(&format!("Updated allowlist entry {address}/{mask}"), &response, &COLUMNS)
        }
        Verb::Delete { cluster, network } => {
            let (address, mask) = network.resolve(context)?;
            let path = entry(&entries(context, &cluster)?, &address, mask);
            let question =
                format!("Delete allowlist entry {address}/{mask} of {cluster} and end its open sessions?");
            terminal::confirm(context.yes, &question)?;
            let response = context.client.delete(&path)?;
            context.out.done(&format!("Deleted allowlist entry {address}/{mask}"), &response, &COLUMNS)
        }
    }
}

fn entries(context: &Context, cluster: &str) -> Result<String> {
    resolve::cluster_path(&context.client, cluster, "/networking/allowlist")
}

fn entry(entries: &str, address: &IpAddr, mask: u8) -> String {
    format!("{entries}/{}/{mask}", segment(&address.to_string()))
}

/// The current entry. An update must contain both kinds of access.
fn find(context: &Context, entries: &str, address: &IpAddr, mask: u8) -> Result<Value> {
    let all = context.client.pages(entries, "allowlist")?;
    let is_it = |entry: &Value| entry["cidr_ip"] == address.to_string() && entry["cidr_mask"] == mask;
    all.into_iter().find(is_it).ok_or_else(|| {
        let message = format!("allowlist entry {address}/{mask} not found");
        Failure::new(crate::failure::Exit::NotFound, message)
            .hint("list the entries with `ootheca allowlist list`")
    })
}

fn changed(before: &Value, access: Access) -> Value {
    let or = |flag: Option<bool>, before: &Value| flag.map_or_else(|| before.clone(), Value::Bool);
    let mut body = json!({ "sql": or(access.sql, &before["sql"]), "ui": or(access.ui, &before["ui"]) });
    if let Some(name) = access.name {
        body["name"] = name.into();
    }
    body
}

/// A network on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Address and prefix length.
    Given(IpAddr, u8),
    /// The address from which this machine reaches the server.
    Current,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let rule = || {
            format!("{text:?} must be a network such as 203.0.113.0/24, an address, `current`, or `public`")
        };
        match text {
            "current" => return Ok(Network::Current),
            "public" => return Ok(Network::Given(IpAddr::from([0, 0, 0, 0]), 0)),
            _ => {}
        }
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask.parse().map_err(|_| rule())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| rule())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        match mask.unwrap_or(longest) {
            mask if mask <= longest => Ok(Network::Given(address, mask)),
            _ => Err(rule()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Given(address, mask) => write!(f, "{address}/{mask}"),
            Network::Current => f.write_str("current"),
        }
    }
}

impl Network {
    fn resolve(self, context: &Context) -> Result<(IpAddr, u8)> {
        match self {
            Network::Given(address, mask) => Ok((address, mask)),
            Network::Current => {
                let address = own_address(context.client.server())?;
                Ok((address, if address.is_ipv4() { 32 } else { 128 }))
            }
        }
    }
}

/// The address from which this machine reaches the server. Sends nothing.
fn own_address(server: &str) -> Result<IpAddr> {
    let unknown = |why: &str| {
        Failure::failed(format!("could not determine the address of this machine: {why}"))
            .hint("specify the address instead of `current`")
    };
    let (scheme, rest) = server.split_once("://").unwrap_or(("https", server));
    let with_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let target = match with_port {
        true => rest.to_owned(),
        false => format!("{rest}:{}", if scheme == "http" { 80 } else { 443 }),
    };
    let found = target.to_socket_addrs().map_err(|error| unknown(&error.to_string()))?;
    // Allowlists of the API contain IPv4 networks.
    let peer =
        found.min_by_key(|address| !address.is_ipv4()).ok_or_else(|| unknown("the server has no address"))?;
    let any: IpAddr = if peer.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
    let own = UdpSocket::bind((any, 0))
        .and_then(|socket| socket.connect(peer).and_then(|()| socket.local_addr()))
        .map_err(|error| unknown(&error.to_string()))?
        .ip();
    match (own, peer.ip()) {
        (IpAddr::V4(own), IpAddr::V4(peer))
            if own.is_private() && !peer.is_private() && !peer.is_loopback() =>
        {
            Err(unknown(&format!("{own} is a private address, so the server sees another one")))
        }
        (own, _) => Ok(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_are_parsed() {
        let shown = |text: &str| text.parse::<Network>().map(|network| network.to_string());
        assert_eq!(shown("203.0.113.7").as_deref(), Ok("203.0.113.7/32"));
        assert_eq!(shown("10.0.0.0/8").as_deref(), Ok("10.0.0.0/8"));
        assert_eq!(shown("public").as_deref(), Ok("0.0.0.0/0"));
        assert_eq!(shown("::1").as_deref(), Ok("::1/128"));
        assert_eq!(shown("current").as_deref(), Ok("current"));
        for invalid in ["", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "here"] {
            assert!(shown(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn the_own_address_for_a_local_server_is_loopback() {
        assert_eq!(
            own_address("http://127.0.0.1:8080").map_err(|failure| failure.message),
            Ok([127, 0, 0, 1].into())
        );
    }

    #[test]
    fn an_update_keeps_access_that_is_not_specified() {
        let before = json!({ "sql": true, "ui": false, "name": "office" });
        let access = Access { sql: None, ui: Some(true), name: None };
        assert_eq!(changed(&before, access), json!({ "sql": true, "ui": true }));
    }

    proptest! {
        #[test]
        fn a_displayed_network_is_parsed_again(address in any::<[u8; 4]>(), mask in 0_u8..=32) {
            let network = Network::Given(address.into(), mask);
            prop_assert_eq!(network.to_string().parse(), Ok(network));
        }
    }
}
