//! The catalog of regions, versions, and machine types, which the settings define.

use crate::{
    Error, Result, Timestamp,
    cluster::{CloudProvider, Plan, ReleaseType, SupportStatus},
};
use serde::{Deserialize, Serialize};

/// A region. Regions are labels of processes on this machine, not locations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The cloud provider that the region is named after.
    pub provider: CloudProvider,
    /// The provider's name of the region.
    pub name: String,
    /// The displayed location.
    pub location: String,
    /// Whether BASIC and STANDARD clusters can use the region.
    #[serde(default)]
    pub serverless: bool,
}

/// A major version of the API's database, and the PostgreSQL version that runs for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The major version, `vYY.N`.
    pub version: String,
    /// The full version that clusters report, `vYY.N.P`.
    pub full_version: String,
    pub release_type: ReleaseType,
    pub support_status: SupportStatus,
    /// The end of support.
    pub support_end: Timestamp,
    /// The versions to which a cluster of this version can be upgraded.
    pub allowed_upgrades: Vec<String>,
    /// The PostgreSQL major version that runs for it, or `newest` for the newest installed one.
    pub postgres: String,
}

/// The catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The version of clusters that do not specify one.
    pub default_version: String,
    pub versions: Vec<Version>,
    pub regions: Vec<Region>,
}

impl Catalog {
    /// Finds a version by its major version name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.version == name)
    }

    /// The versions to which a cluster of `version` and `plan` can be upgraded.
    pub fn upgrades<'a>(&'a self, version: &str, plan: Plan) -> impl Iterator<Item = &'a Version> {
        let allowed = self.version(version).map_or(&[][..], |known| &known.allowed_upgrades);
        allowed.iter().filter_map(|name| self.version(name)).filter(move |next| {
            next.support_status == SupportStatus::Supported
                && (plan == Plan::Advanced || next.release_type == ReleaseType::Regular)
        })
    }

    /// Checks that a plan can use a region.
    pub fn check_region(&self, field: &str, provider: CloudProvider, plan: Plan, name: &str) -> Result<()> {
        let region = self.regions.iter().find(|region| region.provider == provider && region.name == name);
        match region {
            None => Err(Error::invalid(field, format!("{name:?} is not a region of {provider}"))),
            Some(region) if plan != Plan::Advanced && !region.serverless => {
                Err(Error::invalid(field, format!("region {name} is not available for plan {plan}")))
            }
            Some(_) => Ok(()),
        }
    }

    /// Checks that the parts of the catalog are consistent.
    pub fn check(&self) -> Result<()> {
        let known = |name: &str| {
            self.version(name).map(|_| ()).ok_or_else(|| {
                Error::invalid("catalog.versions", format!("{name} is referenced but not defined"))
            })
        };
        known(&self.default_version)?;
        self.versions.iter().flat_map(|version| &version.allowed_upgrades).try_for_each(|name| known(name))
    }
}

/// The machine type of an ADVANCED cluster. Families follow the naming rules of each cloud provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The provider's name of the machine type.
    pub machine_type: String,
    pub virtual_cpus: u32,
    /// The memory in GiB, four for each vCPU.
    pub memory_gib: f64,
}

/// The minimum storage of a node in GiB.
pub const MIN_STORAGE_GIB: u32 = 15;

const AWS_SIZES: [(&str, u32); 6] =
    [("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32), ("16xlarge", 64)];

/// Returns the machine type with the given number of vCPUs.
pub fn machine_by_cpus(provider: CloudProvider, cpus: i64) -> Result<Machine> {
    let sizes: Vec<u32> = AWS_SIZES.iter().map(|(_, cpus)| *cpus).collect();
    let known = AWS_SIZES.iter().find(|(_, size)| i64::from(*size) == cpus);
    let (size, cpus) = known.ok_or_else(|| {
        Error::invalid(
            "dedicated.hardware.machine_spec.num_virtual_cpus",
            format!("must be one of {sizes:?}"),
        )
    })?;
    let machine_type = match provider {
        CloudProvider::Aws => format!("m6i.{size}"),
        CloudProvider::Gcp => format!("n2-standard-{cpus}"),
        CloudProvider::Azure => format!("Standard_D{cpus}s_v5"),
    };
    Ok(Machine { machine_type, virtual_cpus: *cpus, memory_gib: f64::from(*cpus) * 4.0 })
}

/// Returns the machine type with the given name, which contains the number of vCPUs.
pub fn machine_by_type(provider: CloudProvider, name: &str) -> Result<Machine> {
    let cpus = match provider {
        CloudProvider::Aws => {
            let size = name.split_once('.').map(|(_, size)| size);
            AWS_SIZES.iter().find(|(known, _)| Some(*known) == size).map(|(_, cpus)| *cpus)
        }
        CloudProvider::Gcp => match name.split('-').collect::<Vec<_>>()[..] {
            [_, _, .., last] => last.parse().ok(),
            _ => None,
        },
        CloudProvider::Azure => name.strip_prefix("Standard_").and_then(|rest| {
            let digits: String =
                rest.chars().skip_while(char::is_ascii_uppercase).take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        }),
    };
    let cpus = cpus.filter(|cpus| (1..=96).contains(cpus)).ok_or_else(|| {
        let rule = format!("{name:?} is not a machine type of {provider}");
        Error::invalid("dedicated.hardware.machine_spec.machine_type", rule)
    })?;
    Ok(Machine { machine_type: name.to_owned(), virtual_cpus: cpus, memory_gib: f64::from(cpus) * 4.0 })
}

/// The default number of disk operations per second for the given storage.
pub fn default_iops(provider: CloudProvider, storage_gib: u32) -> u32 {
    match provider {
        CloudProvider::Aws => storage_gib * 15,
        CloudProvider::Gcp | CloudProvider::Azure => storage_gib * 30,
    }
}
