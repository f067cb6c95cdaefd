//! What a hostile module can do to its node: an image made by hand tries it, in the sandbox that the runner applies.
#![cfg(target_arch = "x86_64")]

#[path = "support/elf.rs"]
mod elf;
#[path = "support/hostile.rs"]
mod hostile;
mod support;

use hostile::Call;
use std::fs;
use support::Native;
use veritee_ids::Op;

const KILLED: &str = "signal 31 (SIGSYS): the module tried a system call that the sandbox refuses";
/// Bit of the calls of the x32 interface: other numbers for the same calls.
const X32: i64 = 0x4000_0000;
const HERE: u64 = libc::AT_FDCWD as u64;

/// What a module would need to reach files, the network, other processes, or more memory to run code in.
///
/// Chosen so that they do no harm where the sandbox fails.
const FORBIDDEN: &[(&str, Call)] = &[
    ("open", Call::new(libc::SYS_open, [0; 6]).bytes(0, b"/etc/passwd\0")),
    ("openat", Call::new(libc::SYS_openat, [HERE, 0, 0, 0, 0, 0]).bytes(1, b"/etc/passwd\0")),
    ("openat2", Call::new(libc::SYS_openat2, [HERE, 0, 0, 24, 0, 0]).bytes(1, b"/etc/passwd\0")),
    ("stat", Call::new(libc::SYS_newfstatat, [HERE, 0, 0, 0, 0, 0]).bytes(1, b"/\0")),
    ("mkdir", Call::new(libc::SYS_mkdir, [0, 0o700, 0, 0, 0, 0]).bytes(0, b"/proc/veritee\0")),
    ("unlink", Call::new(libc::SYS_unlink, [0; 6]).bytes(0, b"/proc/veritee\0")),
    ("socket", Call::new(libc::SYS_socket, [libc::AF_INET as u64, libc::SOCK_STREAM as u64, 0, 0, 0, 0])),
    ("unix socket", Call::new(libc::SYS_socketpair, [libc::AF_UNIX as u64, 1, 0, 0, 0, 0])),
    ("netlink", Call::new(libc::SYS_socket, [libc::AF_NETLINK as u64, 3, 0, 0, 0, 0])),
    ("execve", Call::new(libc::SYS_execve, [0; 6]).bytes(0, b"/bin/true\0")),
    ("clone", Call::new(libc::SYS_clone, [libc::CLONE_THREAD as u64, 0, 0, 0, 0, 0])),
    ("kill", Call::new(libc::SYS_kill, [1, 0, 0, 0, 0, 0])),
    ("ptrace", Call::new(libc::SYS_ptrace, [libc::PTRACE_TRACEME as u64, 0, 0, 0, 0, 0])),
    ("process_vm_readv", Call::new(libc::SYS_process_vm_readv, [1, 0, 0, 0, 0, 0])),
    ("executable memory", Call::new(libc::SYS_mmap, [0, 4096, 7, 0x22, u64::MAX, 0])),
    ("mprotect", Call::new(libc::SYS_mprotect, [0, 4096, 7, 0, 0, 0])),
    ("io_uring", Call::new(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0, 0])),
    ("bpf", Call::new(libc::SYS_bpf, [0; 6])),
    ("another filter", Call::new(libc::SYS_seccomp, [0; 6])),
    ("dup", Call::new(libc::SYS_dup, [2, 0, 0, 0, 0, 0])),
    ("ioctl", Call::new(libc::SYS_ioctl, [2, 0, 0, 0, 0, 0])),
    ("clock", Call::new(libc::SYS_clock_gettime, [0; 6])),
    ("randomness", Call::new(libc::SYS_getrandom, [0; 6])),
    ("no such call", Call::new(1 << 20, [0; 6])),
    // Behind other gates numbers mean other calls: a filter that only looks at numbers lets them through.
    ("32-bit open", Call::new(5, [0; 6]).compatible().bytes(0, b"/etc/passwd\0")),
    ("32-bit call that is allowed by its number", Call::new(libc::SYS_sched_yield, [0; 6]).compatible()),
    ("x32 write", Call::new(X32 | libc::SYS_write, [2, 0, 0, 0, 0, 0])),
];

/// Makes a call; the result, or how the module died.
fn attempt(native: &mut Native, call: &Call) -> Result<i64, String> {
    native.hosted.push(1, Op::Entry, &call.input()).expect("room");
    native.hosted.flush();
    let Some((position, _, bytes)) = native.output() else {
        return Err(native.hosted.death().expect("it ended").reason);
    };
    native.hosted.release(position);
    Ok(i64::from_le_bytes(bytes.try_into().expect("a result has eight bytes")))
}

#[test]
fn a_call_that_modules_need_returns() {
    let mut native = Native::start(&hostile::image());
    assert_eq!(attempt(&mut native, &Call::new(libc::SYS_sched_yield, [0; 6])), Ok(0));
}

#[test]
fn whoever_tries_more_than_doorbells_is_killed() {
    for (name, call) in FORBIDDEN {
        let mut native = Native::start(&hostile::image());
        let reason = attempt(&mut native, call).expect_err(name);
        // A kernel may have no 32-bit gate at all; whoever knocks there dies of that.
        assert!(reason == KILLED || call.compatible, "{name}: {reason}");
        assert_eq!(fs::read_dir(native.folder.path()).expect("a folder").count(), 7, "{name} left a file");
    }
}

/// Of the files of its node a module holds its doorbells and an empty lock.
#[test]
fn there_is_nothing_to_read() {
    let mut native = Native::start(&hostile::image());
    let pid = fs::read_to_string(native.folder.path().join("pid")).expect("a pid");
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives");
    let mut names: Vec<String> = files
        .map(|file| fs::read_link(file.expect("a file").path()).expect("a link"))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["alive", "bell-in", "bell-out", "null", "null", "runner.log"]);
    for file in 0..64 {
        let read = Call::new(libc::SYS_read, [file, 0, 0, 0, 0, 0]);
        let open = fs::exists(format!("/proc/{pid}/fd/{file}")).expect("readable");
        let result = attempt(&mut native, &read).expect("reading is allowed");
        assert_eq!(result == -i64::from(libc::EBADF), !open || file == 1 || file == 2, "file {file}");
    }
}

/// The log is the only file with a place on the disk behind it: a module must not fill the disk.
#[test]
fn nothing_is_written_to_the_disk() {
    let mut native = Native::start(&hostile::image());
    let write = Call::new(libc::SYS_write, [2, 0, 4, 0, 0, 0]).bytes(1, b"text");
    let result = attempt(&mut native, &write);
    assert_eq!(result, Err(format!("signal {}", libc::SIGXFSZ)));
    let log = fs::metadata(native.folder.path().join("runner.log")).expect("a log");
    assert_eq!(log.len(), 0);
}

#[test]
fn limits_hold_for_the_rest_of_its_life() {
    let native = Native::start(&hostile::image());
    let pid = fs::read_to_string(native.folder.path().join("pid")).expect("a pid");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
    for limit in ["Max file size", "Max core file size", "Max processes"] {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit)).expect("a limit");
        let words: Vec<&str> = line.split_whitespace().take(2).collect();
        assert_eq!(words, ["0", "0"], "{limit}");
    }
}
