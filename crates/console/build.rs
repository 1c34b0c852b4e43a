//! Compresses the built files of the console and lists them for `src/lib.rs`. Does not build the console.

use flate2::{Compression, write::GzEncoder};
use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    path::{Path, PathBuf},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const INDEX: &str = "index.html";
const FALLBACK: &str = "src/fallback.html";
/// The placeholder of the nonce; see `src/lib.rs`.
const NONCE: &str = "__CSP_NONCE__";

fn main() -> Result<()> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let dist = root.join("../../console/dist");
    // Cargo would rebuild each time if the watched folder were missing.
    let _ = fs::create_dir_all(&dist);
    println!("cargo:rerun-if-changed={}", dist.display());
    println!("cargo:rerun-if-changed={}", root.join(FALLBACK).display());
    println!("cargo:rerun-if-changed={}", root.join("build.rs").display());

    let built = dist.join(INDEX).is_file();
    let mut files = Vec::new();
    match built {
        true => collect(&dist, "", &mut files)?,
        false => files.push((INDEX.to_owned(), root.join(FALLBACK))),
    }
    files.sort();
    let mut list = format!("/// Whether the console was built.\nconst IS_BUILT: bool = {built};\n");
    list.push_str("/// Sorted by path.\nstatic FILES: &[File] = &[\n");
    for (number, (path, source)) in files.iter().enumerate() {
        let row = embed(path, &fs::read(source)?, &out.join(number.to_string()))?;
        list.push_str(&row);
    }
    list.push_str("];\n");
    fs::write(out.join("files.rs"), list)?;
    Ok(())
}

/// Collects the files below a folder by relative path, without source maps, which are large.
fn collect(folder: &Path, within: &str, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{name:?} is not UTF-8"))?;
        let path = format!("{within}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if !name.ends_with(".map") {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}

/// Writes one embedded file and returns its entry in the list.
fn embed(path: &str, bytes: &[u8], to: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let nonce = path.ends_with(".html") && bytes.windows(NONCE.len()).any(|part| part == NONCE.as_bytes());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    let packed = encoder.finish()?;
    let compressed = !nonce && packed.len() < bytes.len();
    fs::write(to, if compressed { &packed } else { bytes })?;
    let mut row = String::new();
    writeln!(
        row,
        "    File {{ path: {path:?}, etag: {etag:?}, compressed: {compressed}, nonce: {nonce}, \
         bytes: include_bytes!({:?}) }},",
        to.display().to_string()
    )?;
    Ok(row)
}
