//! `rosterd help`: the commands, and the chapters of the guide.

use crate::cli::definition;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::{print, text_width};
use crate::guide::{self, CHAPTERS};
use crate::report::write_guide;

/// Explains a command, or prints a chapter of the guide.
///
/// `rosterd help` alone lists the commands and the chapters.
#[derive(clap::Args, Debug)]
pub(crate) struct HelpArgs {
    /// A command, or a chapter of the guide.
    #[arg(value_name = "COMMAND|TOPIC")]
    topic: Vec<String>,
}

pub(crate) fn cmd_help(args: &HelpArgs) -> Result<ExitCode, CommandError> {
    let mut command = definition();
    command.build();
    if let [topic] = args.topic.as_slice()
        && let Some(chapter) = guide::chapter(topic)
    {
        let width = text_width();
        print(|out| write_guide(out, chapter.text, width))?;
        return Ok(ExitCode::Done);
    }
    let mut meant = &mut command;
    for word in &args.topic {
        if meant.find_subcommand(word).is_none() {
            return Err(unknown(word, meant));
        }
        meant = meant
            .find_subcommand_mut(word)
            .expect("it was found just now");
    }
    let help = meant.render_long_help();
    print(|out| write!(out, "{}", help.ansi()))?;
    if args.topic.is_empty() {
        print(|out| {
            writeln!(out, "\nChapters of the guide, for `rosterd help TOPIC`:")?;
            let names = CHAPTERS.iter().map(|chapter| chapter.name.len());
            let width = names.max().unwrap_or_default() + 2;
            CHAPTERS.iter().try_for_each(|chapter| {
                writeln!(out, "  {:<width$}{}", chapter.name, chapter.about)
            })
        })?;
    }
    Ok(ExitCode::Done)
}

fn unknown(word: &str, command: &clap::Command) -> CommandError {
    let commands = command
        .get_subcommands()
        .map(|known| known.get_name().to_owned());
    let chapters = CHAPTERS.iter().map(|chapter| chapter.name.to_owned());
    let near = commands
        .chain(chapters)
        .map(|known| (strsim::damerau_levenshtein(&known, word), known))
        .filter(|(away, known)| away * 2 <= known.len())
        .min();
    let hint = match near {
        Some((_, near)) => format!("did you mean `rosterd help {near}`?"),
        None => "`rosterd help` lists the commands and the chapters".to_owned(),
    };
    CommandError::usage(format!(
        "there is neither a command nor a chapter \"{word}\""
    ))
    .hint(hint)
}
