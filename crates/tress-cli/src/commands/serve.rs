//! `serve`: a hub where the runs of many machines meet.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tress::sync::relay::Postgres;
use tress::sync::{Certificates, Hub, HubOptions, News, follow_store};

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::interrupted;

/// Serve this store to other machines, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
Without --listen, only this machine is served, at a socket that only you can open. Everybody else
needs a token (`tress token create`). Without --cert, what is said is not encrypted, and so only
addresses of this machine itself are listened at, unless you say --plain.

With --postgres, every run is kept the same in a database as well. Hubs on several machines that
share one are one hub, and what the database has committed outlives each of them.

Examples:
  tress serve                                      this machine
  tress serve --listen 127.0.0.1:7171              behind a proxy, or for a tunnel
  tress serve --listen 0.0.0.0:7171 --cert hub.pem --key hub.key --host hub.example.org
  tress serve --postgres 'postgres://tress@db1,db2/tress?sslmode=require'
  TRESS_TOKEN=tress_… tress sync wss://hub.example.org:7171         from another machine

Environment:
  TRESS_POSTGRES   the URL of the database, so that no other user of this machine sees it")]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The hub's certificate and those of who signed it, as PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// A name under which it is reached, beside `localhost` and numbers
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Where web pages that may use it come from, such as https://example.org
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Listen beyond this machine without encryption: whoever can see the network can read it
    #[arg(long, requires = "listen")]
    plain: bool,
    /// A database in which all runs are kept the same, too
    #[arg(long, value_name = "URL", env = "TRESS_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
    /// Certificates to trust beside those of the system when the database is reached, as PEM
    #[arg(long, value_name = "FILE", requires = "postgres")]
    ca: Option<PathBuf>,
    /// How many events a second each peer with a token may bring in the long run; more of them wait
    #[arg(long, value_name = "EVENTS", default_value_t = tress::sync::RATE)]
    rate: u32,
    /// The socket for this machine (default: local/hub.sock in the store)
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Serialize)]
struct ServeView {
    store: String,
    socket: Option<String>,
    address: Option<String>,
}

/// Does `serve`.
pub(crate) async fn run(context: &Context, args: &Serve) -> Result<(), Failure> {
    context.no_at()?;
    let beyond = args.listen.filter(|address| !address.ip().is_loopback());
    if let Some(address) = beyond.filter(|_| args.cert.is_none() && !args.plain) {
        return Err(Failure::invalid(format!(
            "{address} is reached from other machines, and nothing would be encrypted"
        ))
        .hint("say --cert and --key; or --plain, where a tunnel or a proxy encrypts"));
    }
    let store = context.shared_store()?;
    let dir = store.dir().to_owned();
    let socket = args.socket.clone().unwrap_or_else(|| dir.join("local").join("hub.sock"));
    let options = HubOptions {
        socket: cfg!(unix).then_some(socket),
        listen: args.listen,
        tls: args.cert.clone().zip(args.key.clone()),
        hosts: args.hosts.clone(),
        origins: args.origins.clone(),
        rate: Some(args.rate),
        ..HubOptions::default()
    };
    let certificates = Certificates { trusted: args.ca.clone() };
    let database = args.postgres.as_deref().map(|url| Postgres::new(url, None, &certificates));
    let database = database.transpose()?;
    if let Some(database) = &database {
        // What cannot work at all is said now, and not to a log.
        context.out.waiting("asking the database", database.runs()).await?;
    }
    let hub = Hub::open(store.clone(), options).await?;
    let listening = hub.listening().clone();
    let view = ServeView {
        store: dir.display().to_string(),
        socket: listening.socket.map(|path| path.display().to_string()),
        address: listening.address.map(|address| address.to_string()),
    };
    context.out.answer(&view, || {
        let mut text = format!("serving {}", view.store);
        if let Some(socket) = &view.socket {
            text += &format!("\n  tress sync unix:{socket}");
        }
        if let Some(address) = &view.address {
            let scheme = if args.cert.is_some() { "wss" } else { "ws" };
            text += &format!(
                "\n  tress sync {scheme}://{address}   with a token: `tress token create`"
            );
        }
        text + "\nCtrl-C ends it"
    })?;
    let (out, kept) = (context.out.clone(), database.as_ref());
    let told = move |run: &str, news: News<'_>| {
        if let News::Broken(error, wait) = news {
            out.warn(&format!("{run}: {error}; trying again in {:.1} s", wait.as_secs_f64()));
        }
    };
    let keeping = async {
        match kept {
            Some(database) => match follow_store(&store, database, told).await {
                Ok(never) => match never {},
                Err(error) => Err(error),
            },
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = keeping => ended,
        () = interrupted() => Ok(()),
    };
    hub.close().await;
    Ok(ended?)
}
