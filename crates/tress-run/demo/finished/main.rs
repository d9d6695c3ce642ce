//! `tally [--json]`: counts the words of what it reads.

use std::io::Read;

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let words = tally::stop::without_stop_words(tally::words::words(&text));
    let counts = tally::count::count(&words);
    if std::env::args().any(|arg| arg == "--json") {
        println!("{}", tally::report::json(&counts));
    } else {
        print!("{}", tally::report::table(&counts));
    }
    Ok(())
}
