//! `tress`: the command line. This crate owns what people and scripts see: arguments, sentences,
//! tables, JSON, exit codes. It decides nothing about todos; the library does.

mod args;
mod commands;
mod context;
mod failure;
mod interrupt;
mod output;
mod time;
mod told;
mod view;
mod words;

use std::process::ExitCode;

fn main() -> ExitCode {
    let given = std::env::args_os().skip(1);
    let json = given.take_while(|arg| arg != "--").any(|arg| arg == "--json");
    let out = output::Output::new(json);
    match commands::main(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&out),
    }
}
