//! `documents`: where stock Automerge clients find a run's three documents.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use tress::Strand;

use crate::context::Context;
use crate::failure::Failure;

/// Show where Automerge clients find the run's documents
#[derive(Debug, Args)]
#[command(after_help = "\
A hub (`tress serve --listen …`) speaks the WebSocket protocol of automerge-repo: give a client the
address with a token in it, and find these documents. What it edits becomes operations under its name.

Example, in Node:
  new WebSocketClientAdapter(\"ws://127.0.0.1:7171/v1/runs/main/automerge?token=tress_…&agent=ada\")
  const todos = await repo.find(\"automerge:…\")")]
pub(crate) struct Documents {}

#[derive(Serialize)]
struct DocumentsView {
    /// Behind the hub's address.
    path: String,
    /// By strand.
    urls: BTreeMap<&'static str, String>,
}

/// Does `documents`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    context.no_at()?;
    let run = context.open().await?;
    let mut urls = BTreeMap::new();
    for strand in Strand::ALL {
        urls.insert(strand.name(), format!("automerge:{}", run.document_id(strand)?));
    }
    let path = format!("/v1/runs/{}/automerge", run.name());
    let view = DocumentsView { path, urls };
    context.out.answer(&view, || {
        let lines = view.urls.iter().map(|(strand, url)| format!("{strand:<15} {url}"));
        let lines: Vec<_> = lines.collect();
        format!("{}\nat a hub, under {}?token=…", lines.join("\n"), view.path)
    })
}
