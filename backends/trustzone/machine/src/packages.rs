//! What others built: OP-TEE's core, its kit for trusted applications, and an arm64 kernel, as Debian packages them.
//!
//! Packages of another suite and architecture come through an apt state of our own, made from the machine's own sources: the
//! same mirror, the same keyrings, apt checks the signatures. Nothing is installed. Or they lie in a folder.

use crate::{MachineError, kernel, read, system, write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Suites that are asked for OP-TEE, in this order, after the machine's own.
const SUITES: &[&str] = &["trixie", "sid"];
/// The platform of OP-TEE that QEMU's `virt` machine is.
const PLATFORM: &str = "vexpress-qemu_armv8a";
const CORE: &str = "optee-os";
const KIT: &str = "optee-os-dev";
/// Names the kernel that is current.
const KERNEL_NAME: &str = "linux-image-cloud-arm64";
const KERNEL: &str = "linux-image-";

/// Unpacked packages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packages {
    folder: PathBuf,
    /// Version of the core and of the kit.
    pub optee_version: String,
    /// Version of the kernel's package.
    pub kernel_version: String,
}

impl Packages {
    /// Gets the packages through apt and unpacks them below `folder`; what was got before is used again.
    ///
    /// # Errors
    /// [`MachineError::Missing`] when there is no apt, no source to follow, or a package is not there.
    pub fn fetch(folder: &Path, talk: &dyn Fn(&str)) -> Result<Self, MachineError> {
        if let Ok(found) = Self::from_folder(&folder.join("packages"), folder) {
            return Ok(found);
        }
        let apt = Apt::new(&folder.join("apt"))?;
        talk("reading the lists of packages");
        apt.run("apt-get", &["update"])?;
        let version = apt.common_version()?;
        let kernel = apt.kernel()?;
        let target = folder.join("packages");
        fs::create_dir_all(&target).map_err(system(format!("make {}", target.display())))?;
        talk(&format!("getting OP-TEE {version} and {kernel}"));
        let wanted = [format!("{CORE}={version}"), format!("{KIT}={version}"), kernel];
        let mut arguments = vec!["download"];
        arguments.extend(wanted.iter().map(String::as_str));
        apt.run_in("apt-get", &arguments, &target)?;
        Self::from_folder(&target, folder)
    }

    /// Takes the packages of a folder (`.deb` files) and unpacks them below `unpacked`.
    ///
    /// # Errors
    /// [`MachineError::Missing`] when one is not there, [`MachineError::BadPart`] when versions of core and kit differ.
    pub fn from_folder(folder: &Path, unpacked: &Path) -> Result<Self, MachineError> {
        let all = read_folder(folder)?;
        let newest = |name: &str| {
            let fits = |package: &&Package| package.name == name || (name == KERNEL && package.is_kernel());
            all.iter().filter(fits).max_by(|a, b| a.file.cmp(&b.file)).ok_or_else(|| MachineError::Missing {
                what: name.to_owned(),
                reason: format!("{} has no package of it for arm64", folder.display()),
            })
        };
        let (core, kit, kernel) = (newest(CORE)?, newest(KIT)?, newest(KERNEL)?);
        if core.version != kit.version {
            let reason = format!("the core is {}, the kit is {}: both must be the same", core.version, kit.version);
            return Err(MachineError::part("OP-TEE", &reason));
        }
        let target = unpacked.join(format!("unpacked-{}-{}", plain(&core.version), plain(&kernel.version)));
        if !target.join(DONE).exists() {
            for (package, part) in [(core, CORE), (kit, KIT), (kernel, KERNEL)] {
                unpack(&package.file, &target.join(part))?;
            }
            write(&target.join(DONE), b"")?;
        }
        Ok(Self { folder: target, optee_version: core.version.clone(), kernel_version: kernel.version.clone() })
    }

    /// OP-TEE's core: the address it runs at, and its bytes.
    ///
    /// # Errors
    /// [`MachineError::BadPart`] when it is not as expected, [`MachineError::System`].
    pub fn core(&self) -> Result<(u64, Vec<u8>), MachineError> {
        let folder = self.folder.join(CORE).join("usr/lib/optee").join(PLATFORM);
        if !read(&folder.join("tee-pageable_v2.bin"))?.is_empty() {
            return Err(MachineError::part("OP-TEE's core", "it has pages apart, which the monitor does not load"));
        }
        let image = read(&folder.join("tee-pager_v2.bin"))?;
        let address = crate::flash::core_address(&read(&folder.join("tee-header_v2.bin"))?, image.len())?;
        Ok((address, image))
    }

    /// The kit for trusted applications: the folder that its build rules call `TA_DEV_KIT_DIR`.
    #[must_use]
    pub fn kit(&self) -> PathBuf {
        self.folder.join(KIT).join("usr/lib/optee-os-dev").join(PLATFORM)
    }

    /// The public modulus that the core checks signatures of trusted applications with, unless it is replaced: the kit's own
    /// key, which everybody has.
    ///
    /// # Errors
    /// [`MachineError::BadPart`] when the kit's key cannot be read.
    pub fn default_key(&self) -> Result<Vec<u8>, MachineError> {
        let path = self.kit().join("keys/default_ta.pem");
        crate::key::modulus_of_pem(&read(&path)?)
            .ok_or_else(|| MachineError::part("the kit's key", "it is no RSA key in PEM"))
    }

    /// The kernel, raw.
    ///
    /// # Errors
    /// As [`kernel::raw_image`].
    pub fn kernel(&self) -> Result<Vec<u8>, MachineError> {
        kernel::raw_image(read(&kernel::find(&self.folder.join(KERNEL))?)?)
    }

    /// The kernel's modules that a machine needs, in the order in which they load.
    ///
    /// # Errors
    /// As [`kernel::modules`].
    pub fn modules(&self) -> Result<Vec<(String, Vec<u8>)>, MachineError> {
        kernel::modules(&self.folder.join(KERNEL))
    }
}

/// A `.deb` file.
struct Package {
    name: String,
    version: String,
    file: PathBuf,
}

impl Package {
    fn is_kernel(&self) -> bool {
        self.name.starts_with(KERNEL) && self.name.ends_with("arm64") && self.name != KERNEL_NAME
    }
}

fn read_folder(folder: &Path) -> Result<Vec<Package>, MachineError> {
    let entries = fs::read_dir(folder).map_err(system(format!("read {}", folder.display())))?;
    let mut found = Vec::new();
    for file in entries.flatten().map(|entry| entry.path()) {
        if file.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let fields =
            output(Command::new("dpkg-deb").arg("-f").arg(&file).args(["Package", "Version", "Architecture"]))?;
        let field = |name: &str| {
            let value = fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default().to_owned()
        };
        if field("Architecture") == "arm64" {
            found.push(Package { name: field("Package"), version: field("Version"), file });
        }
    }
    Ok(found)
}

fn unpack(file: &Path, target: &Path) -> Result<(), MachineError> {
    fs::create_dir_all(target).map_err(system(format!("make {}", target.display())))?;
    output(Command::new("dpkg-deb").arg("-x").arg(file).arg(target)).map(drop)
}

/// An apt state of our own.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// Makes the state from the sources of this machine.
    fn new(folder: &Path) -> Result<Self, MachineError> {
        let sources = sources(Path::new("/etc/apt"), &release()?)?;
        for below in ["state/lists/partial", "cache/archives/partial"] {
            let path = folder.join(below);
            fs::create_dir_all(&path).map_err(system(format!("make {}", path.display())))?;
        }
        write(&folder.join("state/status"), b"")?;
        write(&folder.join("veritee.sources"), sources.as_bytes())?;
        let folder = folder.canonicalize().map_err(system(format!("find {}", folder.display())))?;
        let place = folder.display();
        let options = [
            format!("Dir::State={place}/state"),
            format!("Dir::State::status={place}/state/status"),
            format!("Dir::Cache={place}/cache"),
            format!("Dir::Etc::sourcelist={place}/veritee.sources"),
            "Dir::Etc::sourceparts=-".to_owned(),
            "Dir::Etc::preferencesparts=-".to_owned(),
            "APT::Architecture=arm64".to_owned(),
            "APT::Architectures=arm64".to_owned(),
            // The folder may be closed to apt's own user.
            "APT::Sandbox::User=".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false".to_owned(),
        ];
        let options = options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect();
        Ok(Self { options })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, MachineError> {
        self.run_in(program, arguments, Path::new("."))
    }

    fn run_in(&self, program: &str, arguments: &[&str], folder: &Path) -> Result<String, MachineError> {
        output(Command::new(program).args(&self.options).args(arguments).current_dir(folder).env("LC_ALL", "C"))
    }

    /// The version that core and kit both have, from the first suite that has them.
    fn common_version(&self) -> Result<String, MachineError> {
        let [cores, kits] =
            [CORE, KIT].map(|name| self.run("apt-cache", &["madison", name]).map(|text| versions(&text)));
        let (cores, kits) = (cores?, kits?);
        let mut suites = vec![release()?];
        suites.extend(SUITES.iter().map(|suite| (*suite).to_owned()));
        let in_suite = |suite: &String| {
            let core = cores.iter().find(|(_, found)| found == suite)?;
            kits.contains(core).then(|| core.0.clone())
        };
        suites.iter().find_map(in_suite).ok_or_else(|| MachineError::Missing {
            what: format!("{CORE} and {KIT} for arm64"),
            reason: "no suite of this machine's mirror has both in one version".to_owned(),
        })
    }

    /// The package of the kernel that is current in the machine's own suite.
    fn kernel(&self) -> Result<String, MachineError> {
        let missing = |reason: &str| MachineError::Missing { what: KERNEL_NAME.to_owned(), reason: reason.to_owned() };
        let suite = release()?;
        let known = versions(&self.run("apt-cache", &["madison", KERNEL_NAME])?);
        let (version, _) = known.iter().find(|(_, found)| *found == suite).ok_or_else(|| missing("it is not there"))?;
        let shown = self.run("apt-cache", &["show", &format!("{KERNEL_NAME}={version}")])?;
        let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "));
        let name = depends.and_then(|list| list.split([' ', ',']).find(|name| name.starts_with(KERNEL)));
        name.map(str::to_owned).ok_or_else(|| missing("it names no kernel"))
    }
}

/// Versions and suites in what `apt-cache madison` says: `name | version | address suite/component arch Packages`.
fn versions(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let mut parts = line.split('|').map(str::trim).skip(1);
        let version = parts.next()?.to_owned();
        let suite = parts.next()?.split_whitespace().nth(1)?.split('/').next()?.to_owned();
        Some((version, suite))
    };
    text.lines().filter_map(line).collect()
}

/// The code name of this machine's Debian.
fn release() -> Result<String, MachineError> {
    let text = fs::read_to_string("/etc/os-release").map_err(system("read /etc/os-release".to_owned()))?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(|name| name.trim_matches('"').to_owned()).ok_or_else(|| MachineError::Missing {
        what: "packages".to_owned(),
        reason: format!("this is no Debian; {FOLDER}"),
    })
}

/// The source of this machine's own suite, turned to arm64 and to the suites that are asked.
fn sources(etc: &Path, release: &str) -> Result<String, MachineError> {
    let (uri, signed) = own_source(etc, release).ok_or_else(|| MachineError::Missing {
        what: "packages".to_owned(),
        reason: format!("apt has no source of {release} to follow; {FOLDER}"),
    })?;
    let mut suites = vec![release];
    suites.extend(SUITES.iter().filter(|suite| **suite != release));
    let signed = signed.map(|signed| format!("Signed-By: {signed}\n")).unwrap_or_default();
    Ok(format!(
        "Types: deb\nURIs: {uri}\nSuites: {}\nComponents: main\nArchitectures: arm64\n{signed}",
        suites.join(" ")
    ))
}

/// Address and keyring of the source that has this machine's own suite.
fn own_source(etc: &Path, release: &str) -> Option<(String, Option<String>)> {
    let mut files = vec![etc.join("sources.list")];
    files.extend(fs::read_dir(etc.join("sources.list.d")).into_iter().flatten().flatten().map(|entry| entry.path()));
    files.sort();
    files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "sources" => text.split("\n\n").find_map(|stanza| of_stanza(stanza, release)),
            "list" => text.lines().find_map(|line| of_line(line, release)),
            _ => None,
        }
    })
}

fn of_stanza(stanza: &str, release: &str) -> Option<(String, Option<String>)> {
    let field = |name: &str| {
        let line = stanza.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().to_owned())
    };
    let has = |name: &str, word: &str| field(name).is_some_and(|value| value.split_whitespace().any(|one| one == word));
    let fits = has("Types", "deb") && has("Suites", release) && has("Components", "main") && !has("Enabled", "no");
    let first = field("URIs")?.split_whitespace().next()?.to_owned();
    fits.then(|| (first, field("Signed-By").filter(|path| path.starts_with('/'))))
}

fn of_line(line: &str, release: &str) -> Option<(String, Option<String>)> {
    let rest = line.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (uri, suite) = (words.next()?, words.next()?);
    let signed = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    (suite == release && words.any(|word| word == "main")).then(|| (uri.to_owned(), signed.map(str::to_owned)))
}

/// What a program says; its failure is an error that has its last words.
fn output(command: &mut Command) -> Result<String, MachineError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let missing = |reason: String| MachineError::Missing { what: "packages".to_owned(), reason };
    let output = command.output().map_err(|error| missing(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(missing(format!("{program}: {}", words.trim().lines().last().unwrap_or("it failed"))))
}

/// A version as part of a file's name.
fn plain(version: &str) -> String {
    version.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '.' }).collect()
}

/// What to do where packages cannot be fetched.
const FOLDER: &str =
    "set VERITEE_PACKAGES to a folder with Debian's optee-os, optee-os-dev and linux-image-cloud-arm64 for arm64";
const DONE: &str = "complete";

#[cfg(test)]
mod tests;
