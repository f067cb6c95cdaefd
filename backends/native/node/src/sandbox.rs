//! What is taken away from a runner before it enters the image: files, network, other processes, system calls.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr as _, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
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

/// Confines this process for the rest of its life. `keep` are the only files that stay open.
///
/// With `allow_unconfined` a kernel without Landlock is accepted; the filter of system calls is always required.
pub(crate) fn enter(keep: &[BorrowedFd<'_>], allow_unconfined: bool) -> Result<(), String> {
    limit_resources()?;
    close_others(keep);
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("no_new_privs is refused: {error}"))?;
    let confined = landlock();
    if !allow_unconfined {
        confined?;
    }
    seccomp()
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
