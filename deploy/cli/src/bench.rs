//! `veritee bench`.

use crate::printer::Printer;
use anyhow::{Result, bail};

/// What is to be measured.
pub(crate) struct Wish {
    pub(crate) platform: String,
    pub(crate) payload: u16,
    pub(crate) cipher: String,
    pub(crate) events: u64,
    pub(crate) connections: u16,
}

pub(crate) async fn bench(wish: &Wish, _: &Printer) -> Result<()> {
    bail!("{} {} {} {} {}", wish.platform, wish.payload, wish.cipher, wish.events, wish.connections)
}
