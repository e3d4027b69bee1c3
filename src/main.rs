//! The `rosterd` program.

use std::process::ExitCode;

/// Reading large XML and JSON answers is mostly small allocations, and the system's allocator takes
/// a third of that time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rosterd::cli::run(std::env::args_os()).into()
}
