//! What can be typed, and how it is explained.

use clap::{CommandFactory, Parser};

use super::*;

mod guide;

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn help_names_every_command() {
    let mut command = Cli::command().term_width(100);
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    Keeps groups and their members the same at two email-marketing or CRM providers.

    rosterd reads both accounts, shows a plan, and applies it. Nothing happens that the plan did not
    show, and nobody who refused mail is ever added again. Begin with `rosterd demo`, which needs no
    account, or with `rosterd init`.

    Usage: rosterd [OPTIONS] <COMMAND>

    Commands:
      demo         Shows the main job with made-up accounts inside this process; needs no config and no
                   network
      init         Writes a commented starter config; never overwrites one
      check        Checks the config and the state database; with `--online` also the accounts
      plan         Reads both sides and shows what a run would do; writes to no provider
      apply        Applies a plan that `rosterd plan --out` saved, once
      sync         Makes one unattended run per job: read, plan, guard, apply, verify
      migrate      Moves groups and members to another account, once, while a person looks on
      rehearse     Runs a job on copies of both real accounts, and says what would have happened
      run          Runs every job on its schedule until it is asked to stop. One per state database
      status       Shows whether the service is alive, how each job fares, and what waits for a person
      schedule     Shows when every job fires next, in the time zone of its schedule
      history      Lists the runs of a job, or of all, newest first
      show         Shows what one run did by group, or with `-v` item by item with the fields before and
                   after
      failures     Lists items that a provider refused or that nobody can sync, with what can be done
                   about them
      retry        Sends the failed items of a job again now, in a run of the job
      accept       Accepts blocked or refused items: they stay listed, and need nobody until they change
      groups       Lists the groups of an account with their ids, and the jobs that link them
      links        Lists the pairs of groups of a job, how each came about, and the groups that wait for
                   a person
      link         Settles by hand that a source group and a target group belong together
      unlink       Forgets which target group belongs to a source group, and what the job brought into
                   it
      undo         Shows a plan that takes a run back; writes to no provider
      members      Lists who is in a group of an account, or with `--at` who was
      explain      Explains why a person or a group is as it is, and what the next run would do
      pause        Keeps a job from running on its schedule and from `sync --all`
      resume       Lets a paused job run again, on its schedule and by `sync --all`
      forget       Removes a person from the state database for good, and keeps them from ever being
                   added again
      export       Copies an account into files: its groups, its people, and who is in which group
      backup       Copies the state database into a file, also while the service or a run uses it
      restore      Puts a copy of the state database back, while neither the service nor a run is active
      notify       Sends a test by every channel of `[notify]`, and says what happened to each
      emulate      Serves an emulated emfluence, GreenRope and ActiveCampaign with made-up people, for
                   rehearsals and tests
      schema       Prints the JSON Schema of the config, or the providers' field tables
      completions  Prints completions for a shell
      man          Prints the manual page, or writes one page per command into a directory
      help         Explains a command, or prints a chapter of the guide

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
          --config <FILE>
              The config file

              [env: ROSTERD_CONFIG]
              [default: rosterd.toml]

          --state <FILE>
              The state database, instead of the one that the config names

          --log-format <FORMAT>
              How log lines on standard error look

              Possible values:
              - text: Lines for people
              - json: One JSON object per line

              [default: text]

      -v, --verbose...
              Shows every address and more log lines; more often, more of them

      -q, --quiet
              Logs errors only, and shows no progress

    Exit codes:
      0  done; nothing is left that a person must see
      1  network, provider, credentials, disk, or interrupted
      2  wrong before the first request: usage, config, unknown job, foreign state file
      3  refused by a guard, the plan has moved or is used up, or the question was answered no:
         nothing was written; sync without a name: the only job is paused or disabled
      4  finished, but items failed or are blocked and need a person, or not all could be read;
         rehearse: the next run still has something to do, or the copies are not what the accounts are
      5  another run of the job, or a use of the account, is active; restore: any use of the database
     10  plan --detailed-exitcode: changes are pending
    ");
}

#[test]
fn every_command_says_what_it_does() {
    for command in Cli::command().get_subcommands() {
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            about.len() > 10 && about.starts_with(char::is_uppercase),
            "{}: {about}",
            command.get_name()
        );
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} {} has no help",
                command.get_name(),
                argument.get_id()
            );
        }
    }
}

#[test]
fn options_stand_before_and_after_the_command() {
    for line in [
        "rosterd --config a.toml -v plan crm-to-mail",
        "rosterd plan crm-to-mail --config a.toml -v",
        "rosterd plan --out plan.json --format html --detailed-exitcode crm-to-mail -vv",
        "rosterd show 20260301T060000Z --op update_member --format html",
        "rosterd plan",
        "rosterd plan --all --detailed-exitcode",
        "rosterd plan a --only News --only ana@example.org",
        "rosterd sync --all --format json",
        "rosterd sync",
        "rosterd sync a b",
        "rosterd link 1 2",
        "rosterd link a 1 2",
        "rosterd unlink 1",
        "rosterd sync a --approve 0123456789ab",
        "rosterd schema",
        "rosterd schema fields --format json",
        "rosterd apply plan.json --approve 0123456789ab",
        "rosterd check --online",
        "rosterd backup copy.db --format json",
        "rosterd restore copy.db --yes",
        "rosterd forget ana@example.org --yes --format json",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
    for line in [
        "rosterd",
        "rosterd sync --all a",
        "rosterd sync --all --approve 0123456789ab",
        "rosterd plan --all a",
        "rosterd plan a b",
        "rosterd link 1",
        "rosterd unlink a 1 2",
        "rosterd -v -q status",
        "rosterd sync a --force",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
