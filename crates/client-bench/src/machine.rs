//! What the operating system knows of this process and this machine: cores, processor time, memory, descriptors.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeValLike;
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::Result;

/// Who runs where: the clients on the first core that this process may use, the server on the second.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Core {
    Client,
    Server,
}

/// Keeps this thread, and those it starts, on one core, and says whether it could: on a machine with a single one nothing is done.
pub(crate) fn pin(core: Core) -> Result<bool> {
    let allowed = allowed_cores()?;
    let chosen = match (core, allowed.as_slice()) {
        (_, [] | [_]) => return Ok(false),
        (Core::Client, [first, ..]) => *first,
        (Core::Server, [_, second, ..]) => *second,
    };
    let mut set = CpuSet::new();
    set.set(chosen)?;
    sched_setaffinity(Pid::from_raw(0), &set)?;
    Ok(true)
}

fn allowed_cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect())
}

/// Has a process that is to be started copy memory without `rep movsb`.
///
/// glibc 2.36 copies large blocks by that instruction on AMD's processors since Zen 3, and there it is 25 times as slow where the target lies a few bytes
/// after the source, modulo 4,096. Where buffers lie is up to the allocator: a client paid for it in every record of TLS, or did not, and a line of code elsewhere changed
/// which of the two.
pub(crate) fn copy_evenly(command: &mut Command) -> &mut Command {
    command.env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=0x40000000")
}

/// The time for which all threads of this process ran so far, in user space and in the kernel on their account.
pub(crate) fn cpu_time() -> Result<Duration> {
    used_by(UsageWho::RUSAGE_SELF)
}

/// The same of the processes it has waited for.
pub(crate) fn cpu_time_of_children() -> Result<Duration> {
    used_by(UsageWho::RUSAGE_CHILDREN)
}

/// The same of another process, in the steps in which the kernel tells it (10 ms, as a rule).
pub(crate) fn cpu_time_of(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, a name, may have spaces; it ends with the last parenthesis. utime and stime are the 14th and the 15th.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let ticks: u64 = fields.take(2).map(|ticks| ticks.parse().unwrap_or(0)).sum();
    let per_second = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

fn used_by(who: UsageWho) -> Result<Duration> {
    let usage = getrusage(who)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

/// As many descriptors as this process may have; the usual 1024 are too few for 5,000 connections.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

/// Memory of this process that is in RAM, now and at its most, in bytes.
pub(crate) fn resident() -> Result<(u64, u64)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| format!("/proc/self/status has no {name}"))
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// This machine in one line: what a reader has to know of it.
pub(crate) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = allowed_cores().map_or(0, |cores| cores.len());
    // Without what a distributor adds.
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("{cores} × {}, Linux {kernel}", model.unwrap_or("unknown processor"))
}

/// The load average over the last minute: what else ran.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}
