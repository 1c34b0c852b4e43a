//! `ootheca folder`.

use super::{Context, key_value};
use crate::{client::segment, failure::Result, output::Column, resolve, terminal};
use clap::Subcommand;
use serde_json::{Map, Value, json};

/// Verbs of `folder`.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List folders
    #[command(visible_alias = "ls")]
    List,
    /// Show a folder
    Get {
        /// Name or ID of the folder
        folder: String,
    },
    /// Create a folder
    Create {
        /// Name of the folder
        name: String,
        /// Parent folder, by name or ID [default: root]
        #[arg(long, value_name = "FOLDER", visible_alias = "parent-id")]
        parent: Option<String>,
        /// Label; can be repeated
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value::parse)]
        label: Vec<(String, String)>,
    },
    /// Rename, move, or label a folder
    Update {
        /// Name or ID of the folder
        folder: String,
        /// New name
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// New parent folder, by name or ID, or `root`
        #[arg(long, value_name = "FOLDER", visible_alias = "parent-id")]
        parent: Option<String>,
        /// Label; can be repeated; replaces all labels of the folder
        #[arg(long, value_name = "KEY=VALUE", value_parser = key_value::parse)]
        label: Vec<(String, String)>,
    },
    /// Move a folder with its contents, or a cluster
    Move {
        /// Name or ID of the folder, or of the cluster with --cluster
        #[arg(value_name = "FOLDER|CLUSTER")]
        object: String,
        /// New parent folder, by name or ID, or `root`
        parent: String,
        /// Move a cluster instead of a folder
        #[arg(long)]
        cluster: bool,
    },
    /// Delete an empty folder
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or ID of the folder
        folder: String,
    },
    /// List the contents of a folder
    Contents {
        /// Name or ID of the folder, or `root`
        folder: String,
    },
}

const COLUMNS: [Column; 4] = [
    Column::text("NAME", "/name"),
    Column::by("PATH", path),
    Column::text("LABELS", "/labels"),
    Column::text("ID", "/resource_id"),
];
const CONTENTS: [Column; 4] = [
    Column::text("NAME", "/name"),
    Column::text("TYPE", "/resource_type"),
    Column::text("LABELS", "/labels"),
    Column::text("ID", "/resource_id"),
];
const FOLDERS: &str = "/api/v1/folders";

/// Runs the command.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    match verb {
        Verb::List => context.out.list(&COLUMNS, &client.list(FOLDERS, "folders")?),
        Verb::Get { folder } => context.out.record(&resolve::folder(client, &folder)?, &COLUMNS),
        Verb::Create { name, parent, label } => {
            let mut body = json!({ "name": name });
            if let Some(parent) = parent {
                body["parent_id"] = resolve::folder_id(client, &parent)?.into();
            }
            if !label.is_empty() {
                body["labels"] = key_value::object(&label).into();
            }
            let response = client.post(FOLDERS, &body)?;
            context.out.done(&format!("Created folder {name}"), &response, &COLUMNS)
        }
        Verb::Update { folder, name, parent, label } => {
            let path = one(context, &folder)?;
            let mut body = Map::new();
            if let Some(name) = name {
                body.insert("name".to_owned(), name.into());
            }
            if let Some(parent) = parent {
                body.insert("parent_id".to_owned(), resolve::folder_id(client, &parent)?.into());
            }
            if !label.is_empty() {
                body.insert("labels".to_owned(), key_value::object(&label).into());
            }
            let response = client.patch(&path, &body.into())?;
            context.out.done(&format!("Updated folder {folder}"), &response, &COLUMNS)
        }
        Verb::Move { object, parent, cluster } => {
            let path = match cluster {
                true => resolve::cluster_path(client, &object, "")?,
                false => one(context, &object)?,
            };
            let response =
                client.patch(&path, &json!({ "parent_id": resolve::folder_id(client, &parent)? }))?;
            let columns = if cluster { MOVED } else { &COLUMNS };
            context.out.done(&format!("Moved {object} to {parent}"), &response, columns)
        }
        Verb::Delete { folder } => {
            let path = one(context, &folder)?;
            terminal::confirm(context.yes, &format!("Delete folder {folder}?"))?;
            let response = client.delete(&path)?;
            context.out.done(&format!("Deleted folder {folder}"), &response, &[])
        }
        Verb::Contents { folder } => {
            let path = format!("{FOLDERS}/{}/contents", segment(&resolve::folder_id(client, &folder)?));
            context.out.list(&CONTENTS, &client.list(&path, "resources")?)
        }
    }
}

const MOVED: &[Column] = &[Column::text("NAME", "/name"), Column::text("ID", "/id")];

/// The URL path of a folder.
fn one(context: &Context, folder: &str) -> Result<String> {
    Ok(format!("{FOLDERS}/{}", segment(resolve::id(&resolve::folder(&context.client, folder)?))))
}

/// The path of a folder in the hierarchy, such as `/outer/inner`.
fn path(folder: &Value) -> String {
    let above = folder["path"].as_array().into_iter().flatten();
    let names = above.map(|segment| segment["name"].as_str().unwrap_or_default());
    names.chain([folder["name"].as_str().unwrap_or_default()]).map(|name| format!("/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_contains_all_ancestors() {
        let folder = json!({ "name": "inner", "path": [{ "id": "1", "name": "outer" }] });
        assert_eq!(path(&folder), "/outer/inner");
        assert_eq!(path(&json!({ "name": "top", "path": [] })), "/top");
    }
}
