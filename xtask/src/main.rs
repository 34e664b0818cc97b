//! Every habit of the project, as code: `cargo xtask <task>`. One file per task; this one only finds it.

mod ci;
mod shell;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// How fast the engines are, beside the field's other clients; writes docs/performance.md (`cargo xtask bench --help` tells more)
    #[command(disable_help_flag = true)]
    Bench {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        args: Vec<String>,
    },
    /// Everything that decides whether a change lands, in the order in which it fails fastest
    Ci(ci::Args),
    /// Cases of other projects on every engine, from a folder that is not part of this repository (`--help` tells more)
    #[command(disable_help_flag = true)]
    Foreign {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        args: Vec<String>,
    },
    /// The conformance suite on every engine, as a table; writes docs/engines.md (`cargo xtask matrix --help` tells more)
    #[command(disable_help_flag = true)]
    Matrix {
        /// Passed on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        args: Vec<String>,
    },
    /// The invariants that no compiler checks: dependency directions, file headers and sizes, links and commands in the docs
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Bench { args } => bench(&args),
        Task::Ci(args) => ci::run(&args),
        // The engines are not built into xtask itself: most tasks need none of them.
        Task::Foreign { args } => {
            shell::cargo(&format!("run --quiet --package client-tests --bin foreign -- {}", args.join(" ")))
        }
        Task::Matrix { args } => shell::cargo(&format!("run --quiet --package client-tests --bin matrix -- {}", args.join(" "))),
        Task::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Both programs: what is timed, and what counts allocations. They find each other by lying side by side.
fn bench(args: &[String]) -> shell::Result {
    shell::cargo("build --quiet --release --package client-bench")?;
    shell::cargo(&format!("run --quiet --release --package client-bench -- {}", args.join(" ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_are_well_formed() {
        super::Args::command().debug_assert();
    }
}
