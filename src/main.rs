//! The `rosterd` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    rosterd::cli::run(std::env::args_os()).into()
}
