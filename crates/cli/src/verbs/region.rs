//! `ootheca regions`.

use super::{Context, GlobalArgs};
use crate::{failure::Result, output::Column};
use clap::{Args, builder::PossibleValuesParser};

/// Flags of `regions`.
#[derive(Args)]
pub(crate) struct RegionsArgs {
    /// List only the regions of this cloud
    #[arg(long, value_name = "CLOUD", ignore_case = true, value_parser = PossibleValuesParser::new(["GCP", "AWS", "AZURE"]))]
    cloud: Option<String>,
    /// List only the regions for BASIC and STANDARD clusters
    #[arg(long)]
    serverless: bool,
    #[command(flatten)]
    global: GlobalArgs,
}

const COLUMNS: [Column; 4] = [
    Column::text("NAME", "/name"),
    Column::text("CLOUD", "/provider"),
    Column::text("LOCATION", "/location"),
    Column::text("SERVERLESS", "/serverless"),
];

/// Lists the regions.
pub(crate) fn run(args: &RegionsArgs) -> Result<()> {
    let context: Context = args.global.context()?;
    let mut path = format!("/api/v1/clusters/available-regions?serverless={}", args.serverless);
    if let Some(cloud) = &args.cloud {
        path.push_str(&format!("&provider={}", cloud.to_uppercase()));
    }
    context.out.list(&COLUMNS, &context.client.list(&path, "regions")?)
}
