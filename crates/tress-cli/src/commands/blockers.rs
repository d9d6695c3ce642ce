//! `block` and `unblock`: something is in the way, and then it is not.

use clap::{Args, ValueEnum};
use tress::Operation;
use tress::operation::BlockerKind;

use super::note::not_empty;
use crate::context::{Context, name_title};
use crate::failure::Failure;
use crate::told::Told;
use crate::words::{reasons, short};

/// Report that something is in the way
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  tress block t-7f3a --kind requirement --reason \"is UTF-16 wanted?\" --tried \"asked the spec\"")]
pub(crate) struct Block {
    /// The todo
    id: String,
    /// Of what kind
    #[arg(long, value_enum, default_value = "technical")]
    kind: Kind,
    /// What is in the way
    #[arg(long, short = 'm', visible_alias = "message", value_name = "TEXT")]
    reason: String,
    /// What was tried; may be given several times
    #[arg(long, value_name = "TEXT")]
    tried: Vec<String>,
}

/// Report that nothing is in the way any more
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tress unblock t-7f3a --resolution \"UTF-8 only\"")]
pub(crate) struct Unblock {
    /// The todo
    id: String,
    /// How it was resolved
    #[arg(long, short = 'm', visible_alias = "message", value_name = "TEXT")]
    #[arg(default_value = "", hide_default_value = true)]
    resolution: String,
}

/// The kinds of blockers, as they are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    /// Something does not work
    Technical,
    /// It is not clear what is wanted
    Requirement,
    /// Something else has to come first
    Dependency,
}

impl From<Kind> for BlockerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Technical => Self::Technical,
            Kind::Requirement => Self::Requirement,
            Kind::Dependency => Self::Dependency,
        }
    }
}

/// Does `block`.
pub(crate) async fn block(context: &Context, args: Block) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let description = not_empty(args.reason, "the reason")?;
    let (kind, tried) = (args.kind.into(), args.tried);
    let told = Told::tell(context, &writer).await?;
    let raised = Operation::BlockerRaised { todo, kind, description, tried };
    let (noted, name) = (told.noted(), writer.agent.name().to_owned());
    let events = writer.agent.append_if(move |state| {
        Ok::<_, Failure>(std::iter::once(raised).chain(noted(state, &name)).collect())
    });
    let events = events.await?;
    context.changed_told(writer.agent.run(), todo, &events, &told.rows, |state| {
        let name = state.name(todo);
        format!("blocked {}; `tress unblock {name}` lifts it", name_title(state, todo))
    })
}

/// Does `unblock`.
pub(crate) async fn unblock(context: &Context, args: Unblock) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?;
    let id = todo.id;
    let resolved = todo.open_blockers().map(|blocker| Operation::BlockerResolved {
        todo: id,
        blocker: blocker.dot,
        resolution: args.resolution.clone(),
    });
    let resolved: Vec<_> = resolved.collect();
    if resolved.is_empty() {
        let readiness = writer.state.readiness(writer.now);
        let why = reasons(&writer.state, &readiness, id, writer.now);
        let why: Vec<String> = why.into_iter().map(|why| why.text).collect();
        let name = name_title(&writer.state, id);
        let failure = Failure::conflict(format!("nobody reported a blocker on {name}"));
        return Err(if why.is_empty() {
            failure
        } else {
            failure.hint(short(&why.join("; "), 300))
        });
    }
    let events = writer.agent.append(resolved).await?;
    context.changed(writer.agent.run(), id, &events, |state| {
        let readiness = state.readiness(tress::now());
        let still = reasons(state, &readiness, id, tress::now());
        let still: Vec<String> = still.into_iter().map(|why| why.text).collect();
        let name = name_title(state, id);
        if still.is_empty() {
            format!("unblocked {name}")
        } else {
            format!("unblocked {name}; still blocked: {}", still.join("; "))
        }
    })
}
