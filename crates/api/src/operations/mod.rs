//! THE TABLE: every operation of the API in one place.
//!
//! The enum [`Op`], the rows [`TABLE`], the router and the OpenAPI document are made from
//! [`for_each_operation!`], and so is the server's dispatch. It hands its rows to a macro of yours:
//!
//! ```
//! use ootheca_api::{for_each_operation, operations::Op};
//!
//! macro_rules! handlers {
//!     (
//!         built { $({
//!             $op:ident, $handler:ident, $tag:literal, $method:ident $path:literal,
//!             ($params:ident, $query:ident, $body:ident) -> $reply:ident,
//!             [$($access:tt)*], $kind:ident $($action:ident)?, $summary:literal
//!         })* }
//!         later { $($later:tt)* }
//!     ) => {
//!         fn handler(op: Op) -> Option<(&'static str, &'static str)> {
//!             match op {
//!                 // `$kind` is `read` or `change`: `outcome!($kind, handlers::$handler(…).await)`
//!                 $(Op::$op => Some((stringify!($kind), stringify!($handler))),)*
//!                 _ => None,
//!             }
//!         }
//!     };
//! }
//! for_each_operation!(handlers);
//!
//! assert_eq!(handler(Op::GetCluster), Some(("read", "get_cluster")));
//! assert_eq!(handler(Op::DeleteCluster), Some(("change", "delete_cluster")));
//! assert_eq!(handler(Op::ListBackups), None);
//! ```
//!
//! [`for_each_operation!`]: crate::for_each_operation

#[macro_use]
mod table;

#[cfg(test)]
mod tests;

use ootheca_model::{
    Role,
    identity::{GRANTORS, Requirement},
};
use std::fmt;

/// An HTTP method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 5] = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the roles of an operation must be held on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The organization.
    Organization,
    /// The cluster that this path parameter names.
    Cluster(&'static str),
    /// The folder that this path parameter names.
    Folder(&'static str),
    /// The organization or some folder: the handler looks which one the request means.
    Folders,
    /// Nothing in particular: a list that shows each caller what its roles reach.
    Visible,
}

impl Scope {
    /// The scopes at which a role for this may be held: letters of `OFC`.
    pub fn letters(self) -> &'static str {
        match self {
            Scope::Organization => "O",
            Scope::Folder(_) | Scope::Folders => "OF",
            Scope::Cluster(_) | Scope::Visible => "OFC",
        }
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Operation {
    /// Which one.
    pub op: Op,
    /// Its name in the reference, for example `GetCluster`.
    pub name: &'static str,
    /// The name of its handler; empty while it is not built.
    pub handler: &'static str,
    /// The group that it belongs to.
    pub tag: &'static str,
    /// Method.
    pub method: Method,
    /// Path with its parameters in braces.
    pub path: &'static str,
    /// What it asks of its caller.
    pub requirement: Requirement,
    /// Where the caller must hold that.
    pub scope: Scope,
    /// The audit action of an operation that changes something, without its prefix.
    pub audit: Option<&'static str>,
    /// Whether it takes a JSON body.
    pub has_body: bool,
    /// Whether it is built; if not it answers 501.
    pub implemented: bool,
    /// One line for people.
    pub summary: &'static str,
}

impl Operation {
    /// The names of the path parameters, in order.
    pub fn path_params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The scopes at which `role`, held there, opens the operation: letters of `OFC`, or `-`.
    pub fn opened_by(&self, role: Role) -> String {
        let scopes = match self.requirement {
            Requirement::Member if role == Role::OrgMember => "O",
            Requirement::Grantor if GRANTORS.contains(&role) => "OFC",
            Requirement::Roles(roles) if roles.contains(&role) => self.scope.letters(),
            _ => "",
        };
        let letters: String = scopes.chars().filter(|letter| role.scopes().contains(*letter)).collect();
        if letters.is_empty() { "-".to_owned() } else { letters }
    }
}

/// The row of an operation.
pub fn operation(op: Op) -> &'static Operation {
    &TABLE[op as usize]
}

macro_rules! requirement {
    (member) => {
        Requirement::Member
    };
    (grantor) => {
        Requirement::Grantor
    };
    ($kind:ident $($parameter:ident)?: $($role:ident),*) => {
        Requirement::Roles(&[$(Role::$role),*])
    };
}

macro_rules! scope {
    (cluster $parameter:ident: $($role:ident),*) => {
        Scope::Cluster(stringify!($parameter))
    };
    (folder $parameter:ident: $($role:ident),*) => {
        Scope::Folder(stringify!($parameter))
    };
    (folders: $($role:ident),*) => {
        Scope::Folders
    };
    (visible: $($role:ident),*) => {
        Scope::Visible
    };
    ($($other:tt)*) => {
        Scope::Organization
    };
}

macro_rules! audit {
    (read) => {
        None
    };
    (change $action:ident) => {
        Some(stringify!($action))
    };
}

macro_rules! has_body {
    (NoBody) => {
        false
    };
    () => {
        false
    };
    ($body:ident) => {
        true
    };
}

macro_rules! table {
    (
        built { $({
            $op:ident, $handler:ident, $tag:literal, $method:ident $path:literal,
            ($params:ident, $query:ident, $body:ident) -> $reply:ident,
            [$($access:tt)*], $kind:ident $($action:ident)?, $summary:literal
        })* }
        later { $({
            $later:ident, later $($later_body:ident)?, $later_tag:literal, $later_method:ident $later_path:literal,
            [$($later_access:tt)*], $later_kind:ident $($later_action:ident)?, $later_summary:literal
        })* }
    ) => {
        /// The name of an operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Op {
            $($op,)*
            $($later,)*
        }

        /// The rows, in the order of [`Op`].
        pub static TABLE: [Operation; 144] = [
            $(Operation {
                op: Op::$op,
                name: stringify!($op),
                handler: stringify!($handler),
                tag: $tag,
                method: Method::$method,
                path: $path,
                requirement: requirement!($($access)*),
                scope: scope!($($access)*),
                audit: audit!($kind $($action)?),
                has_body: has_body!($body),
                implemented: true,
                summary: $summary,
            },)*
            $(Operation {
                op: Op::$later,
                name: stringify!($later),
                handler: "",
                tag: $later_tag,
                method: Method::$later_method,
                path: $later_path,
                requirement: requirement!($($later_access)*),
                scope: scope!($($later_access)*),
                audit: audit!($later_kind $($later_action)?),
                has_body: has_body!($($later_body)?),
                implemented: false,
                summary: $later_summary,
            },)*
        ];
    };
}

for_each_operation!(table);
