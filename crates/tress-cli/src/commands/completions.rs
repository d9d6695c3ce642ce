//! `completions`: what a shell needs to complete our command lines.

use clap::Args;
use clap_complete::Shell;

use crate::args;
use crate::context::Context;
use crate::failure::Failure;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress completions bash > ~/.local/share/bash-completion/completions/tress
  tress completions zsh > ~/.zfunc/_tress
  tress completions fish > ~/.config/fish/completions/tress.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Does `completions`.
pub(crate) fn run(context: &Context, args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::whole(), "tress", &mut script);
    if context.out.json() {
        return context.out.data(&String::from_utf8_lossy(&script));
    }
    context.out.bytes(&script)
}
