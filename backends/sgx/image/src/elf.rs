//! Reading the program that the linker made: segments, relocations, entry, port table.

use object::LittleEndian as LE;
use object::elf;
use object::read::elf::{Dyn as _, ElfFile64, FileHeader as _, ProgramHeader as _, Rela as _};
use object::{Object as _, ObjectSection as _};
use veritee_sgx_format::PAGE;

/// A segment of the program.
pub(crate) struct Segment<'a> {
    pub(crate) address: u64,
    /// In memory: what the file does not have is zero.
    pub(crate) length: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) write: bool,
    pub(crate) execute: bool,
}

/// A program, checked.
pub(crate) struct Plan<'a> {
    pub(crate) segments: Vec<Segment<'a>>,
    pub(crate) entry: u64,
    /// Address and count of RELATIVE relocations.
    pub(crate) relocations: (u64, u64),
    /// Address and length of the port table.
    pub(crate) ports: (u64, u64),
    /// End of the last segment, on a page.
    pub(crate) span: u64,
}

/// Entries of a dynamic section that ask for what the entry code does not do.
const BEYOND: [u32; 7] =
    [elf::DT_NEEDED, elf::DT_JMPREL, elf::DT_REL, 36, elf::DT_INIT, elf::DT_INIT_ARRAY, elf::DT_PREINIT_ARRAY];

/// Reads a program and refuses everything that an enclave cannot have.
pub(crate) fn read(bytes: &[u8]) -> Result<Plan<'_>, String> {
    let file = ElfFile64::<LE>::parse(bytes).map_err(|error| format!("the program is no ELF file: {error}"))?;
    let header = file.elf_header();
    if header.e_machine(LE) != elf::EM_X86_64 || header.e_type(LE) != elf::ET_DYN {
        return Err("SGX needs a position-independent program for x86-64".to_owned());
    }
    let mut segments = Vec::new();
    for part in file.elf_program_headers() {
        match part.p_type(LE) {
            elf::PT_LOAD => segments.push(segment(part, bytes)?),
            elf::PT_INTERP | elf::PT_TLS => return Err("it needs a loader or thread-local storage".to_owned()),
            _ => {}
        }
    }
    let span = segments.iter().map(|part| part.address + part.length).max().unwrap_or(0);
    let ports = file.section_by_name(veritee_wire::ports::SECTION).ok_or("it has no port table")?;
    let mut plan = Plan {
        segments,
        entry: header.e_entry(LE),
        relocations: (0, 0),
        ports: (ports.address(), ports.size()),
        span: span.next_multiple_of(PAGE as u64),
    };
    check_segments(&plan)?;
    plan.relocations = relocations(&file, bytes, &plan)?;
    Ok(plan)
}

fn segment<'a>(part: &elf::ProgramHeader64<LE>, bytes: &'a [u8]) -> Result<Segment<'a>, String> {
    let data = part.data(LE, bytes).map_err(|()| "a segment lies outside the file")?;
    let flags = part.p_flags(LE);
    let segment = Segment {
        address: part.p_vaddr(LE),
        length: part.p_memsz(LE),
        bytes: data,
        write: flags & elf::PF_W != 0,
        execute: flags & elf::PF_X != 0,
    };
    if segment.address >= SPAN_MAX || segment.length >= SPAN_MAX || data.len() as u64 > segment.length {
        return Err("a segment is too large".to_owned());
    }
    if segment.write && segment.execute {
        return Err("a segment is writable and executable".to_owned());
    }
    Ok(segment)
}

fn check_segments(plan: &Plan<'_>) -> Result<(), String> {
    let mut end = 0;
    for part in &plan.segments {
        if part.address / PAGE as u64 * (PAGE as u64) < end {
            return Err("its segments overlap or share pages".to_owned());
        }
        end = (part.address + part.length).next_multiple_of(PAGE as u64);
    }
    let inside =
        |part: &&Segment<'_>| part.execute && part.address <= plan.entry && plan.entry < part.address + part.length;
    if plan.segments.iter().any(|part| inside(&part)) { Ok(()) } else { Err("its entry is no code".to_owned()) }
}

fn relocations(file: &ElfFile64<'_, LE>, bytes: &[u8], plan: &Plan<'_>) -> Result<(u64, u64), String> {
    let (mut table, mut size) = (0, 0);
    for part in file.elf_program_headers() {
        let entries = part.dynamic(LE, bytes).map_err(|_| "its dynamic section cannot be read")?;
        for entry in entries.into_iter().flatten() {
            match u32::try_from(entry.d_tag(LE)) {
                Ok(elf::DT_RELA) => table = entry.d_val(LE),
                Ok(elf::DT_RELASZ) => size = entry.d_val(LE),
                Ok(tag) if BEYOND.contains(&tag) => return Err("it needs more than RELATIVE relocations".to_owned()),
                _ => {}
            }
        }
    }
    let holder = plan.segments.iter().find_map(|part| {
        let start = usize::try_from(table.checked_sub(part.address)?).ok()?;
        part.bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    });
    let rows = holder.ok_or("its relocations lie outside")?;
    let rows = object::pod::slice_from_all_bytes::<elf::Rela64<LE>>(rows).map_err(|()| "its relocations are cut")?;
    for row in rows {
        let place = row.r_offset(LE);
        let writable =
            |part: &Segment<'_>| part.write && part.address <= place && place + 8 <= part.address + part.length;
        if row.r_type(LE, false) != elf::R_X86_64_RELATIVE || !plan.segments.iter().any(writable) {
            return Err("it needs more than RELATIVE relocations of its data".to_owned());
        }
    }
    Ok((table, rows.len() as u64))
}

const SPAN_MAX: u64 = 64 * 1024 * 1024;
