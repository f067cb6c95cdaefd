//! What is taken away from a runner before it enters the image: files, network, other processes, system calls.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr as _, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, sock_filter};
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

/// System calls that remain: the doorbells and the end.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_sched_yield,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
];

/// What a platform wants otherwise than usual.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Accepts a kernel without Landlock; the filter of system calls is always required.
    pub allow_unconfined: bool,
    /// Code in this range may make no system call at all: a power of two long, aligned to its length.
    pub silent: Option<Range<u64>>,
}

/// Confines this process for the rest of its life. `keep` are the only files that stay open.
///
/// # Errors
/// Which wall cannot be built.
pub fn enter(keep: &[BorrowedFd<'_>], limits: &Limits) -> Result<(), String> {
    leave_namespaces();
    limit_resources()?;
    close_others(keep);
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("no_new_privs is refused: {error}"))?;
    let confined = landlock();
    if !limits.allow_unconfined {
        confined?;
    }
    if let Some(range) = &limits.silent {
        silence(range)?;
    }
    seccomp()
}

/// Leaves the host's network, mounts, names and message queues behind, where that is permitted: a wall more, for a kernel in which one of the
/// others has a hole. Nothing that a module may do reaches any of them.
pub(crate) fn leave_namespaces() {
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    // A user who is not root needs a namespace of users first; many systems permit neither.
    for flags in [own, own | UnshareFlags::NEWUSER] {
        // SAFETY: no flag here takes descriptors or memory away that somebody holds.
        if unsafe { unshare_unsafe(flags) }.is_ok() {
            return;
        }
    }
}

/// Kills the process at any system call that is made by code in a range.
fn silence(range: &Range<u64>) -> Result<(), String> {
    let mask = (range.end - range.start).wrapping_sub(1);
    let statement = |code: u32, k: u64| sock_filter { code: code as u16, jt: 0, jf: 0, k: k as u32 };
    let unless = |k: u64, skip| sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k: k as u32,
    };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let keep = |mask: u64| statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask);
    let give = |action: u32| statement(libc::BPF_RET | libc::BPF_K, action.into());
    let pointer = core::mem::offset_of!(libc::seccomp_data, instruction_pointer) as u64;
    let filter = [
        load(pointer + 4),
        keep(!mask >> 32),
        unless(range.start >> 32, 4),
        load(pointer),
        keep(!mask & 0xffff_ffff),
        unless(range.start & 0xffff_ffff, 1),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    seccompiler::apply_filter(&filter).map_err(|error| format!("the filter of the module's code is refused: {error}"))
}

fn limit_resources() -> Result<(), String> {
    let zero = Rlimit { current: Some(0), maximum: Some(0) };
    for resource in [Resource::Core, Resource::Nproc, Resource::Fsize] {
        rustix::process::setrlimit(resource, zero).map_err(|error| format!("a limit is refused: {error}"))?;
    }
    Ok(())
}

/// Closes every other file above standard error.
fn close_others(keep: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = keep.iter().filter_map(|file| u32::try_from(file.as_raw_fd()).ok()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for file in kept.into_iter().chain([u32::MAX]) {
        if file > first {
            // SAFETY: these files belong to nobody any more: what the runner still uses is in `keep`.
            unsafe { libc::syscall(libc::SYS_close_range, first, file - 1, 0) };
        }
        first = file.saturating_add(1);
    }
}

pub(crate) fn landlock() -> Result<(), String> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .map_err(|error| format!("Landlock is refused: {error}"))?;
    let status = ruleset.no_new_privs(true).restrict_self().map_err(|error| format!("Landlock is refused: {error}"))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(
            "this kernel has no Landlock; start the node with `allow_unconfined = true` to run native modules \
                    anyway"
                .to_owned(),
        );
    }
    Ok(())
}

fn seccomp() -> Result<(), String> {
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().map_err(|error| format!("no filter for it: {error:?}"))?;
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture)
        .and_then(TryInto::try_into)
        .map_err(|error| format!("the filter of system calls is refused: {error}"))?;
    seccompiler::apply_filter(&filter).map_err(|error| format!("the filter of system calls is refused: {error}"))
}
