//! What a module has to trust: our own lines, third-party lines, bytes of the image; for a template module with one input
//! and one output. `c-core` is the core of modules in C, `sancus` the same with the wall of a board's modules, `sancus-board` what lies
//! beside them, `sancus-routines` arithmetic and copying that the linker adds to a module as far as it needs them; `trustzone-machine` is what lies below modules on TrustZone, beside OP-TEE.

mod board;
mod expansion;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use veritee_native_image::NativeBuilder;
use veritee_platform::{BuildOrder, BuiltImage, Language, PlatformError};
use veritee_sgx_image::SgxBuilder;
use veritee_trustzone_image::TrustzoneBuilder;
use veritee_trustzone_machine::Packages;
use xtask::metadata::{Metadata, Package};
use xtask::source::{code_lines, files, is_test};

/// Where the accepted numbers are.
const SNAPSHOT: &str = "docs/sizes.json";
/// The template module: the alarm of `veritee new`.
const TEMPLATE: &str = "deploy/cli/template";
/// What nobody can accept: own lines that a module may have to trust on a platform.
const LIMITS: [(&str, usize); 3] = [("sancus", 800), ("sgx", 3500), ("trustzone", 3000)];
/// Growth of an image that is not worth a word, in bytes: compilers differ.
const IMAGE_SLACK: u64 = 2048;

/// What a module trusts on one platform.
#[derive(Serialize, Deserialize)]
struct Sizes {
    /// Lines of our own inside the image, by part.
    parts: BTreeMap<String, usize>,
    /// Their sum.
    own_lines: usize,
    /// Third-party crates inside the image.
    third_party: Vec<ThirdParty>,
    /// Length of the image.
    image_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct ThirdParty {
    #[serde(rename = "crate")]
    name: String,
    /// All lines of its sources that are not blank, comments or tests: more than what is compiled in.
    lines: usize,
}

/// Counts and prints; refuses growth beyond the snapshot, unless it is accepted.
pub(crate) fn run(output: &str, accept: bool) -> Result<()> {
    let root = xtask::source::root()?;
    let (native, sgx) = (NativeBuilder::new(root.clone()), SgxBuilder::new(root.clone()));
    let mut sizes = BTreeMap::from([
        ("c-core".to_owned(), c_core()?),
        ("native".to_owned(), count("native", &|order| native.build(order))?),
        ("sancus".to_owned(), counted(board::module()?)),
        ("sancus-board".to_owned(), counted(board::beside()?)),
        ("sancus-routines".to_owned(), counted(board::routines()?)),
        ("sgx".to_owned(), count("sgx", &|order| sgx.build(order))?),
        ("trustzone-machine".to_owned(), machine()?),
    ]);
    let trustzone = TrustzoneBuilder::new(root);
    match count("trustzone", &|order| trustzone.build(order)) {
        Ok(counted) => drop(sizes.insert("trustzone".to_owned(), counted)),
        Err(error) => skip(&error, accept)?,
    }
    match output {
        "json" => println!("{}", serde_json::to_string_pretty(&sizes)?),
        "text" => {
            sizes.iter().for_each(|(platform, sizes)| print(platform, sizes));
            println!("{}", optee());
        }
        other => bail!("unknown form {other:?}; there are: text, json"),
    }
    for (platform, limit) in LIMITS {
        let lines = sizes.get(platform).map_or(0, |sizes| sizes.own_lines);
        anyhow::ensure!(lines <= limit, "{platform} has {lines} own lines, and may have {limit}");
    }
    if accept {
        fs::write(SNAPSHOT, serde_json::to_string_pretty(&sizes)? + "\n")?;
        return Ok(());
    }
    let text = fs::read_to_string(SNAPSHOT).with_context(|| format!("cannot read {SNAPSHOT}"))?;
    let accepted: BTreeMap<String, Sizes> = serde_json::from_str(&text)?;
    let growth: Vec<String> =
        sizes.iter().flat_map(|(platform, now)| growth(platform, now, accepted.get(platform))).collect();
    if !growth.is_empty() {
        bail!("{}; if it must be, say why in the commit and run `cargo xtask sizes --accept`", growth.join("; "));
    }
    Ok(())
}

/// OP-TEE's core, which modules on TrustZone trust too: Debian's binary, as emulated machines have it.
fn optee() -> String {
    let cache = Path::new(xtask::PACKAGES);
    let core = Packages::from_folder(&cache.join("packages"), cache).and_then(|packages| {
        let (_, core) = packages.core()?;
        Ok(format!("optee-core: not our own; version {}, a binary of {} bytes", packages.optee_version, core.len()))
    });
    core.unwrap_or_else(|error| format!("optee-core: not our own, and not here ({error})"))
}

fn print(platform: &str, sizes: &Sizes) {
    let image = if sizes.image_bytes == 0 { String::new() } else { format!(", image of {} bytes", sizes.image_bytes) };
    println!("{platform}: {} own lines{image}", sizes.own_lines);
    for (part, lines) in &sizes.parts {
        println!("  {lines:>6}  {part}");
    }
    let total: usize = sizes.third_party.iter().map(|part| part.lines).sum();
    println!("  third-party crates: {total} lines in their sources");
    for part in &sizes.third_party {
        println!("  {:>6}  {}", part.lines, part.name);
    }
}

fn growth(platform: &str, now: &Sizes, accepted: Option<&Sizes>) -> Vec<String> {
    let Some(accepted) = accepted else { return vec![format!("{platform} is new")] };
    let mut growth = Vec::new();
    if now.own_lines > accepted.own_lines {
        growth.push(format!("{platform} grew from {} to {} own lines", accepted.own_lines, now.own_lines));
    }
    if now.image_bytes > accepted.image_bytes + IMAGE_SLACK {
        growth.push(format!("{platform}'s image grew from {} to {} bytes", accepted.image_bytes, now.image_bytes));
    }
    let known = |name: &str| accepted.third_party.iter().any(|part| part.name == name);
    let new = now.third_party.iter().filter(|part| !known(&part.name));
    growth.extend(new.map(|part| format!("{platform} links the new crate {}", part.name)));
    growth
}

/// Counts the core of modules in C, and what its authors include. The stubs of a board belong to the board.
fn c_core() -> Result<Sizes> {
    let header = vec![Path::new("sdk/c/veritee.h").to_owned()];
    Ok(counted(board::parts([("sdk/c/core", board::core()?), ("sdk/c/veritee.h", header)])?))
}

/// Our own lines below modules on TrustZone: the attestation service beside them, and the monitor of emulated machines.
fn machine() -> Result<Sizes> {
    let mut parts = BTreeMap::new();
    for part in ["backends/trustzone/attestation", "backends/trustzone/secret", "backends/trustzone/monitor"] {
        let mut lines = 0;
        for file in files(&Path::new(part).join("src"), &["rs"])? {
            let test = is_test(file.strip_prefix(part)?) || file.to_string_lossy().contains("selftest");
            lines += if test { 0 } else { code_lines(&fs::read_to_string(&file)?) };
        }
        parts.insert(part.to_owned(), lines);
    }
    Ok(counted(parts))
}

/// Parts that are counted and not built here.
fn counted(parts: BTreeMap<String, usize>) -> Sizes {
    Sizes { own_lines: parts.values().sum(), parts, third_party: Vec::new(), image_bytes: 0 }
}

/// A platform whose tools are not here is not counted; then the numbers are not accepted either.
fn skip(error: &anyhow::Error, accept: bool) -> Result<()> {
    match error.downcast_ref::<PlatformError>() {
        Some(PlatformError::MissingTool { .. }) if !accept => println!("skipped: sizes on TrustZone: {error}"),
        _ => bail!("cannot count TrustZone: {error:#}"),
    }
    Ok(())
}

/// How a platform builds.
type Build<'a> = &'a dyn Fn(&BuildOrder<'_>) -> Result<BuiltImage, PlatformError>;

/// Builds the template for a platform and counts what is in the image.
fn count(platform: &str, build: Build<'_>) -> Result<Sizes> {
    let folder = template()?;
    let module = folder.join("alarm");
    let target = folder.join("target");
    let order = BuildOrder {
        module: "alarm",
        language: Language::Rust,
        source: &module,
        target: &target,
        owner: &[0; 32],
        ciphers: &[],
        talk: &|_| (),
    };
    let built = build(&order)?;
    let manifest = target.join("veritee").join(platform).join("alarm/Cargo.toml");
    let metadata = Metadata::read(&manifest.display().to_string())?;
    let root = metadata.members().next().context("the image has a crate")?;
    let (mut parts, mut third_party) = (BTreeMap::new(), Vec::new());
    for package in metadata.linked(&root.id) {
        match package.folder() {
            Some(folder) if folder.starts_with("target") => {}
            Some(folder) => drop(parts.insert(folder, package_lines(package)?)),
            None => {
                third_party.push(ThirdParty { name: package.name.clone(), lines: package_lines(package)? });
            }
        }
    }
    let expanded = expansion::lines(&module, &target)? + expansion::lines(&folder.join("messages"), &target)?;
    parts.insert("expanded macros of the module and its messages".to_owned(), expanded);
    third_party.sort_by(|left, right| right.lines.cmp(&left.lines).then(left.name.cmp(&right.name)));
    let image_bytes = fs::metadata(&built.path)?.len();
    Ok(Sizes { own_lines: parts.values().sum(), parts, third_party, image_bytes })
}

/// Lines of a package's sources that count.
fn package_lines(package: &Package) -> Result<usize> {
    let folder = Path::new(&package.manifest_path).parent().context("a manifest lies in a folder")?;
    let mut lines = 0;
    for file in files(&folder.join("src"), &["rs"])? {
        let inside = file.strip_prefix(folder).unwrap_or(&file);
        if !is_test(inside) {
            lines += code_lines(&fs::read_to_string(&file)?);
        }
    }
    Ok(lines)
}

/// Writes the template's project below the target folder, as `veritee new` does.
fn template() -> Result<std::path::PathBuf> {
    let folder = xtask::source::root()?.join("target/sizes");
    fs::create_dir_all(&folder)?;
    let project = folder.join("template");
    if project.exists() {
        // The target folder inside stays, so that a second count compiles nothing.
        for file in files(Path::new(TEMPLATE), &["rs"])? {
            let to = project.join(file.strip_prefix(TEMPLATE)?);
            fs::copy(&file, to)?;
        }
        return Ok(project);
    }
    let manifest = xtask::source::root()?.join("Cargo.toml");
    let status = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["run", "--quiet", "--locked", "--package", "veritee-cli", "--manifest-path"])
        .arg(manifest)
        .args(["--", "--quiet", "new", "template"])
        .current_dir(&folder)
        .stdout(std::process::Stdio::null())
        .status()?;
    if !status.success() {
        bail!("`veritee new` failed");
    }
    Ok(project)
}
