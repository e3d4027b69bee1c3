//! Keeps the emulated accounts up with the service over them, so that a person can look at the status
//! page and try commands.

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::scenes;
use super::stage::{ONWARD, Stage, secret};
use crate::run::{Outcome, SyncOptions};
use crate::signals::Signals;
use crate::{config, daemon};

/// Where the status page is looked for; another free port where this one is taken.
const PAGE: &str = "127.0.0.1:8087";

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
    let page = free_address().await?;
    let token = throwaway_token();
    stage.add_page(page, &token)?;
    let waiting = leave_something_to_do(stage).await?;
    writeln!(
        out,
        "\nThe status page is at http://{page}/ until you press Ctrl-C, with the service running over the accounts.\n\n  \
         sign in with  {token}\n\n{waiting}"
    )?;
    writeln!(out, "\nThe accounts answer at {base}:\n")?;
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
    let path = stage.config_path.display();
    writeln!(
        out,
        "\nThis config points at them, and its state knows the runs above ({}):\n",
        stage.directory().display()
    )?;
    for command in [
        "check --online",
        "status",
        "plan crm-to-mail",
        "plan mail-to-campaigns",
        "plan campaigns-to-mail2",
        "history",
    ] {
        writeln!(out, "  rosterd --config {path} {command}")?;
    }
    writeln!(
        out,
        "\nWhat they hold can be read and changed at {base}/_emulator/world."
    )?;
    out.flush()?;
    let (config, _) = config::load(&stage.config_path)?;
    let accounts = async {
        let served = stage
            .emulator
            .serve(listener, async move { signals.stop().await });
        served
            .await
            .context("the emulated accounts can't take connections any more")
    };
    // Both hear the signal that ends them.
    let (served, ended) = tokio::join!(accounts, Box::pin(daemon::run(config, None)));
    served?;
    ended.map(drop)
}

/// Has somebody at the source empty a group by mistake while a few people refuse mail, so that a guard
/// refuses the next run: a page on which all is well shows little of what it is for.
async fn leave_something_to_do(stage: &Stage) -> anyhow::Result<String> {
    let accident = stage.emulator.with_world(|world| {
        let accident = scenes::accident(world)?;
        scenes::some_refuse(world, accident.group);
        anyhow::Ok(accident)
    })?;
    // The story paused it when it took a run back.
    let (store, now) = (stage.runner.store(), stage.runner.now());
    store.set_paused(ONWARD, None, now)?;
    let report = Box::pin(stage.runner.sync(ONWARD, SyncOptions::default())).await?;
    anyhow::ensure!(
        report.outcome == Outcome::Refused,
        "a run that would take most people out of a group was not refused"
    );
    Ok(format!(
        "Somebody took {} people out of \"{}\" meanwhile, so {ONWARD} waits there for a person.",
        accident.lost.len(),
        accident.name
    ))
}

async fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = match TcpListener::bind(PAGE).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind("127.0.0.1:0")
            .await
            .context("there is no free address for the status page")?,
    };
    Ok(listener.local_addr()?)
}

fn throwaway_token() -> String {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("demo-{}", hex.collect::<String>())
}
