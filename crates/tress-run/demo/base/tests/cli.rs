use std::io::Write;
use std::process::{Command, Stdio};

fn tally(args: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn it_counts_what_it_reads() {
    assert_eq!(tally(&[], "the cat and the Cat"), "2  cat\n");
    assert_eq!(tally(&["--json"], "a dog"), "[{\"word\":\"dog\",\"count\":1}]\n");
}
