//! Files that are whole, odd and damaged.

use proptest::prelude::*;
use veritee_machine::elf::{ElfError, Program, Section, Symbol};
use veritee_machine::{Board, Config};

fn program() -> Program {
    let section = |name: &str, address, length: usize| Section {
        name: name.into(),
        address,
        bytes: (0..length).map(|number| number.to_le_bytes()[0]).collect(),
    };
    let symbol = |name: &str, address, size| Symbol { name: name.into(), address, size, is_function: size > 0 };
    Program {
        entry: 0x5c00,
        sections: vec![section(".text", 0x5c00, 40), section(".data", 0x6000, 7), section(".vectors", 0xffe0, 32)],
        symbols: vec![symbol("main", 0x5c00, 40), symbol("__sm_lamp_public_start", 0x5c20, 0)],
    }
}

#[test]
fn reads_back_what_it_wrote() {
    assert_eq!(Program::parse(&program().to_elf()), Ok(program()));
}

#[test]
fn names_addresses_and_modules() {
    let symbols = veritee_machine::Symbols::new(&program());
    assert_eq!(symbols.address(0x5c00), "main");
    assert_eq!(symbols.address(0x5c12), "main+0x12");
    assert_eq!(symbols.address(0x0300), "0x0300");
    assert_eq!(symbols.module(0x5c20), Some("lamp"));
    assert_eq!(symbols.module(0x5c00), Some("main"), "what its text begins with");
    assert_eq!(symbols.module(0x5c02), None);
}

/// Puts a program header in front that also loads the file's own header, as linkers do.
fn with_segment(physical: u32) -> Vec<u8> {
    let mut file = program().to_elf();
    let at = u32::try_from(file.len()).expect("a small file");
    // Type, offset, virtual and physical address, sizes, flags, alignment: from the header to the end of `.text`.
    for word in [1, 0, physical, physical, 92, 92, 5, 4] {
        file.extend(word.to_le_bytes());
    }
    file[28..32].copy_from_slice(&at.to_le_bytes());
    file[42..46].copy_from_slice(&[32, 0, 1, 0]);
    file
}

#[test]
fn loads_sections_at_their_physical_address_and_not_the_file_header() {
    let loaded = Program::parse(&with_segment(0x7000)).unwrap();
    assert_eq!(loaded.sections[0].address, 0x7000 + 52);
    assert_eq!(loaded.sections[0].bytes.len(), 40);
    assert_eq!(loaded.sections[1].address, 0x6000, "not in the segment");
}

/// Where the header of a section is in a file that `to_elf` made.
fn section_header(file: &[u8], number: usize) -> usize {
    let table = u32::from_le_bytes([file[32], file[33], file[34], file[35]]);
    usize::try_from(table).expect("a small file") + 40 * number
}

#[test]
fn loads_every_section_that_occupies_memory_and_has_contents() {
    let typed = |kind: u8, flags: u8| {
        let mut file = program().to_elf();
        let at = section_header(&file, 2);
        file[at + 4] = kind;
        file[at + 8] = flags;
        let names: Vec<String> = Program::parse(&file).unwrap().sections.into_iter().map(|it| it.name).collect();
        names
    };
    let all = [".text", ".data", ".vectors"];
    // A table of constructors, a note.
    assert_eq!(typed(14, 3), all);
    assert_eq!(typed(7, 2), all);
    // What is zero at the start; what only a debugger wants.
    assert_eq!(typed(8, 3), [".text", ".vectors"]);
    assert_eq!(typed(1, 0), [".text", ".vectors"]);
}

#[test]
fn section_may_fill_all_of_memory() {
    let bytes: Vec<u8> = (0..0x1_0000u32).map(|at| at.to_le_bytes()[1]).collect();
    let all = Program { sections: vec![Section { name: ".all".into(), address: 0, bytes }], ..program() };
    let mut board = Board::new(Config::default());
    board.load_program(&Program::parse(&all.to_elf()).unwrap());
    assert_eq!([0x0200, 0x5c00, 0xffff].map(|address| board.memory(address)), [2, 0x5c, 0xff]);
}

#[test]
fn refuses_other_processors_objects_and_empty_files() {
    let changed = |at: usize, value: u8| {
        let mut file = program().to_elf();
        file[at] = value;
        Program::parse(&file)
    };
    assert_eq!(changed(18, 3), Err(ElfError::Machine(3)));
    assert_eq!(changed(16, 1), Err(ElfError::Relocatable));
    assert!(matches!(changed(4, 2), Err(ElfError::Damaged(_))));
    assert!(matches!(Program::parse(b""), Err(ElfError::Damaged(_))));
    let empty = Program { sections: Vec::new(), ..program() };
    assert_eq!(Program::parse(&empty.to_elf()), Err(ElfError::Empty));
    let mut large = program();
    large.sections[2].bytes.push(0);
    assert!(matches!(Program::parse(&large.to_elf()), Err(ElfError::TooLarge { address: 0xffe0, length: 33, .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Program::parse(&bytes);
    }

    #[test]
    fn damaged_files_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        length in any::<prop::sample::Index>(),
    ) {
        let mut file = with_segment(0x5c00);
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let keep = length.index(file.len() + 1);
        let _ = Program::parse(&file);
        let _ = Program::parse(&file[..keep]);
    }
}
