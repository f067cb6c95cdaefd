//! Mapping an image: a static-pie with RELATIVE relocations and nothing else.

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _, Rela as _};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use std::ffi::c_void;

/// Largest image in memory.
pub(crate) const SPAN_MAX: u64 = 64 * 1024 * 1024;
pub(crate) const PAGE: u64 = 4096;

#[cfg(target_arch = "x86_64")]
const MACHINE: (u16, u32) = (elf::EM_X86_64, elf::R_X86_64_RELATIVE);
#[cfg(target_arch = "aarch64")]
const MACHINE: (u16, u32) = (elf::EM_AARCH64, elf::R_AARCH64_RELATIVE);

/// Packed relative relocations, which some linkers make by default.
const DT_RELR: u32 = 36;
/// Entries of a dynamic section that ask for what is not done here.
const BEYOND: [u32; 7] =
    [elf::DT_NEEDED, elf::DT_JMPREL, elf::DT_REL, DT_RELR, elf::DT_INIT, elf::DT_INIT_ARRAY, elf::DT_PREINIT_ARRAY];

/// The entry of an image: operation, input, output; gives the length of the output.
pub(crate) type Entry = unsafe extern "C" fn(u32, *mut u8, usize, *mut u8, usize) -> usize;

/// A part of the image.
pub(crate) struct Segment<'a> {
    pub(crate) address: u64,
    pub(crate) length: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) flags: u32,
}

/// What an image says of itself, checked.
pub(crate) struct Plan<'a> {
    pub(crate) segments: Vec<Segment<'a>>,
    /// Places to relocate, with their addends.
    pub(crate) relocations: Vec<(u64, u64)>,
    pub(crate) entry: u64,
    pub(crate) span: u64,
}

/// Maps an image into this process and gives its entry.
///
/// The mapping stays until the process ends. No part of it is writable and executable at once.
pub(crate) fn map(bytes: &[u8]) -> Result<Entry, String> {
    let plan = plan(bytes)?;
    let span = usize::try_from(plan.span).map_err(|_| "too large")?;
    // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing.
    let base = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), span, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    let base = base.map_err(|error| format!("it cannot be mapped: {error}"))?;
    for segment in &plan.segments {
        // SAFETY: `plan` checked that address and bytes lie inside the span; both ends are distinct memory.
        unsafe {
            let place = base.cast::<u8>().add(segment.address as usize);
            std::ptr::copy_nonoverlapping(segment.bytes.as_ptr(), place, segment.bytes.len());
        }
    }
    for (place, addend) in &plan.relocations {
        let value = (base as u64).wrapping_add(*addend);
        // SAFETY: `plan` checked that the place's eight bytes lie inside the span.
        unsafe { base.cast::<u8>().add(*place as usize).cast::<u64>().write_unaligned(value) };
    }
    for segment in &plan.segments {
        protect(base, segment)?;
    }
    // SAFETY: `plan` checked that the entry lies in an executable segment; the image builder put `veritee_enter` there.
    Ok(unsafe { std::mem::transmute::<*mut c_void, Entry>(base.cast::<u8>().add(plan.entry as usize).cast()) })
}

fn protect(base: *mut c_void, segment: &Segment<'_>) -> Result<(), String> {
    let mut flags = MprotectFlags::READ;
    flags.set(MprotectFlags::WRITE, segment.flags & elf::PF_W != 0);
    flags.set(MprotectFlags::EXEC, segment.flags & elf::PF_X != 0);
    let start = segment.address / PAGE * PAGE;
    let length = (segment.address + segment.length).next_multiple_of(PAGE) - start;
    // SAFETY: the pages lie inside the span that was mapped for the image; nothing has a reference into them.
    let protected = unsafe {
        let place = base.cast::<u8>().add(start as usize).cast();
        rustix::mm::mprotect(place, length as usize, flags)
    };
    protected.map_err(|error| format!("its pages cannot be protected: {error}"))
}

/// Reads an image and refuses everything unusual.
pub(crate) fn plan(bytes: &[u8]) -> Result<Plan<'_>, String> {
    let file = ElfFile64::<LE>::parse(bytes).map_err(|error| format!("it is no ELF image: {error}"))?;
    let header = file.elf_header();
    if header.e_machine(LE) != MACHINE.0 || header.e_type(LE) != elf::ET_DYN {
        return Err("it is no position-independent image of this processor".to_owned());
    }
    let mut plan = Plan { segments: Vec::new(), relocations: Vec::new(), entry: header.e_entry(LE), span: 0 };
    for part in file.elf_program_headers() {
        match part.p_type(LE) {
            elf::PT_LOAD => plan.segments.push(segment(part, bytes)?),
            elf::PT_INTERP | elf::PT_TLS => {
                return Err("it needs a loader or thread-local storage".to_owned());
            }
            _ => {}
        }
    }
    plan.span = plan.segments.iter().map(|part| part.address + part.length).max().unwrap_or(0).next_multiple_of(PAGE);
    check_segments(&plan)?;
    plan.relocations = relocations(&file, bytes, plan.span)?;
    Ok(plan)
}

fn segment<'a>(part: &elf::ProgramHeader64<LE>, bytes: &'a [u8]) -> Result<Segment<'a>, String> {
    let data = part.data(LE, bytes).map_err(|()| "a segment lies outside the file")?;
    let segment = Segment { address: part.p_vaddr(LE), length: part.p_memsz(LE), bytes: data, flags: part.p_flags(LE) };
    if segment.address >= SPAN_MAX || segment.length >= SPAN_MAX || data.len() as u64 > segment.length {
        return Err("a segment is too large".to_owned());
    }
    if segment.flags & elf::PF_W != 0 && segment.flags & elf::PF_X != 0 {
        return Err("a segment is writable and executable".to_owned());
    }
    Ok(segment)
}

fn check_segments(plan: &Plan<'_>) -> Result<(), String> {
    let mut end = 0;
    for part in &plan.segments {
        if part.address / PAGE * PAGE < end {
            return Err("its segments overlap or share pages".to_owned());
        }
        end = (part.address + part.length).next_multiple_of(PAGE);
    }
    let executable = |part: &&Segment<'_>| part.flags & elf::PF_X != 0;
    let inside = |part: &Segment<'_>| (part.address..part.address + part.length).contains(&plan.entry);
    if !plan.segments.iter().filter(executable).any(inside) {
        return Err("its entry is not code".to_owned());
    }
    Ok(())
}

fn relocations(file: &ElfFile64<'_, LE>, bytes: &[u8], span: u64) -> Result<Vec<(u64, u64)>, String> {
    let (mut table, mut size) = (0, 0);
    for part in file.elf_program_headers() {
        let entries = part.dynamic(LE, bytes).map_err(|_| "its dynamic section cannot be read")?;
        let Some(entries) = entries else { continue };
        for entry in entries {
            match u32::try_from(entry.d_tag(LE)) {
                Ok(elf::DT_RELA) => table = entry.d_val(LE),
                Ok(elf::DT_RELASZ) => size = entry.d_val(LE),
                Ok(tag) if BEYOND.contains(&tag) => {
                    return Err("it needs more than RELATIVE relocations".to_owned());
                }
                _ => {}
            }
        }
    }
    if size == 0 {
        return Ok(Vec::new());
    }
    let holder = file.elf_program_headers().iter().find(|part| {
        part.p_type(LE) == elf::PT_LOAD
            && table >= part.p_vaddr(LE)
            && table.saturating_add(size) <= part.p_vaddr(LE) + part.p_filesz(LE)
    });
    let holder = holder.ok_or("its relocations lie outside")?;
    let start = usize::try_from(holder.p_offset(LE) + (table - holder.p_vaddr(LE))).map_err(|_| "too large")?;
    let size = usize::try_from(size).map_err(|_| "too large")?;
    let rows = bytes.get(start..start + size).ok_or("its relocations lie outside")?;
    let (rows, rest) = object::pod::slice_from_all_bytes::<elf::Rela64<LE>>(rows)
        .map(|rows| (rows, &[][..] as &[u8]))
        .map_err(|()| "its relocations are cut")?;
    debug_assert!(rest.is_empty());
    rows.iter()
        .map(|row| {
            let place = row.r_offset(LE);
            let fits = row.r_type(LE, false) == MACHINE.1 && place < span && place + 8 <= span;
            let addend = u64::from_le_bytes(row.r_addend(LE).to_le_bytes());
            if fits { Ok((place, addend)) } else { Err("it needs more than RELATIVE relocations".to_owned()) }
        })
        .collect()
}
