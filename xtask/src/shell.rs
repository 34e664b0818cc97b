//! Running other programs, from the workspace's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What went wrong, as one line.
pub(crate) type Result<T = (), E = String> = std::result::Result<T, E>;

/// The workspace's root, wherever the task was called from.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// Runs `cargo` with `args`, its output to ours.
pub(crate) fn cargo(args: &str) -> Result {
    cargo_with(args, &[])
}

/// The same, with environment variables.
pub(crate) fn cargo_with(args: &str, variables: &[(&str, &str)]) -> Result {
    println!("\n$ cargo {args}");
    let status = command(args)
        .envs(variables.iter().copied())
        .status()
        .map_err(|error| format!("cargo {args}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`cargo {args}` failed")) }
}

/// What `cargo` prints.
pub(crate) fn cargo_output(args: &str) -> Result<String> {
    let output = command(args).stderr(Stdio::inherit()).output().map_err(|error| format!("cargo {args}: {error}"))?;
    if !output.status.success() {
        return Err(format!("`cargo {args}` failed"));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`cargo {args}` printed something that is not UTF-8"))
}

fn command(args: &str) -> Command {
    // The cargo that runs us, not another one on the path.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.split_whitespace()).current_dir(root());
    command
}
