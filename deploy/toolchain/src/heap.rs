//! The heap that a module asks for in its manifest: `heap = "64K"` in `[package.metadata.veritee]`.

#[cfg(test)]
mod tests;

use std::path::Path;

/// Least and most that a module can ask for, in bytes.
const BYTES_MIN: usize = 1 << 10;
const BYTES_MAX: usize = 16 << 20;

/// What a compiler says of a program that allocates and has no allocator.
const MISSING: &str = "no global memory allocator found";

/// A heap inside an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heap {
    bytes: usize,
}

impl Heap {
    /// Reads the author's wish.
    pub(crate) fn of(manifest: &toml::Table) -> Result<Option<Self>, String> {
        let veritee = manifest.get("package").and_then(|package| package.get("metadata")?.get("veritee"));
        let Some(asked) = veritee.and_then(|veritee| veritee.get("heap")) else { return Ok(None) };
        let bytes = asked.as_str().and_then(bytes).filter(|bytes| (BYTES_MIN..=BYTES_MAX).contains(bytes));
        let refused = || {
            format!(
                "`heap = {asked}` in its manifest is no size from \"1K\" to \"16M\": a number, then K (KiB) or M (MiB)"
            )
        };
        bytes.map(|bytes| Some(Self { bytes })).ok_or_else(refused)
    }

    /// What the final crate depends on for it.
    pub(crate) fn dependency(framework: &Path) -> String {
        format!("veritee-heap = {{ path = {:?} }}\n", framework.join("backends/heap"))
    }

    /// Its place in the final crate.
    pub(crate) fn declaration(self) -> String {
        let bytes = self.bytes;
        format!("#[global_allocator]\nstatic HEAP: veritee_heap::Heap<{bytes}> = veritee_heap::Heap::new();\n\n")
    }
}

fn bytes(size: &str) -> Option<usize> {
    let (number, unit) = match size.split_at_checked(size.len().checked_sub(1)?)? {
        (number, "K") => (number, 1 << 10),
        (number, "M") => (number, 1 << 20),
        _ => return None,
    };
    // A sign is a number's to Rust.
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?;
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// What an author may want to do about what the compiler says.
pub(crate) fn hint(output: &str) -> Option<&'static str> {
    output.contains(MISSING).then_some(
        "The module, or a crate that it uses, needs `alloc`, and a module has a heap only if it asks for one. In its manifest:\n\
         [package.metadata.veritee]\nheap = \"64K\"",
    )
}
