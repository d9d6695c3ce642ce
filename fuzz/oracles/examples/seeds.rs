//! Writes the seeds of every fuzz target into `fuzz/corpus/TARGET`:
//! `cargo run -p tress-oracles --example seeds`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (target, _) in tress_oracles::TARGETS {
        let dir = corpus.join(target);
        std::fs::create_dir_all(&dir)?;
        for (number, seed) in tress_oracles::seeds::seeds(target).iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
