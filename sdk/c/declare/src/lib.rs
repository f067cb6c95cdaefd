//! What an author of a module in C declared: read from his sources, checked, and turned into everything that follows from it.
//!
//! In the order data meets them: [`compiler`] finds a C compiler and runs its preprocessor, under which the macros of
//! `veritee.h` leave their arguments in the text; `tokens` finds them there; `layout` computes layouts and hashes of payload
//! types; `ports` checks ports; [`Module`] is the result; `generate` writes the sources of the second compilation and the
//! port table.
//!
//! 1. Authors say each thing once; the compiler that compiles a module also reads its declarations.
//! 2. A mistake is one message with file and line.
//! 3. A type's name and hash are those of `#[derive(Payload)]`.
//!
//! Not goals: C beyond the declarations, which is the compiler's; limits of platforms.

pub mod compiler;
mod generate;
mod layout;
mod module;
mod ports;
mod tokens;

#[cfg(test)]
mod tests;

pub use compiler::{Compiler, CompilerError};
pub use module::{Message, Module, Port};

use std::path::{Path, PathBuf};

/// What is wrong with a declaration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct Mistake {
    /// The file, as the compiler names it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Why a module's declarations could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeclareError {
    /// A declaration is wrong.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// The compiler is missing or refused a source.
    #[error(transparent)]
    Compiler(#[from] CompilerError),
    /// The folder has no C files.
    #[error("{} has no C files", .0.display())]
    NoSources(PathBuf),
    /// A folder cannot be read, or a file in it not be written.
    #[error("cannot use {}: {source}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// The C files of a module: those in its folder, in the order of their names.
///
/// # Errors
/// [`DeclareError::Folder`] or [`DeclareError::NoSources`].
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>, DeclareError> {
    let failed = |source| DeclareError::Folder { folder: folder.to_owned(), source };
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if name.extension().is_some_and(|extension| extension == "c") {
            sources.push(name);
        }
    }
    sources.sort();
    if sources.is_empty() { Err(DeclareError::NoSources(folder.to_owned())) } else { Ok(sources) }
}

/// Reads the declarations of the module in `folder`. `sdk` is the folder of `veritee.h`.
///
/// # Errors
/// [`DeclareError`], as said there.
pub fn read(folder: &Path, sdk: &Path, compiler: &Compiler) -> Result<Module, DeclareError> {
    let mut declarations = Vec::new();
    for source in sources(folder)? {
        declarations.extend(tokens::declarations(&compiler.preprocess(folder, &source, sdk)?)?);
    }
    Ok(module::check(declarations)?)
}

/// What is compiled, and how.
#[derive(Clone, Copy, Debug)]
pub struct Compilation<'a> {
    /// Folder of the author's sources.
    pub folder: &'a Path,
    /// Folder of `veritee.h`.
    pub sdk: &'a Path,
    /// Files of the core, below `sdk`.
    pub core: &'a [&'a str],
    /// Further options of the compiler.
    pub flags: &'a [&'a str],
    /// Where everything that is made goes.
    pub out: &'a Path,
}

/// Compiles a module that was read: its sources, the generated ones, and files of the core. Gives the objects.
///
/// # Errors
/// [`DeclareError`], as said there.
pub fn compile(module: &Module, compiler: &Compiler, what: &Compilation<'_>) -> Result<Vec<PathBuf>, DeclareError> {
    let Compilation { folder, sdk, core, flags, out } = *what;
    let failed = |source| DeclareError::Folder { folder: out.to_owned(), source };
    for (name, text) in [("veritee_declared.h", module.header()), ("veritee_ports.c", module.source())] {
        std::fs::write(out.join(name), text).map_err(failed)?;
    }
    let mut inputs: Vec<PathBuf> = sources(folder)?;
    inputs.extend(core.iter().map(|name| sdk.join(name)));
    inputs.push(out.join("veritee_ports.c"));
    let mut objects = Vec::new();
    for (number, source) in inputs.iter().enumerate() {
        let name = source.file_stem().unwrap_or_default().to_string_lossy();
        let object = out.join(format!("{number}-{name}.o"));
        compiler.compile(folder, source, &[sdk, out], flags, &object)?;
        objects.push(object);
    }
    Ok(objects)
}
