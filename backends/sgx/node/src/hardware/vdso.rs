//! Functions that the kernel maps into every process.
//!
//! # Source
//! Linux, `Documentation/ABI/stable/vdso`.

use crate::entry::Enter;
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object as _, ObjectSegment as _, ObjectSymbol as _};
use std::ops::Range;

/// A function of the vDSO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Function {
    address: u64,
    length: u64,
}

impl Function {
    /// Where its code is.
    pub(crate) const fn range(&self) -> Range<u64> {
        self.address..self.address + self.length
    }

    /// The function, to be called.
    ///
    /// # Safety
    /// 1. The function has this form.
    pub(crate) unsafe fn enter(&self) -> Enter {
        // SAFETY: the address is that of a function of the vDSO, which stays mapped; the caller knows its form (duty 1).
        unsafe { std::mem::transmute::<*const (), Enter>(self.address as *const ()) }
    }
}

/// Finds a function in the vDSO of this process.
pub(crate) fn find(name: &str) -> Result<Function, String> {
    let vdso = mapped().ok_or("this process has no vDSO")?;
    let length = usize::try_from(vdso.end - vdso.start).map_err(|_| "the vDSO has no end")?;
    // SAFETY: the kernel keeps these pages mapped, readable and unchanged as long as the process lives.
    let image = unsafe { std::slice::from_raw_parts(vdso.start as *const u8, length) };
    let found = symbol(image, name).ok_or_else(|| format!("this kernel's vDSO has no {name}: SGX needs Linux 5.11"))?;
    Ok(Function { address: vdso.start + found.address, ..found })
}

/// A function in the image of a vDSO; its address counts from the image's start.
pub(crate) fn symbol(image: &[u8], name: &str) -> Option<Function> {
    let file = ElfFile64::<LittleEndian>::parse(image).ok()?;
    let start = file.segments().next()?.address();
    let symbol = file.dynamic_symbols().find(|symbol| symbol.name() == Ok(name) && symbol.is_definition())?;
    let address = symbol.address().checked_sub(start)?;
    let end = address.checked_add(symbol.size())?;
    (symbol.size() > 0 && end <= image.len() as u64).then_some(Function { address, length: symbol.size() })
}

/// Where the vDSO is: the kernel tells its start by AT_SYSINFO_EHDR, and the list of mappings its end.
fn mapped() -> Option<Range<u64>> {
    // SAFETY: asks for a number.
    let start = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (first, rest) = line.split_once('-')?;
        let (end, rest) = rest.split_once(' ')?;
        let range = u64::from_str_radix(first, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
        (range.start == start && rest.starts_with('r')).then_some(range)
    })
}
