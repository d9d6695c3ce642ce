//! `export`: the run in other formats.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use tress::Strand;
use tress::formats::beads;
use tress::state::Team;
use tress::state::design::{Decision, Deviation, Requirement};

use crate::context::{Context, Moment};
use crate::failure::Failure;
use crate::time::rfc3339;
use crate::view::TodoDetail;
use crate::words::count;

/// What is to be written, in which format.
#[derive(Debug, Subcommand)]
pub(crate) enum Export {
    /// A beads JSONL file; what was imported and not changed comes out byte for byte
    #[command(after_help = "Example:\n  tress export beads .beads/issues.jsonl")]
    Beads {
        /// The file (default: stdout)
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
    /// The whole state as JSON
    #[command(
        after_help = "Example:\n  tress export json --at before-refactor | jq '.todos[].title'"
    )]
    Json {
        /// The file (default: stdout)
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
    /// The three documents, as any Automerge tool reads them
    #[command(after_help = "\
Writes design.automerge, todo.automerge and implementation.automerge.

Example:
  tress export automerge out/")]
    Automerge {
        /// The directory; made where it is not there
        #[arg(value_name = "DIR")]
        into: PathBuf,
    },
    /// What verifiers found, as SARIF 2.1.0, which code hosts and editors read
    #[command(after_help = "\
Of each todo the last claim of completion counts.

Examples:
  tress export sarif findings.sarif
  tress export sarif --todo parser")]
    Sarif {
        /// The file (default: stdout)
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
        /// Only what was found in the work on this todo
        #[arg(long, value_name = "ID")]
        todo: Option<String>,
    },
    /// The whole run, with its history, as one portable file; `tress replay FILE` reads it
    #[command(after_help = "Example:\n  tress export run monday.tressrun")]
    Run {
        /// The file (default: stdout)
        #[arg(default_value = "-", hide_default_value = true)]
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct Written {
    format: &'static str,
    files: Vec<String>,
    bytes: usize,
}

/// Does `export`.
pub(crate) async fn run(context: &Context, args: &Export) -> Result<(), Failure> {
    match args {
        Export::Beads { file } => {
            let moment = context.moment().await?;
            let text = beads::export(&moment.state, moment.now);
            if file == Path::new("-") && context.out.json() {
                return context.out.data(&text);
            }
            deliver(context, "beads", file, text.as_bytes())
        }
        Export::Json { file } => {
            let moment = context.moment().await?;
            let whole = Whole::new(&moment);
            if file == Path::new("-") && context.out.json() {
                return context.out.data(&whole);
            }
            let mut text = serde_json::to_string_pretty(&whole).map_err(|error| {
                Failure::internal(format!("the state does not encode: {error}"))
            })?;
            text.push('\n');
            deliver(context, "json", file, text.as_bytes())
        }
        Export::Automerge { into } => automerge(context, into).await,
        Export::Sarif { file, todo } => {
            let moment = context.moment().await?;
            let only = todo.as_deref().map(|todo| moment.find(todo).map(|todo| todo.id));
            let only = only.transpose()?;
            let mut text = tress_run::verify::sarif(&moment.state, only);
            text.push('\n');
            deliver(context, "sarif", file, text.as_bytes())
        }
        Export::Run { file } => {
            present(context)?;
            if file == Path::new("-") && (context.out.json() || std::io::stdout().is_terminal()) {
                return Err(Failure::usage("a run file is binary")
                    .hint("name a file: tress export run FILE.tressrun"));
            }
            let run = context.open().await?;
            let bytes = context.out.waiting("reading the history", run.export()).await?;
            deliver(context, "run", file, &bytes)
        }
    }
}

fn present(context: &Context) -> Result<(), Failure> {
    if context.global.at.is_some() {
        return Err(Failure::usage("--at is for `export beads`, `json` and `sarif`"));
    }
    Ok(())
}

async fn automerge(context: &Context, dir: &Path) -> Result<(), Failure> {
    present(context)?;
    let run = context.open().await?;
    let documents = context.out.waiting("sealing the documents", run.documents()).await?;
    if let Some(aside) = &documents.sealed.moved_aside {
        let aside = aside.display();
        context
            .out
            .warn(&format!("warning: the saved documents were damaged and rebuilt; see {aside}"));
    }
    std::fs::create_dir_all(dir).map_err(|error| Failure::file("make", dir, &error))?;
    let mut written = Written { format: "automerge", files: Vec::new(), bytes: 0 };
    for strand in Strand::ALL {
        let path = dir.join(format!("{}.automerge", strand.name()));
        let bytes = documents.save(strand);
        write(&path, &bytes)?;
        written.bytes += bytes.len();
        written.files.push(path.display().to_string());
    }
    context.out.answer(&written, || say(&written))
}

fn deliver(
    context: &Context,
    format: &'static str,
    file: &Path,
    bytes: &[u8],
) -> Result<(), Failure> {
    if file == Path::new("-") {
        return context.out.bytes(bytes);
    }
    write(file, bytes)?;
    let written = Written { format, files: vec![file.display().to_string()], bytes: bytes.len() };
    context.out.answer(&written, || say(&written))
}

fn say(written: &Written) -> String {
    format!("wrote {} ({})", written.files.join(", "), count(written.bytes, "byte"))
}

/// Writes a whole file: beside its place first, then in it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::file("write", path, &error);
    let Some(name) = path.file_name() else {
        return Err(Failure::invalid(format!("{} is no file name", path.display())));
    };
    if path.exists() && !path.is_file() {
        // A pipe or a device is written as it is.
        return std::fs::write(path, bytes).map_err(failed);
    }
    let beside = path.with_file_name(format!(".{}.{}.new", name.display(), std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(failed)
}

/// The whole state, as scripts see it.
#[derive(Serialize)]
struct Whole<'a> {
    run: &'a str,
    at: String,
    version: String,
    root: String,
    events: u64,
    todos: Vec<TodoDetail>,
    design: DesignView<'a>,
    implementation: &'a Team,
}

#[derive(Serialize)]
struct DesignView<'a> {
    sections: Vec<SectionView<'a>>,
    requirements: BTreeMap<&'a str, &'a Requirement>,
    rules: BTreeMap<&'a str, &'a str>,
    decisions: Vec<&'a Decision>,
    deviations: Vec<&'a Deviation>,
}

#[derive(Serialize)]
struct SectionView<'a> {
    key: &'a str,
    heading: &'a str,
    level: u8,
    position: u32,
    body: String,
}

impl<'a> Whole<'a> {
    fn new(moment: &'a Moment) -> Self {
        let (state, now) = (&moment.state, moment.now);
        let todos = state.todos.values();
        let todos = todos.map(|todo| TodoDetail::new(state, &moment.readiness, todo, now));
        let design = &state.design;
        let mut sections: Vec<_> = design
            .sections
            .iter()
            .map(|(key, section)| SectionView {
                key,
                heading: &section.heading,
                level: section.level,
                position: section.position,
                body: section.body.text(),
            })
            .collect();
        sections.sort_by_key(|section| section.position);
        Self {
            run: moment.run.name(),
            at: rfc3339(now),
            version: state.version.to_string(),
            root: state.root().to_string(),
            events: state.events(),
            todos: todos.collect(),
            design: DesignView {
                sections,
                requirements: design.requirements.iter().map(|(k, r)| (k.as_str(), &**r)).collect(),
                rules: design.rules.iter().map(|(k, r)| (k.as_str(), r.text.as_str())).collect(),
                decisions: design.decisions.iter().map(AsRef::as_ref).collect(),
                deviations: design.deviations.iter().map(AsRef::as_ref).collect(),
            },
            implementation: &state.team,
        }
    }
}
