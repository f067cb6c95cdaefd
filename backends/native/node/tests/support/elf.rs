//! Images made by hand: as small as an image can be, and as wrong as a test wants.
#![allow(dead_code, reason = "each test uses its part")]

/// Where the parts of [`Elf::default`] are, in the file and in memory.
pub(crate) const CODE: u64 = 0x1000;
pub(crate) const DATA: u64 = 0x2000;
/// The relocation table and the dynamic section, in the data.
pub(crate) const RELA: u64 = DATA;
pub(crate) const DYNAMIC: u64 = DATA + 0x100;
/// A place that is relocated.
pub(crate) const PLACE: u64 = DATA + 0x200;

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_DYNAMIC: u32 = 2;
pub(crate) const PT_INTERP: u32 = 3;
pub(crate) const PT_TLS: u32 = 7;
pub(crate) const X: u32 = 1;
pub(crate) const W: u32 = 2;
pub(crate) const R: u32 = 4;
pub(crate) const DT_NEEDED: u64 = 1;
pub(crate) const DT_RELA: u64 = 7;
pub(crate) const DT_RELASZ: u64 = 8;
pub(crate) const DT_INIT: u64 = 12;
pub(crate) const DT_REL: u64 = 17;
pub(crate) const DT_JMPREL: u64 = 23;
pub(crate) const DT_INIT_ARRAY: u64 = 25;
pub(crate) const DT_PREINIT_ARRAY: u64 = 32;
pub(crate) const DT_RELR: u64 = 36;

#[cfg(target_arch = "x86_64")]
pub(crate) const MACHINE: (u16, u64) = (62, 8);
#[cfg(target_arch = "aarch64")]
pub(crate) const MACHINE: (u16, u64) = (183, 1027);

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) in_file: u64,
    pub(crate) in_memory: u64,
}

/// An image: code at [`CODE`], its data with one relocation at [`DATA`].
#[derive(Clone, Debug)]
pub(crate) struct Elf {
    pub(crate) magic: [u8; 4],
    /// `ET_DYN`.
    pub(crate) form: u16,
    pub(crate) machine: u16,
    pub(crate) entry: u64,
    pub(crate) parts: Vec<Part>,
    /// Place, type and addend.
    pub(crate) relocations: Vec<(u64, u64, u64)>,
    pub(crate) dynamic: Vec<(u64, u64)>,
    pub(crate) code: Vec<u8>,
}

impl Elf {
    pub(crate) fn with_code(code: &[u8]) -> Self {
        let part = |kind, flags, place, length| Part {
            kind,
            flags,
            offset: place,
            address: place,
            in_file: length,
            in_memory: length,
        };
        Self {
            magic: *b"\x7fELF",
            form: 3,
            machine: MACHINE.0,
            entry: CODE,
            parts: vec![
                part(PT_LOAD, R | X, CODE, 0x1000),
                part(PT_LOAD, R | W, DATA, 0x1000),
                part(PT_DYNAMIC, R | W, DYNAMIC, 0x100),
            ],
            relocations: vec![(PLACE, MACHINE.1, CODE)],
            dynamic: vec![(DT_RELA, RELA), (DT_RELASZ, 24)],
            code: code.to_vec(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = vec![0; 0x3000];
        let mut header = Vec::new();
        header.extend_from_slice(&self.magic);
        header.extend_from_slice(&[2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header.extend_from_slice(&self.form.to_le_bytes());
        header.extend_from_slice(&self.machine.to_le_bytes());
        header.extend_from_slice(&1_u32.to_le_bytes());
        for word in [self.entry, 64, 0] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.extend_from_slice(&0_u32.to_le_bytes());
        let parts = u16::try_from(self.parts.len()).expect("few parts");
        for half in [64, 56, parts, 64, 0, 0] {
            header.extend_from_slice(&half.to_le_bytes());
        }
        for part in &self.parts {
            header.extend_from_slice(&part.kind.to_le_bytes());
            header.extend_from_slice(&part.flags.to_le_bytes());
            for word in [part.offset, part.address, part.address, part.in_file, part.in_memory, 0x1000] {
                header.extend_from_slice(&word.to_le_bytes());
            }
        }
        let relocations = self.relocations.iter().flat_map(|(place, kind, addend)| [*place, *kind, *addend]);
        let dynamic = self.dynamic.iter().flat_map(|(tag, value)| [*tag, *value]);
        put(&mut file, 0, &header);
        put(&mut file, CODE, &self.code);
        put(&mut file, RELA, &words(relocations));
        put(&mut file, DYNAMIC, &words(dynamic));
        file
    }
}

fn words(words: impl Iterator<Item = u64>) -> Vec<u8> {
    words.flat_map(u64::to_le_bytes).collect()
}

fn put(file: &mut [u8], at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).expect("a short file");
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
