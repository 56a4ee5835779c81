//! Carillon's one binary: reads the command line, runs one command, and turns its end into an exit code.

use std::process::ExitCode;

/// What one thread allocates another frees here, as every row on its way to the writer: glibc's allocator is slow at it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    carillon::cli::main()
}
