//! A module in C as a crate: its objects in a library, and its declarations in Rust.

use crate::generated::write_changed;
use crate::{bad, system};
use object::{Object, ObjectSection};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use veritee_c_declare::{Compilation, Compiler, CompilerError, DeclareError, Message, Module, Port};
use veritee_platform::{BuildOrder, PlatformError};
use veritee_wire::ports::FLAG_LATE;

/// A processor that modules in C are compiled for.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    /// Names a folder.
    folder: &'static str,
    /// Compilers that are tried.
    compilers: &'static [&'static str],
    /// What chooses the processor.
    target: &'static [&'static str],
    /// Objects for a static-pie without library, equal wherever they are made.
    flags: &'static [&'static str],
}

impl Processor {
    /// This machine's.
    pub const HOST: Self = Self {
        folder: "c",
        compilers: &["clang", "cc"],
        target: &[],
        flags: &[OPTIMISED, POSITION, HIDDEN, NO_GUARD, NO_TABLES, RETURNS, DECLARED, POINTERS, "-fcf-protection=none"],
    };
    /// 64-bit Arm without operating system, and without registers that its worlds would have to swap.
    pub const ARM64: Self = Self {
        folder: "c-arm64",
        compilers: &["clang"],
        target: &["--target=aarch64-none-elf"],
        flags: &[
            OPTIMISED,
            POSITION,
            HIDDEN,
            NO_GUARD,
            NO_TABLES,
            RETURNS,
            DECLARED,
            POINTERS,
            "-mgeneral-regs-only",
            "-mstrict-align",
        ],
    };
}

const OPTIMISED: &str = "-O2";
const POSITION: &str = "-fPIC";
const HIDDEN: &str = "-fvisibility=hidden";
const NO_GUARD: &str = "-fno-stack-protector";
const NO_TABLES: &str = "-fno-asynchronous-unwind-tables";
const RETURNS: &str = "-Werror=return-type";
const DECLARED: &str = "-Werror=implicit-function-declaration";
const POINTERS: &str = "-Werror=incompatible-pointer-types";

/// What of the C core is used behind the one in Rust: from a call to the author's function.
const CORE: &[&str] = &["core/program.c"];

/// Compiles the module in C and writes a crate around it below the target folder. Gives the crate's folder.
///
/// # Errors
/// [`PlatformError::MissingTool`], [`PlatformError::Build`], [`PlatformError::BadImage`] or [`PlatformError::System`], as
/// said there.
pub fn wrap(order: &BuildOrder<'_>, framework: &Path, processor: Processor) -> Result<PathBuf, PlatformError> {
    let compiler = Compiler::find(processor.compilers, processor.target, "clang");
    let compiler = compiler.map_err(|error| refused(order, error.into()))?;
    let sdk = framework.join("sdk/c");
    let source = order.source.canonicalize().map_err(system(format!("find {}", order.source.display())))?;
    let module = veritee_c_declare::read(&source, &sdk, &compiler).map_err(|error| refused(order, error))?;
    if module.poll || module.interrupt {
        return Err(bad(order, "VT_POLL and VT_INTERRUPT are for drivers on boards; here nobody would call them"));
    }
    let folder = order.target.join("veritee").join(processor.folder).join(order.module);
    fs::create_dir_all(folder.join("src")).map_err(system(format!("make {}", folder.display())))?;
    let folder = folder.canonicalize().map_err(system(format!("find {}", folder.display())))?;
    (order.talk)("compiling C");
    let what = Compilation { folder: &source, sdk: &sdk, core: CORE, flags: processor.flags, out: &folder };
    let objects = veritee_c_declare::compile(&module, &compiler, &what).map_err(|error| refused(order, error))?;
    check_data(order, &objects)?;
    let library = archive(&folder, &objects)?;
    let texts = [
        ("Cargo.toml", manifest(order, framework)),
        ("build.rs", script(&folder, &library)),
        ("src/lib.rs", declarations(&module)),
    ];
    for (name, text) in texts {
        let path = folder.join(name);
        write_changed(&path, text.as_bytes()).map_err(system(format!("write {}", path.display())))?;
    }
    Ok(folder)
}

/// What the reader or the compiler complained of, as a platform says it.
fn refused(order: &BuildOrder<'_>, error: DeclareError) -> PlatformError {
    match error {
        DeclareError::Compiler(CompilerError::Missing { package }) => PlatformError::MissingTool {
            tool: "a C compiler".to_owned(),
            advice: format!("install Debian's package `{package}`"),
        },
        DeclareError::Folder { folder, source } => {
            PlatformError::System { action: format!("use {}", folder.display()), source }
        }
        other => PlatformError::Build { module: order.module.to_owned(), output: other.to_string() },
    }
}

/// Variables with initial values would work here and be zero on a board.
fn check_data(order: &BuildOrder<'_>, objects: &[PathBuf]) -> Result<(), PlatformError> {
    for path in objects {
        let bytes = fs::read(path).map_err(system(format!("read {}", path.display())))?;
        let file = object::File::parse(bytes.as_slice()).map_err(|error| bad(order, &error.to_string()))?;
        let initial = file.sections().any(|section| {
            let name = section.name().unwrap_or_default();
            name.starts_with(".data") && !name.starts_with(".data.rel.ro") && section.size() > 0
        });
        if initial {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let source = stem.split_once('-').map_or(&*stem, |(_, name)| name);
            return Err(bad(
                order,
                &format!(
                    "{source}.c has variables with initial values, which a board cannot load: make them `const`, or set \
                     them in VT_START"
                ),
            ));
        }
    }
    Ok(())
}

/// Joins objects to a library whose name says what is in it, so that cargo notices a change.
fn archive(folder: &Path, objects: &[PathBuf]) -> Result<String, PlatformError> {
    let mut digest = Sha256::new();
    for path in objects {
        digest.update(fs::read(path).map_err(system(format!("read {}", path.display())))?);
    }
    let name = digest.finalize().iter().take(8).fold("module_".to_owned(), |mut name, byte| {
        write!(name, "{byte:02x}").expect("a string takes everything");
        name
    });
    let path = folder.join(format!("lib{name}.a"));
    if !path.exists() {
        let status = Command::new("ar").arg("crsD").arg(&path).args(objects).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(PlatformError::MissingTool {
                tool: "the archiver `ar`".to_owned(),
                advice: "install Debian's package `binutils`".to_owned(),
            });
        }
    }
    Ok(name)
}

fn manifest(order: &BuildOrder<'_>, framework: &Path) -> String {
    format!(
        "# Generated; changes are lost.\n\
         [package]\nname = \"veritee-c-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nveritee-foreign = {{ path = {:?} }}\n",
        order.module,
        framework.join("backends/foreign"),
    )
}

fn script(folder: &Path, library: &str) -> String {
    let search = format!("cargo:rustc-link-search=native={}", folder.display());
    format!(
        "// Generated; changes are lost.\nfn main() {{\n    println!(\"{{}}\", {search:?});\n    \
         println!(\"cargo:rustc-link-lib=static={library}\");\n    println!(\"cargo:rerun-if-changed=build.rs\");\n}}\n"
    )
}

fn declarations(module: &Module) -> String {
    let ports: String = module.ports.iter().map(port).collect();
    format!(
        "// Generated; changes are lost.\n#![no_std]\n\nveritee_foreign::module!(\n    ports = &[\n{ports}    ],\n    \
         state = {},\n    input = {},\n    rows = {},\n    tokens = {},\n);\n",
        module.state_bytes,
        module.input_bytes(),
        module.rows,
        module.tokens,
    )
}

fn port(port: &Port) -> String {
    let kind = format!("{:?}", port.kind);
    let [payload, reply] = [&port.payload, &port.reply].map(hash);
    format!(
        "        veritee_foreign::PortInfo {{ kind: veritee_foreign::PortKind::{kind}, name: {:?}, payload_name: {:?}, \
         reply_name: {:?}, payload_type: {payload}, reply_type: {reply}, payload_bytes_max: {}, reply_bytes_max: {}, \
         emits_max: {}, flags: {} }},\n",
        port.name,
        port.payload.name,
        port.reply.name,
        port.payload.bytes,
        port.reply.bytes,
        port.emits_max,
        if port.late { FLAG_LATE } else { 0 },
    )
}

fn hash(message: &Message) -> String {
    format!("veritee_foreign::TypeHash({:?})", message.hash)
}
