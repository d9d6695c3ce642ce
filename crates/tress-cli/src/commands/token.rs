//! `token`: who may use the hub of this store.

use clap::{Args, Subcommand};
use serde::Serialize;
use tress::Millis;
use tress::sync::token::{Grant, Tokens};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, parse_duration, rfc3339};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    Create(Create),
    /// List the tokens, without their secrets
    List,
    Revoke(Revoke),
}

/// Make a token; it is shown once
#[derive(Debug, Args)]
#[command(after_help = "\
The token is the last line. It may read; with --write it may write, too. --run limits it to one run,
--role to events in one role.

Examples:
  tress token create --name laptop --write
  tress token create --name ci --run main --role verifier --write --expires 30d
  export TRESS_TOKEN=$(tress token create --write | tail -n 1)")]
pub(crate) struct Create {
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    name: String,
    /// It may write
    #[arg(long)]
    write: bool,
    /// It ends after this time, such as 12h or 30d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires: Option<Millis>,
}

/// Take a token back; whoever uses it is let go within seconds
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Its id, or the beginning of it (`tress token list`)
    id: String,
}

#[derive(Serialize)]
struct TokenView {
    id: String,
    name: String,
    run: Option<String>,
    role: Option<&'static str>,
    write: bool,
    made: String,
    expires: Option<String>,
    revoked: Option<String>,
    /// Whether it can be used now.
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip)]
    at: Millis,
}

impl TokenView {
    fn new(grant: &Grant, now: Millis) -> Self {
        Self {
            id: grant.id.clone(),
            name: grant.name.clone(),
            run: grant.run.clone(),
            role: grant.role.map(tress::Role::name),
            write: grant.write,
            made: rfc3339(grant.made),
            expires: grant.expires.map(rfc3339),
            revoked: grant.revoked.map(rfc3339),
            valid: grant.revoked.is_none() && grant.expires.is_none_or(|at| at > now),
            token: None,
            at: grant.made,
        }
    }

    fn may(&self) -> String {
        let what = if self.write { "read and write" } else { "read" };
        let run = self.run.as_ref().map(|run| format!(" {run}")).unwrap_or_default();
        let role = self.role.map(|role| format!(" as {role}")).unwrap_or_default();
        format!("{what}{run}{role}")
    }
}

/// Does `token`.
pub(crate) fn run(context: &Context, token: &Token) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.store()?;
    let tokens = Tokens::of(store.dir());
    let now = tress::now();
    match token {
        Token::Create(args) => {
            let runs = store.runs()?;
            if let Some(run) = context.given.run.as_ref().filter(|run| !runs.contains(run)) {
                let there = format!("there are the runs {}", runs.join(", "));
                let hint = format!("{there}; `tress init --run {run}` makes it");
                return Err(Failure::not_found(format!("there is no run called {run}")).hint(hint));
            }
            create(context, &tokens, args, now)
        }
        Token::List => list(context, &tokens, now),
        Token::Revoke(args) => {
            let revoked = tokens.revoke(args.id.trim(), now).map_err(unwritten)?;
            let id = &args.id;
            let none = || Failure::not_found(format!("there is no token {id}, or more than one"));
            let grant = revoked.ok_or_else(|| none().hint("`tress token list` shows their ids"))?;
            let view = TokenView::new(&grant, now);
            context.out.answer(&view, || format!("revoked {}", view.id))
        }
    }
}

fn create(context: &Context, tokens: &Tokens, args: &Create, now: Millis) -> Result<(), Failure> {
    let grant = Grant {
        id: String::new(),
        name: args.name.trim().to_owned(),
        run: context.given.run.clone(),
        role: context.given.role,
        write: args.write,
        made: now,
        expires: args.expires.map(|after| now.saturating_add(after)),
        revoked: None,
    };
    let (grant, token) = tokens.create(grant).map_err(unwritten)?;
    let mut view = TokenView::new(&grant, now);
    view.token = Some(token.clone());
    context.out.answer(&view, || {
        let until = view.expires.as_ref().map(|at| format!(", until {at}")).unwrap_or_default();
        format!("token {} may {}{until}; it is not shown again:\n{token}", view.id, view.may())
    })
}

fn list(context: &Context, tokens: &Tokens, now: Millis) -> Result<(), Failure> {
    let grants = tokens.list().map_err(unwritten)?;
    let views: Vec<_> = grants.iter().map(|grant| TokenView::new(grant, now)).collect();
    context.out.answer(&views, || {
        if views.is_empty() {
            return "no tokens; `tress token create` makes one".to_owned();
        }
        let rows = views.iter().map(|view| {
            let state = match (&view.revoked, view.valid) {
                (Some(_), _) => Cell::toned("revoked", Tone::Dim),
                (None, false) => Cell::toned("expired", Tone::Dim),
                (None, true) => Cell::toned("valid", Tone::Good),
            };
            let until = view.expires.clone().unwrap_or_default();
            let made = ago(view.at, now);
            vec![
                (&view.id).into(),
                (&view.name).into(),
                view.may().into(),
                made.into(),
                until.into(),
                state,
            ]
        });
        context.out.table(&["ID", "NAME", "MAY", "MADE", "UNTIL", "STATE"], &[1], rows)
    })
}

fn unwritten(error: std::io::Error) -> Failure {
    Failure::damaged(format!("the tokens cannot be read or written: {error}"))
        .hint("they are in local/tokens.json of the store")
}
