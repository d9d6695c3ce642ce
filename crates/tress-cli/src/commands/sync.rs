//! `sync`: keeps a run the same here and at a hub, in a database, or at a git remote.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tress::sync::{Certificates, Exchanged, Follow, News, Remote};
use tress::{Run, Strands};

use super::git_merge::git;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::output::Output;
use crate::words::{count, short};

/// Keep a run the same here and elsewhere: at a hub, in PostgreSQL, or at a git remote
#[derive(Debug, Args)]
#[command(after_help = "\
What each side has and the other lacks is exchanged; then both stay live until Ctrl-C, and connect
again when the connection breaks. Work goes on offline; nothing is lost, whatever breaks off when.

A hub takes part (`tress serve`). A database or a git remote only keeps what it is given: with git,
each store pushes to a ref of its own (refs/tress/RUN/…), and no branch is touched. Of several hosts
of a database the one that can be written is used.

Examples:
  tress sync --once unix:/srv/team/.tress/local/hub.sock      exchange, and be done
  TRESS_TOKEN=tress_… tress sync wss://hub.example.org:7171   follow
  tress sync ws://127.0.0.1:7171 --run release                another run than main
  tress sync ws://127.0.0.1:7171 --only todo                  the todos alone, in a run that is new here
  tress sync --once git:origin                                by the remote that the team has
  tress sync 'postgres://tress@db1,db2,db3/tress?sslmode=require'

Environment:
  TRESS_TOKEN   the token that `tress token create` printed where the hub is; or the password of a
                database whose URL has none")]
pub(crate) struct Sync {
    /// A hub (ws://HOST:PORT, wss://HOST:PORT, unix:PATH), git:REMOTE, or postgres://…
    #[arg(value_name = "URL")]
    url: Remote,
    /// Exchange once, and end
    #[arg(long)]
    once: bool,
    /// Keep only these strands of the run here: todo, design. What a hub sends of others are their places
    /// in the history, without what they say. Fixed when the run is made, and for good
    #[arg(long, value_name = "STRANDS")]
    only: Option<Strands>,
    /// Certificates to trust beside those of the system, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[derive(Serialize)]
struct SyncView {
    run: String,
    received: usize,
    sent: u64,
    /// How many changes of documents came in.
    changes: usize,
    /// Events that no member has signed: they are not taken.
    unsigned: usize,
    /// The strands that are kept here.
    strands: String,
    /// Events that the other side does not take from us.
    kept_back: u64,
    /// Events that the other side got and does not take: refused, or not signed by anybody it trusts.
    not_taken: u64,
    refused: usize,
    up_to_date: bool,
    /// Whether there is nothing of the run, here or there.
    empty: bool,
    version: String,
    root: String,
}

impl SyncView {
    fn of(run: &Run, exchanged: &Exchanged) -> Self {
        let state = run.state();
        Self {
            run: run.name().to_owned(),
            received: exchanged.received,
            sent: exchanged.sent,
            changes: exchanged.changes,
            unsigned: exchanged.unsigned,
            strands: run.strands().to_string(),
            kept_back: exchanged.kept_back,
            not_taken: exchanged.not_taken,
            refused: exchanged.refused,
            up_to_date: exchanged.up_to_date && exchanged.not_taken == 0,
            empty: state.events() == 0,
            version: state.version.to_string(),
            root: state.root().to_string(),
        }
    }

    fn words(&self) -> String {
        let (received, sent) = (count(self.received, "event"), count(self.sent, "event"));
        let mut text = format!("{}: received {received}, sent {sent}", self.run);
        if self.kept_back > 0 {
            let kept = count(self.kept_back, "event");
            text += &format!("; {kept} kept here: this token may only read");
        }
        if self.not_taken > 0 {
            let events = count(self.not_taken, "event");
            text += &format!(
                "; {events} of ours not taken there: refused, or signed by no member that is trusted there \
                 (`tress members list` says what this store signs)"
            );
        }
        if self.unsigned > 0 {
            let events = count(self.unsigned, "event");
            text += &format!("; {events} not taken: no member has signed them (`tress members`)");
        }
        if self.refused > 0 {
            let refused = count(self.refused, "segment");
            text += &format!("; refused {refused}: see `tress fsck` and quarantine/");
        }
        if self.empty && self.unsigned == 0 {
            text +=
                &format!("; nothing is known of a run {} here or there (`tress runs`)", self.run);
        }
        text
    }
}

/// Does `sync`.
pub(crate) async fn run(context: &Context, args: &Sync) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.shared_store()?;
    if let Remote::Git(remote) = &args.url {
        known_remote(store.dir(), remote)?;
    }
    let opening = async {
        match args.only {
            Some(strands) => store.create_run_of(&context.global.run, strands).await,
            None => store.create_run(&context.global.run).await,
        }
    };
    let made = !store.has_run(&context.global.run)?;
    let run = context.out.waiting("reading the run", opening).await?;
    let done = exchange(context, args, &run).await;
    // Of a name that is not quite right nothing is to be left.
    if made && !matches!(done, Ok(Some(unsigned)) if unsigned > 0) {
        let taken_back = store.unmake(run).await;
        done?;
        taken_back?;
        return Ok(());
    }
    done.map(|_| ())
}

/// Exchanges once, or follows. How many events came and were not taken, where that is known.
async fn exchange(context: &Context, args: &Sync, run: &Run) -> Result<Option<usize>, Failure> {
    let follow = Follow {
        remote: args.url.clone(),
        token: std::env::var("TRESS_TOKEN").ok().filter(|token| !token.trim().is_empty()),
        certificates: Certificates { trusted: args.ca.clone() },
    };
    if args.once {
        let exchange = tress::sync::sync_once(run, &follow);
        let exchanged = tokio::select! {
            exchanged = context.out.waiting("exchanging", exchange) => exchanged?,
            () = interrupted() => return Ok(None),
        };
        let view = SyncView::of(run, &exchanged);
        context.out.answer(&view, || view.words())?;
        return Ok(Some(exchanged.unsigned));
    }
    let out = context.out.clone();
    let (mut last, mut unsigned) = (None, 0);
    let told = |news: News<'_>| {
        if let News::Exchanged(exchanged) = &news {
            unsigned = exchanged.unsigned;
        }
        tell(&out, run, &news, &mut last);
    };
    tokio::select! {
        ended = tress::sync::follow(run, &follow, told) => match ended? {},
        () = interrupted() => {}
    }
    Ok(Some(unsigned))
}

/// Refuses the name of a git remote that the repository around the store does not have.
fn known_remote(store: &Path, remote: &str) -> Result<(), Failure> {
    let around = store.parent().unwrap_or(Path::new("."));
    // A URL or a path is no name; what it leads to is found out where it is used.
    let name = !remote.contains(['/', ':', '\\']) && !around.join(remote).exists();
    if !name || remote.starts_with('-') {
        return Ok(());
    }
    if git(around, &["remote", "get-url", remote])?.is_some() {
        return Ok(());
    }
    let hint = match git(around, &["remote"])?.as_deref() {
        None => "the store is in no git repository: name a URL or a path, as git:PATH".to_owned(),
        Some("") => format!("there is none: `git remote add {remote} URL` makes it"),
        Some(known) => {
            let known = known.lines().collect::<Vec<_>>().join(", ");
            format!("there are {known}; or name a URL or a path, as git:PATH")
        }
    };
    let remote = short(remote, 60);
    Err(Failure::not_found(format!("git has no remote called {remote}")).hint(hint))
}

/// Says what is new, where it is.
fn tell(out: &Output, run: &Run, news: &News<'_>, last: &mut Option<Exchanged>) {
    match news {
        // While much comes in, one line at the end of it is enough.
        News::Exchanged(exchanged) if exchanged.up_to_date => {
            if last.as_ref() != Some(*exchanged) {
                let view = SyncView::of(run, exchanged);
                // Whoever read our output may have gone; we are here to sync.
                let _ = out.answer(&view, || view.words());
                *last = Some((*exchanged).clone());
            }
        }
        News::Exchanged(_) => {}
        News::Broken(error, wait) => {
            *last = None;
            out.warn(&format!("{error}; trying again in {}", seconds(*wait)));
        }
    }
}

fn seconds(wait: Duration) -> String {
    format!("{:.1} s", wait.as_secs_f64())
}
