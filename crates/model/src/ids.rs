//! Typed identifiers, which are lower-case UUIDs on the wire.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// The ID of an organization, the tenant of the control plane.
    OrganizationId
);
id!(
    /// The ID of a cluster, which differs from its routing ID.
    ClusterId
);
id!(
    /// The ID of a principal that can hold roles: a service account, a user, or a group.
    PrincipalId
);
id!(
    /// The ID of a folder.
    FolderId
);
