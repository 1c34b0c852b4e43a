//! IP allowlists, which restrict the networks that can reach a cluster.

use crate::{ClusterId, Error, OrganizationId, Result, Timestamp};
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The maximum number of entries for BASIC and STANDARD clusters, ADVANCED clusters on AWS, and other
/// ADVANCED clusters.
pub const LIMITS: (usize, usize, usize) = (50, 20, 200);

/// A network and what it can access. Identified by the network within a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowlistEntry {
    pub organization: OrganizationId,
    pub cluster: ClusterId,
    pub network: Ipv4Net,
    /// A display name; may be empty.
    pub name: String,
    /// Whether SQL connections are allowed.
    pub sql: bool,
    /// Whether access to the DB Console is allowed.
    pub ui: bool,
    pub created_at: Timestamp,
}

impl AllowlistEntry {
    /// The row ID of a network in a cluster.
    pub fn row_id(cluster: ClusterId, network: Ipv4Net) -> String {
        format!("{cluster}/{network}")
    }

    /// Sorts entries by address, then by mask.
    pub fn sort_key(&self) -> String {
        let address = u32::from(self.network.addr());
        format!("{address:010}/{:02}", self.network.prefix_len())
    }

    /// The network as the type that the gateway compares.
    pub fn net(&self) -> IpNet {
        IpNet::V4(self.network)
    }
}

/// Parses a network from its two fields. Host bits must be zero, so that the network is stored exactly as
/// sent.
pub fn network(cidr_ip: &str, cidr_mask: i64) -> Result<Ipv4Net> {
    let ip: Ipv4Addr = cidr_ip.parse().map_err(|_| Error::invalid("cidr_ip", "must be an IPv4 address"))?;
    let mask = u8::try_from(cidr_mask).ok().filter(|mask| *mask <= 32);
    let mask = mask.ok_or_else(|| Error::invalid("cidr_mask", "must be from 0 to 32"))?;
    let network = Ipv4Net::new(ip, mask).map_err(|_| Error::invalid("cidr_mask", "must be from 0 to 32"))?;
    if network.addr() != network.network() {
        let meant = network.trunc();
        return Err(Error::invalid("cidr_ip", format!("has bits outside the mask; did you mean {meant}?")));
    }
    Ok(network)
}
