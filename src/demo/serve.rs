//! Keeps the emulated accounts up, so that a person can try commands against them.

use std::io::Write;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::stage::{Stage, secret};
use crate::signals::Signals;

/// Says where everything is and serves until it is interrupted or terminated.
pub(super) async fn serve(
    stage: &Stage,
    listener: TcpListener,
    base: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let accounts = stage.emulator.with_world(|world| {
        world
            .accounts
            .iter()
            .map(crate::emulator::Account::credentials)
            .collect::<Vec<_>>()
    });
    writeln!(
        out,
        "\nThe accounts stay up at {base} until you press Ctrl-C:\n"
    )?;
    for account in accounts {
        let (name, kind) = (&account.account, account.kind.name());
        writeln!(
            out,
            "  {name:<10} {kind:<14} {base}{}  {}  {}",
            account.base_path,
            account.email,
            secret(&account)
        )?;
    }
    let config = stage.config_path.display();
    writeln!(
        out,
        "\nThis config points at them, and its state knows the runs above ({}):\n",
        stage.directory().display()
    )?;
    for command in [
        "check --online",
        "plan crm-to-mail",
        "plan mail-to-campaigns",
        "plan campaigns-to-mail2",
        "history",
    ] {
        writeln!(out, "  rosterd --config {config} {command}")?;
    }
    writeln!(
        out,
        "\nWhat they hold can be read and changed at {base}/_emulator/world."
    )?;
    out.flush()?;
    stage
        .emulator
        .serve(listener, async move { signals.stop().await })
        .await
        .context("the emulated accounts can't take connections any more")
}
