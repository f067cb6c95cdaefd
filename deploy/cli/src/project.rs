//! `veritee new`.

use crate::printer::Printer;
use anyhow::{Result, bail};

pub(crate) fn new(name: &str, _: &Printer) -> Result<()> {
    bail!("{name}")
}
