//! Why there is no image.

use std::io;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The machine lacks a tool.
    #[error("{tool} is not installed; the Debian packages `clang` and `lld` have what Sancus images need")]
    MissingTool {
        /// Its program.
        tool: String,
    },
    /// A source does not compile or link; the tool's own words.
    #[error("{module} cannot be built:\n{said}")]
    Tool {
        /// What was built.
        module: String,
        /// What the tool said.
        said: String,
    },
    /// A module's declarations are wrong.
    #[error("{module}: {source}")]
    Declarations {
        /// The module.
        module: String,
        /// What is wrong.
        source: veritee_c_declare::DeclareError,
    },
    /// The module is too big for the memory that there is.
    #[error("{module} is too big for the board: its {section} needs {needed} bytes, free are {free}")]
    TooBig {
        /// What was placed.
        module: String,
        /// `text` or `secret section`.
        section: &'static str,
        /// Bytes needed.
        needed: u32,
        /// Bytes there are.
        free: u32,
    },
    /// A module has variables with a first value other than zero.
    #[error(
        "{module} has an initialised variable (section {section}); a module's memory begins as zero, assign the value when it starts"
    )]
    InitialisedVariable {
        /// The module.
        module: String,
        /// The section of the variable.
        section: String,
    },
    /// A reference leaves the module.
    #[error("{module} refers to {symbol} at {address:#06x}, outside of itself")]
    Outside {
        /// The module.
        module: String,
        /// The symbol.
        symbol: String,
        /// Where it is.
        address: u32,
    },
    /// An odd or impossible address.
    #[error("{module} cannot be at {address:#06x}")]
    Address {
        /// The module.
        module: String,
        /// The address.
        address: u16,
    },
    /// A plan of a board that makes no sense.
    #[error("the plan of the board: {0}")]
    Plan(String),
    /// The linker wrote something unexpected: a fault of ours.
    #[error("the linked {module} is not as it should be: {reason}")]
    Unexpected {
        /// What was linked.
        module: String,
        /// What is wrong.
        reason: String,
    },
    /// The machine.
    #[error("cannot {action}")]
    System {
        /// What was done.
        action: String,
        /// Why not.
        source: io::Error,
    },
}

/// For `map_err`: what was done when the machine refused.
pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> ImageError {
    let action = action.into();
    |source| ImageError::System { action, source }
}
