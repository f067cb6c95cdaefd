//! The registry of platforms: one line for each.

use crate::config::Board;
use std::path::Path;
use std::sync::Arc;
use veritee_host::Platform;
use veritee_native_node::NativePlatform;
use veritee_sancus_node::{BoardConfig, SancusPlatform};
#[cfg(target_arch = "x86_64")]
use veritee_sgx_node::SgxPlatform;
use veritee_trustzone_node::TrustzonePlatform;

/// The platforms that this program can host. `program` is this program, which platforms start again as their runner;
/// `boards` are those of the configuration.
#[must_use]
pub fn registry(program: &Path, boards: &[Board]) -> Vec<Arc<dyn Platform>> {
    let mut platforms: Vec<Arc<dyn Platform>> = vec![
        Arc::new(NativePlatform::new(program.to_owned())),
        #[cfg(target_arch = "x86_64")]
        Arc::new(SgxPlatform::new(program.to_owned())),
        Arc::new(TrustzonePlatform::new(program.to_owned())),
    ];
    if !boards.is_empty() {
        platforms.push(Arc::new(SancusPlatform::new(boards.iter().map(board).collect())));
    }
    platforms
}

fn board(board: &Board) -> BoardConfig {
    let Board { name, port, baud, drivers } = board.clone();
    BoardConfig { name, port, baud, drivers }
}
