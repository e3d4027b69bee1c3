use std::collections::BTreeSet;

use super::stage::{self, Stage};
use super::*;
use crate::config;
use crate::emulator::{Emulator, World};

#[tokio::test(start_paused = true)]
async fn the_story_holds_and_numbers_its_chapters() {
    let stage = Stage::build(
        IN_PROCESS,
        &Seed {
            seed: 3,
            groups: 12,
            members: 300,
        },
    )
    .unwrap();
    let mut out = Vec::new();
    story::tell(&stage, &mut out)
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", String::from_utf8_lossy(&out)));
    let text = String::from_utf8(out).unwrap();
    let text = anstream::adapter::strip_str(&text).to_string();
    for (number, title) in [
        (1, "Four accounts at three providers"),
        (4, "The same run again"),
        (5, "On to the lists of ActiveCampaign"),
        (9, "A slip of the hand"),
        (10, "Consent"),
    ] {
        assert!(text.contains(&format!("\n{number}. {title}\n")), "{text}");
    }
    assert!(text.contains("and 0 that write"), "{text}");
    assert!(text.contains("--approve"), "{text}");
    let secrets = stage.emulator.with_world(|world| {
        world
            .accounts
            .iter()
            .flat_map(|account| [account.credentials().token, account.credentials().password])
            .collect::<BTreeSet<_>>()
    });
    assert!(
        secrets.iter().all(|secret| !text.contains(secret)),
        "a secret is printed"
    );
}

#[test]
fn the_config_file_is_one_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::new(World::seeded_all(
        "crm",
        &Seed {
            groups: 1,
            members: 1,
            ..Seed::default()
        },
    ));
    let path = stage::write_config(&emulator, "http://127.0.0.1:8099", directory.path()).unwrap();
    let (config, warnings) = config::load(&path).unwrap();
    let pace =
        |warning: &config::diagnostics::Warning| warning.message.contains("requests_per_minute");
    assert!(
        warnings.iter().all(pace),
        "only the pace is out of the ordinary: {warnings:?}"
    );
    assert_eq!(
        config.jobs.keys().map(String::as_str).collect::<Vec<_>>(),
        [stage::BACK, stage::ONWARD, stage::LISTS]
    );
    for (place, secret) in config.secrets() {
        secret.fetch(&place).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(directory.path().join("mail.secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
