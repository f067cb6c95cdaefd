//! What the tasks share: cargo's knowledge of the workspace, the sources, running programs.
#![expect(clippy::print_stderr, reason = "a task runner talks to the person who started it")]
#![expect(clippy::missing_errors_doc, reason = "errors here are sentences for people, made where they happen")]

pub mod metadata;
pub mod source;
pub mod stage;

/// Where Debian's OP-TEE and kernel are kept for tests and the demonstration.
pub const PACKAGES: &str = "target/test-images/machine";
