//! A module whose state is longer than one message of a restore, in as many editions as a test wants.

use super::{OWNER, build_folder};
use std::fs;
use std::path::PathBuf;

/// The source of an edition: each is another image, of the version that it says.
pub fn book(edition: u32, version: u32) -> PathBuf {
    let folder = build_folder(OWNER).join(format!("sources/book-{edition}-{version}"));
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"book\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n[workspace]\n\n\
         [package.metadata.veritee.sgx]\nversion = {version}\n\n[dependencies]\nveritee = {{ path = {:?} }}\n",
        super::repository().join("sdk/rust")
    );
    for (name, text) in [("Cargo.toml", manifest), ("src/lib.rs", SOURCE.replace("EDITION", &edition.to_string()))] {
        // What did not change is not built again.
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        fs::write(&path, text).unwrap();
    }
    folder
}

const SOURCE: &str = r#"//! Notes presses, and passes them on.
#![no_std]

use veritee::Payload;

/// One press.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Press {
    /// The first press has number 1.
    pub number: u32,
}

/// The question what was noted.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Question {}

/// What was noted.
#[derive(Payload, Clone, Copy, PartialEq, Debug)]
pub struct Answer {
    /// Presses that were noted.
    pub entries: u32,
    /// A sum over all pages: a page that is missing changes it.
    pub sum: u32,
    /// The book's edition.
    pub edition: u32,
}

/// The book.
#[derive(Payload)]
pub struct Book {
    entries: u32,
    pages: [u32; 1200],
}

impl Default for Book {
    fn default() -> Self {
        Self { entries: 0, pages: [0x5151; 1200] }
    }
}

#[veritee::module(movable)]
impl Book {
    /// A press was noted.
    #[output]
    fn noted(press: Press);

    /// Writes on all pages.
    #[input]
    fn note(&mut self, mut io: Io<'_>, press: Press) {
        self.entries += 1;
        for page in &mut self.pages {
            *page = page.wrapping_mul(31).wrapping_add(press.number);
        }
        io.noted(&press);
    }

    /// For the owner.
    #[handler]
    fn read(&mut self, _io: &mut Io<'_>, _question: Question) -> Answer {
        let sum = self.pages.iter().zip(1_u32..).fold(0_u32, |sum, (page, at)| sum.wrapping_add(page.wrapping_mul(at)));
        Answer { entries: self.entries, sum, edition: EDITION }
    }
}
"#;
