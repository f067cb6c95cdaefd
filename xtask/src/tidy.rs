//! House rules, checked by machine. Each rule gives a list of complaints; an empty list is a tidy house.

mod functions;
mod laws;
mod licences;
mod lines;
mod text;
mod unsafety;

use anyhow::{Result, bail};

/// A rule: with `true` it records numbers that got better; it gives complaints.
type Rule = fn(bool) -> Result<Vec<String>>;

/// Checks all rules. With `ratchet`, records numbers that got better.
pub(crate) fn run(ratchet: bool) -> Result<()> {
    let rules: [(&str, Rule); 6] = [
        ("dependency laws", laws::check),
        ("licences and duplicates", licences::check),
        ("lines", lines::check),
        ("functions", functions::check),
        ("unsafe", unsafety::check),
        ("text", text::check),
    ];
    let mut complaints = Vec::new();
    for (rule, check) in rules {
        let found = check(ratchet)?;
        complaints.extend(found.into_iter().map(|complaint| format!("{rule}: {complaint}")));
    }
    if complaints.is_empty() {
        println!("tidy");
        return Ok(());
    }
    bail!("{}\n{} complaints", complaints.join("\n"), complaints.len());
}
