//! The file that `rosterd init` writes.

/// Returns a commented configuration to begin with: one job between two accounts, with every key
/// explained.
pub fn starter() -> &'static str {
    include_str!("../../config/starter.toml")
}
