use super::Archive;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn entries_lie_where_the_format_says() {
    let mut archive = Archive::default();
    archive.folder("dev");
    archive.program("init", b"12345");
    let bytes = archive.finish();
    assert!(bytes.starts_with(b"07070100000001000041ED"));
    let init = bytes.windows(5).position(|window| window == b"init\0").unwrap();
    assert_eq!((init - 110) % 4, 0);
    assert_eq!(&bytes[init - 110..init - 104], b"070701");
    assert_eq!(&bytes[init + 6..init + 11], b"12345", "the name with its zero ends at a multiple of four");
    assert_eq!(bytes.len() % 4, 0);
}

#[test]
fn cpio_reads_an_archive_where_there_is_one() {
    let Ok(mut cpio) =
        Command::new("cpio").args(["-it", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    else {
        eprintln!("skipped: there is no cpio");
        return;
    };
    let mut archive = Archive::default();
    archive.folder("a");
    archive.file("a/b", b"x");
    cpio.stdin.take().unwrap().write_all(&archive.finish()).unwrap();
    let output = cpio.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a\na/b\n");
}
