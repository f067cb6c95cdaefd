//! Images by themselves.

use crate::grammar::ImageVerb;
use crate::printer::Printer;
use anyhow::{Context, Result, anyhow, bail};
use veritee_exec::platforms;

/// Obeys a verb on images.
pub(crate) fn obey(verb: &ImageVerb, printer: &Printer) -> Result<()> {
    let ImageVerb::Inspect { file } = verb;
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Some(shown) = platforms::registry().iter().find_map(|platform| platform.inspect(&bytes)) else {
        bail!("{} is an image of no platform that shows its images", file.display());
    };
    let shown = shown.map_err(|reason| anyhow!("{} is refused: {reason}", file.display()))?;
    let value: serde_json::Value = serde_json::from_str(&shown.json)?;
    printer.result(&value, || shown.text.trim_end().to_owned());
    Ok(())
}
