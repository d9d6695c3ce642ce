//! `members`: whose events are taken, where others carry them.

use clap::{Args, Subcommand};
use serde::Serialize;
use tress::members::Member;
use tress::{Operation, Run, StoreId};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::words::count;

/// What to do with members.
#[derive(Debug, Subcommand)]
pub(crate) enum Members {
    /// List the members of the run, and what of it they have signed
    #[command(after_help = "\
Members are stores whose keys the run lists. A store that trusts a member takes from others only what
members have signed, whoever carries it: a hub, a database or a git remote cannot add anything to the
events (it can hold something back). A member that trusts somebody signs what it holds when it meets
others (`tress sync`, `tress serve`). Trust begins with a key that you got from somebody you know, and
goes on from there:

  tress members init               in the first store: it is the first member, and trusts itself
  tress members trust STORE:KEY    in another one, with the line of the first, best before it syncs:
                                   what is in the run when trust begins is taken as it is
  tress members key                there, too: prints its line, to be given to a member
  tress members add STORE:KEY      in the first store: makes the other one a member

Trust holds for all runs of the store; members are those of one run. A path that branches off begins
with those that somebody trusts by name. Documents are signed by nobody: a store that trusts members
seals its own. Trust and keys are of one machine, in `.tress/local`; do not copy that, nor share it
by a synced folder.")]
    List,
    /// Make this store the first member of the run, and take only what members sign from now on
    Init,
    /// Print the line by which others know this store; makes its key where it has none
    Key,
    Add(Other),
    Trust(Other),
    Remove(Gone),
}

/// Make another store a member (`members add`), or believe from now on what it and its members sign (`members trust`)
#[derive(Debug, Args)]
pub(crate) struct Other {
    /// The line that `tress members key` printed there
    #[arg(value_name = "STORE:KEY")]
    member: Member,
}

/// End a store's membership; what it signed until then stays
#[derive(Debug, Args)]
pub(crate) struct Gone {
    /// The store, as `tress members list` shows it
    store: StoreId,
}

#[derive(Serialize)]
struct MemberView {
    store: String,
    /// The line by which others trust it, or make it a member.
    line: String,
    /// Whether somebody here trusts it by name; else because of those.
    trusted: bool,
    /// Whether it is this store.
    here: bool,
}

#[derive(Serialize)]
struct MembersView {
    members: Vec<MemberView>,
    /// Whether only what members sign is taken here.
    strict: bool,
    /// Whether this store has a key, and signs nothing since it trusts nobody.
    idle: bool,
    events: u64,
    signed: u64,
}

/// Does `members`.
pub(crate) async fn run(context: &Context, members: &Members) -> Result<(), Failure> {
    context.no_at()?;
    let run = context.open().await?;
    match members {
        Members::List => list(context, &run).await,
        Members::Init => init(context, &run).await,
        Members::Key => {
            let member = run.create_member()?;
            context.out.answer(&view(&run, member)?, || member.to_string())
        }
        Members::Add(other) => {
            let Member { store, key } = other.member;
            change(context, &run, Operation::MemberAdded { store, key }).await?;
            context.out.answer(&view(&run, other.member)?, || format!("{store} is a member"))
        }
        Members::Trust(other) => {
            run.trust(other.member)?;
            let Member { store, .. } = other.member;
            context.out.answer(&view(&run, other.member)?, || {
                format!("only what {store} and its members sign is taken from others now")
            })
        }
        Members::Remove(gone) => {
            let store = gone.store;
            if !run.signed().await?.members.contains_key(&store) {
                return Err(Failure::not_found(format!("{store} is no member"))
                    .hint("`tress members list` shows them"));
            }
            change(context, &run, Operation::MemberRemoved { store }).await?;
            let words = format!("{store} is a member no more");
            context.out.answer(&serde_json::json!({ "store": store.to_string() }), || words)
        }
    }
}

async fn init(context: &Context, run: &Run) -> Result<(), Failure> {
    let known = run.signed().await?;
    if let Some(first) = known.members.keys().next() {
        return Err(Failure::conflict(format!("{first} is trusted here already"))
            .hint("`tress members key` prints the line by which a member can add this store"));
    }
    let member = run.create_member()?;
    run.trust(member)?;
    let Member { store, key } = member;
    change(context, run, Operation::MemberAdded { store, key }).await?;
    context.out.answer(&view(run, member)?, || {
        format!("this store is the first member; others trust it by this line:\n{member}")
    })
}

/// Says something about members, and signs it.
async fn change(context: &Context, run: &Run, operation: Operation) -> Result<(), Failure> {
    let agent = run.agent(&context.agent_name()?, context.global.role);
    let changed = run.change_members(agent.draft(operation)).await?;
    changed.map(drop).ok_or_else(|| {
        Failure::conflict("this store is no member, so its word on members counts nowhere")
            .hint("ask a member, with the line that `tress members key` prints here; `tress members list` shows them")
    })
}

fn view(run: &Run, member: Member) -> Result<MemberView, Failure> {
    Ok(MemberView {
        store: member.store.to_string(),
        line: member.to_string(),
        trusted: run.trusted()?.contains_key(&member.store),
        here: run.place()? == member.store,
    })
}

async fn list(context: &Context, run: &Run) -> Result<(), Failure> {
    let (signed, trusted) = (run.signed().await?, run.trusted()?);
    let mut members = Vec::new();
    for (store, key) in &signed.members {
        members.push(view(run, Member { store: *store, key: *key })?);
    }
    let state = run.state();
    let view = MembersView {
        members,
        strict: !trusted.is_empty(),
        idle: trusted.is_empty() && run.member()?.is_some(),
        events: state.version.events(),
        signed: signed.covered.values().sum(),
    };
    context.out.answer(&view, || {
        if view.idle {
            return "this store has a key and signs nothing, since it trusts nobody: \
                    `tress members trust STORE:KEY`, with the line of a member"
                .to_owned();
        }
        if view.members.is_empty() {
            return "nobody is trusted here, so everything is taken; `tress members list --help` says \
                    how to begin"
                .to_owned();
        }
        let rows = view.members.iter().map(|member| {
            let why = match (member.here, member.trusted) {
                (true, _) => Cell::toned("this store", Tone::Good),
                (_, true) => Cell::toned("trusted here", Tone::Good),
                _ => Cell::toned("by a member", Tone::Dim),
            };
            vec![(&member.store).into(), why]
        });
        let table = context.out.table(&["STORE", "MEMBER"], &[], rows);
        let of = count(usize::try_from(view.events).unwrap_or(usize::MAX), "event");
        format!("{table}\n{} of {of} signed by members", view.signed)
    })
}
