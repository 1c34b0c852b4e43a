//! `ootheca folder`: the folders that clusters lie in.

use super::{Context, labels};
use crate::{client::segment, failure::Result, output::Column, resolve, talk};
use clap::Subcommand;
use serde_json::{Map, Value, json};

/// What to do with folders.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// List the folders that you may see
    #[command(visible_alias = "ls")]
    List,
    /// Show a folder
    Get {
        /// Name or id of the folder
        folder: String,
    },
    /// Create a folder
    Create {
        /// Its name
        name: String,
        /// Name or id of the folder that it lies in [default: the top]
        #[arg(long, value_name = "FOLDER", visible_alias = "parent-id")]
        parent: Option<String>,
        /// A label; may be given several times
        #[arg(long, value_name = "KEY=VALUE", value_parser = labels::pair)]
        label: Vec<(String, String)>,
    },
    /// Change the name or the labels of a folder
    Update {
        /// Name or id of the folder
        folder: String,
        /// Its new name
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Name or id of the folder to move it to; `root` is the top
        #[arg(long, value_name = "FOLDER", visible_alias = "parent-id")]
        parent: Option<String>,
        /// All its labels; may be given several times
        #[arg(long, value_name = "KEY=VALUE", value_parser = labels::pair)]
        label: Vec<(String, String)>,
    },
    /// Move a folder, with all that is in it, or a cluster
    Move {
        /// Name or id of the folder, or of the cluster with --cluster
        what: String,
        /// Name or id of the folder to move it to; `root` is the top
        to: String,
        /// Move a cluster
        #[arg(long)]
        cluster: bool,
    },
    /// Delete a folder that is empty
    #[command(visible_alias = "rm")]
    Delete {
        /// Name or id of the folder
        folder: String,
    },
    /// List what lies in a folder
    Contents {
        /// Name or id of the folder; `root` is the top
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

/// Does it.
pub(crate) fn run(context: &Context, verb: Verb) -> Result<()> {
    let client = &context.client;
    match verb {
        Verb::List => context.out.list(&COLUMNS, &client.list(FOLDERS, "folders")?),
        Verb::Get { folder } => context.out.record(&resolve::folder(client, &folder)?, &COLUMNS),
        Verb::Create { name, parent, label } => {
            let mut body = json!({ "name": name });
            if let Some(parent) = parent {
                body["parent_id"] = place(context, &parent)?.into();
            }
            if !label.is_empty() {
                body["labels"] = labels::object(label);
            }
            let answer = client.post(FOLDERS, &body)?;
            context.out.done(&format!("Created folder {name}"), &answer, &COLUMNS)
        }
        Verb::Update { folder, name, parent, label } => {
            let path = one(context, &folder)?;
            let mut body = Map::new();
            if let Some(name) = name {
                body.insert("name".to_owned(), name.into());
            }
            if let Some(parent) = parent {
                body.insert("parent_id".to_owned(), place(context, &parent)?.into());
            }
            if !label.is_empty() {
                body.insert("labels".to_owned(), labels::object(label));
            }
            let answer = client.patch(&path, &body.into())?;
            context.out.done(&format!("Changed folder {folder}"), &answer, &COLUMNS)
        }
        Verb::Move { what, to, cluster } => {
            let path = match cluster {
                true => {
                    format!("/api/v1/clusters/{}", segment(resolve::id(&resolve::cluster(client, &what)?)))
                }
                false => one(context, &what)?,
            };
            let answer = client.patch(&path, &json!({ "parent_id": place(context, &to)? }))?;
            let columns = if cluster { MOVED } else { &COLUMNS };
            context.out.done(&format!("Moved {what} to {to}"), &answer, columns)
        }
        Verb::Delete { folder } => {
            let path = one(context, &folder)?;
            talk::confirm(context.yes, &format!("delete the folder {folder}?"))?;
            let answer = client.delete(&path)?;
            context.out.done(&format!("Deleted folder {folder}"), &answer, &[])
        }
        Verb::Contents { folder } => {
            let path = format!("{FOLDERS}/{}/contents", segment(&place(context, &folder)?));
            context.out.list(&CONTENTS, &client.list(&path, "resources")?)
        }
    }
}

const MOVED: &[Column] = &[Column::text("NAME", "/name"), Column::text("ID", "/id")];

/// The path of a folder in the API.
fn one(context: &Context, folder: &str) -> Result<String> {
    Ok(format!("{FOLDERS}/{}", segment(resolve::id(&resolve::folder(&context.client, folder)?))))
}

/// The id of a folder, or of the top.
pub(crate) fn place(context: &Context, folder: &str) -> Result<String> {
    match folder {
        "root" => Ok(folder.to_owned()),
        folder => Ok(resolve::id(&resolve::folder(&context.client, folder)?).to_owned()),
    }
}

/// Where it lies: `/outer/inner`.
fn path(folder: &Value) -> String {
    let above = folder["path"].as_array().into_iter().flatten();
    let names = above.map(|segment| segment["name"].as_str().unwrap_or_default());
    names.chain([folder["name"].as_str().unwrap_or_default()]).map(|name| format!("/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_all_above() {
        let folder = json!({ "name": "inner", "path": [{ "id": "1", "name": "outer" }] });
        assert_eq!(path(&folder), "/outer/inner");
        assert_eq!(path(&json!({ "name": "top", "path": [] })), "/top");
    }
}
