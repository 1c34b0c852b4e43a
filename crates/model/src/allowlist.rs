//! IP allowlists: who may reach a cluster.

use crate::{ClusterId, Error, OrganizationId, Result, Timestamp};
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// The most entries of a BASIC or STANDARD cluster, and of an ADVANCED one on AWS and elsewhere.
pub const LIMITS: (usize, usize, usize) = (50, 20, 200);

/// A network and what it may reach. Known by its network within a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowlistEntry {
    /// The organization.
    pub organization: OrganizationId,
    /// The cluster.
    pub cluster: ClusterId,
    /// The network.
    pub network: Ipv4Net,
    /// A name for people; may be empty.
    pub name: String,
    /// Whether SQL connections are allowed.
    pub sql: bool,
    /// Whether the DB Console is allowed.
    pub ui: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

impl AllowlistEntry {
    /// The id of the row of a network in a cluster.
    pub fn row_id(cluster: ClusterId, network: Ipv4Net) -> String {
        format!("{cluster}/{network}")
    }

    /// Orders entries by address, then by mask.
    pub fn sort_key(&self) -> String {
        let address = u32::from(self.network.addr());
        format!("{address:010}/{:02}", self.network.prefix_len())
    }

    /// The network as the gateway compares it.
    pub fn net(&self) -> IpNet {
        IpNet::V4(self.network)
    }
}

/// Reads a network from its two fields. Host bits must be zero, so that what was sent is what is kept.
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
