//! What fuzzing found, each by the name of the bug. The files are replayed by [`super::holds`], too.

use tress_oracles::{admit, codec, import, journal, run_file};

/// A segment that cited what does not exist held up all that its replica wrote, where it came
/// before it, and a segment that waited was lost to another of the same numbers: which events were
/// admitted was a matter of order.
#[test]
fn made_up_causes_decide_nothing() {
    admit(include_bytes!("../../../finds/admit/made-up-causes"));
}

/// Where a journal lacked a file between two, its writer went on behind the gap, and what was
/// acknowledged was never read again.
#[test]
fn what_is_appended_behind_a_missing_file_is_not_lost() {
    journal(include_bytes!("../../../finds/journal/missing-file"));
}

/// `+1` was a byte of an id, as it is a number: one replica had many names.
#[test]
fn a_sign_is_no_hexadecimal_digit() {
    codec(include_bytes!("../../../finds/codec/signed-hex"));
}

/// Room was made for as many todos as a snapshot said it had, and the process ended.
#[test]
fn a_length_that_is_only_announced_costs_nothing() {
    codec(include_bytes!("../../../finds/codec/announced-length"));
}

/// Segments that say different things of the same events, and one with a figure that is not a
/// number, came out of a merge of run files once more each time they were merged.
#[test]
fn run_files_that_are_merged_again_do_not_grow() {
    run_file(include_bytes!("../../../finds/run_file/merged-again"));
}

/// Where both sides had the same issue and one a blank line behind it, the merge of a beads file depended on
/// which of them was ours.
#[test]
fn a_blank_line_is_merged_alike_from_either_side() {
    import(include_bytes!("../../../finds/import/blank-line"));
}
