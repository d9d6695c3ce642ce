//! `torture`: tries to break the promise that an operation which was acknowledged is there,
//! whatever dies. It knows Tress from outside: as processes that embed the library, and as the
//! program `tress`. docs/TESTING.md says what each command holds.

mod ack;
mod careless;
mod check;
mod client;
mod database;
mod disk;
mod interrupt;
mod kill;
mod node;
mod power;
mod random;
mod storm;
mod team;
mod trouble;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::trouble::Trouble;

/// Try to lose what was acknowledged
#[derive(Debug, Parser)]
#[command(name = "torture", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Kill(kill::Kill),
    Database(database::Database),
    Power(power::Power),
    Storm(storm::Storm),
    #[command(hide = true)]
    Writer(writer::Writer),
    #[command(hide = true)]
    Node(node::Node),
}

/// What all tortures are told.
#[derive(Debug, Args)]
struct Common {
    /// What chance begins with; the same seed tries the same (when a process dies is also up to
    /// the machine)
    #[arg(long)]
    seed: Option<u64>,
    /// The binary `tress`, if not the one beside this program
    #[arg(long, value_name = "FILE")]
    tress: Option<PathBuf>,
}

impl Common {
    fn seed(&self) -> u64 {
        self.seed.unwrap_or_else(|| tress::now() % 1_000_000)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (name, seed) = match &cli.command {
        Command::Kill(args) => ("kill", args.common.seed()),
        Command::Power(args) => ("power", args.common.seed()),
        Command::Storm(args) => ("storm", args.common.seed()),
        Command::Database(args) => ("database", args.common.seed()),
        Command::Writer(args) => return end("writer", None, writer::run(args)),
        Command::Node(args) => return end("node", None, node::run(args)),
    };
    println!("torture {name}: seed {seed}");
    let ended = interrupt::watch().and_then(|()| match &cli.command {
        Command::Kill(args) => kill::run(args, seed),
        Command::Power(args) => power::run(args, seed),
        Command::Storm(args) => storm::run(args, seed),
        Command::Database(args) => database::run(args, seed),
        Command::Writer(_) | Command::Node(_) => Ok(()),
    });
    end(name, Some(seed), ended)
}

fn end(name: &str, seed: Option<u64>, ended: Result<(), Trouble>) -> ExitCode {
    let Err(trouble) = ended else { return ExitCode::SUCCESS };
    eprintln!("{trouble}");
    if let (Some(seed), false) = (seed, matches!(trouble, Trouble::Interrupted)) {
        eprintln!("torture {name}: failed with --seed {seed}");
    }
    trouble.exit()
}
