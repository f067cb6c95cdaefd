//! The registry of platforms: one line for each.

use std::path::Path;
use std::sync::Arc;
use veritee_host::Platform;
use veritee_native_node::NativePlatform;

/// The platforms that this program can host. `program` is this program, which platforms start again as their runner.
#[must_use]
pub fn registry(program: &Path) -> Vec<Arc<dyn Platform>> {
    vec![Arc::new(NativePlatform::new(program.to_owned()))]
}
