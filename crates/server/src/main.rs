//! Carillon's one binary: reads the command line, runs one command, and turns its end into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    carillon::cli::main()
}
