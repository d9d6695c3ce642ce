//! `tally [--json]`: counts the words of what it reads.

fn main() {
    todo!("read, count, report")
}
