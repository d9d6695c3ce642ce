//! `close`, `reopen`, `delete`: the end of a todo that was not completed, and its return.

use clap::Args;
use tress::{Operation, State, Status, Todo, TodoId};

use super::claim::not_yours;
use super::finish::now_ready;
use crate::context::{Before, Beside, Context, Writer, alive, name_title, told};
use crate::failure::Failure;
use crate::words::{circles, set_aside, short};

/// Close a todo without a verified completion: not needed, a duplicate, done elsewhere
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tress close t-7f3a --reason \"a duplicate of t-91xa\"")]
pub(crate) struct Close {
    /// The todo
    id: String,
    /// Why
    #[arg(long, short = 'm', visible_alias = "message", value_name = "TEXT")]
    #[arg(default_value = "", hide_default_value = true)]
    reason: String,
    /// Even if somebody else holds it
    #[arg(long)]
    force: bool,
}

/// Open a finished or deleted todo again, or one that another system's status holds back
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tress reopen t-7f3a --reason \"it came back\"")]
pub(crate) struct Reopen {
    /// The todo
    id: String,
    /// Why
    #[arg(long, short = 'm', visible_alias = "message", value_name = "TEXT")]
    #[arg(default_value = "", hide_default_value = true)]
    reason: String,
}

/// Delete a todo; `reopen` brings it back
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tress delete t-7f3a --reason \"added twice\"")]
pub(crate) struct Delete {
    /// The todo
    id: String,
    /// Why
    #[arg(long, short = 'm', visible_alias = "message", value_name = "TEXT")]
    #[arg(default_value = "", hide_default_value = true)]
    reason: String,
    /// Even if somebody holds it
    #[arg(long)]
    force: bool,
}

fn status(writer: &Writer, id: TodoId) -> Option<Status> {
    let todo = writer.state.todo(id)?;
    Some(writer.state.status_unblocked(todo, writer.now))
}

/// The todo, where it is not deleted, and nobody but `agent` holds it or `force` is used; `hint` says what that does.
fn may_end<'a>(
    state: &'a State,
    todo: TodoId,
    agent: &str,
    force: bool,
    hint: &str,
) -> Result<&'a Todo, Failure> {
    let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
    alive(state, held)?;
    let now = tress::now();
    if !force && held.holder(now).is_some_and(|holder| &*holder.agent != agent) {
        return Err(not_yours(state, held, agent, now).hint(hint));
    }
    Ok(held)
}

/// Does `close`.
pub(crate) async fn close(context: &Context, args: Close) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let held = writer.find_alive(&args.id)?;
    let todo = held.id;
    let run = writer.agent.run();
    let holder = held.holder(writer.now).filter(|holder| &*holder.agent != writer.agent.name());
    let holder = holder.map(|holder| format!("; {} held it", short(&holder.agent, 60)));
    let (name, force, role) = (writer.agent.name().to_owned(), args.force, context.global.role);
    if let Some(status) = status(&writer, todo).filter(|status| status.finished()) {
        return context.changed(run, todo, &[], |state| {
            format!("{} is {} already", name_title(state, todo), status.name())
        });
    }
    let before = Before::default();
    let decided = before.clone();
    let events = writer.agent.append_if(move |state| {
        decided.is(state);
        let held = may_end(state, todo, &name, force, "--force closes it all the same")?;
        let own = held.pending_completion().is_some_and(|done| *done.agent == *name);
        if own && !role.may_verify() {
            let message =
                format!("{}: whoever did the work cannot close it", name_title(state, todo));
            return Err(
                Failure::conflict(message).hint("it is done once somebody else has verified it")
            );
        }
        Ok(vec![Operation::Closed { todo, reason: args.reason }])
    });
    let events = events.await?;
    context.changed(run, todo, &events, |state| {
        let (name, free) = (name_title(state, todo), now_ready(before.or(&writer.state), state));
        format!("closed {name}{}{free}", holder.unwrap_or_default())
    })
}

/// Does `reopen`.
pub(crate) async fn reopen(context: &Context, args: Reopen) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find(&args.id)?;
    let run = writer.agent.run();
    let found = writer.state.todo(todo);
    let set_aside = found.and_then(|found| set_aside(&writer.state, found, writer.now));
    if let Some(status) = status(&writer, todo)
        && !status.finished()
        && set_aside.is_none()
    {
        let deferred = status == Status::Deferred;
        return context.changed(run, todo, &[], |state| {
            let later = format!("; `tress edit {} --defer \"\"` opens it now", state.name(todo));
            let later = if deferred { later } else { String::new() };
            format!("{} is {} already{later}", name_title(state, todo), status.name())
        });
    }
    let events = writer.agent.append([Operation::Reopened { todo, reason: args.reason }]).await?;
    let warnings = circles::told(&circles::closed(&writer.state, &run.state()));
    let beside = Beside { warnings: &warnings, ..Beside::default() };
    context.changed_as(run, todo, &events, beside, |state, notices| {
        format!("reopened {}{}", name_title(state, todo), told(notices))
    })
}

/// Does `delete`.
pub(crate) async fn delete(context: &Context, args: Delete) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find(&args.id)?;
    let run = writer.agent.run();
    if status(&writer, todo) == Some(Status::Deleted) {
        return context.changed(run, todo, &[], |state| {
            format!("{} is deleted already", name_title(state, todo))
        });
    }
    let (name, force) = (writer.agent.name().to_owned(), args.force);
    let before = Before::default();
    let decided = before.clone();
    let events = writer.agent.append_if(move |state| {
        decided.is(state);
        may_end(state, todo, &name, force, "--force deletes it all the same")?;
        Ok(vec![Operation::Deleted { todo, reason: args.reason }])
    });
    let events = events.await?;
    context.changed(run, todo, &events, |state| {
        let (name, title, free) =
            (state.name(todo), name_title(state, todo), now_ready(before.or(&writer.state), state));
        format!("deleted {title}; `tress reopen {name}` brings it back{free}")
    })
}
