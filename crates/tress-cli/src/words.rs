//! Words: what happened, and how things stand, in sentences.

pub(crate) mod circles;
mod events;
mod facts;
mod relations;
mod standing;

pub(crate) use events::{describe, more, verdict};
pub(crate) use facts::{Names, item, lines, phrases};
pub(crate) use relations::{KINDS, kind_word, relation, remark, verb, whether_over};
pub(crate) use standing::{Why, blocked, reasons, set_aside, standing};

/// Text that a terminal shows as it is: no control characters, one line.
pub(crate) fn clean(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of several lines without control characters that would steer a terminal.
pub(crate) fn clean_lines(text: &str) -> String {
    text.chars().filter(|&c| c == '\n' || c == '\t' || !c.is_control()).collect()
}

/// One line of at most `most` characters.
pub(crate) fn short(text: &str, most: usize) -> String {
    let line = clean(text.lines().next().unwrap_or_default());
    let cut = line.chars().count() > most || text.trim_end().lines().count() > 1;
    if !cut {
        return line;
    }
    let kept: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A title in quotation marks, cut where it is long.
pub(crate) fn quoted(title: &str) -> String {
    format!("\"{}\"", short(title, 60))
}

/// What is not counted as work: `; 1 subtask of sent-back work, 2 ephemeral beside`, or nothing.
pub(crate) fn beside(subtasks: usize, ephemeral: usize) -> String {
    let sent_back = format!("{} of sent-back work", count(subtasks, "subtask"));
    let parts = [(subtasks, sent_back), (ephemeral, format!("{ephemeral} ephemeral"))].into_iter();
    let parts = parts.filter(|(number, _)| *number > 0).map(|(_, words)| words);
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { String::new() } else { format!("; {} beside", parts.join(", ")) }
}

/// `1 todo`, `2 todos`.
pub(crate) fn count(number: impl TryInto<u64>, one: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = match one.strip_suffix('y') {
        Some(stem) if number != 1 => format!("{stem}ies"),
        _ if number == 1 => one.to_owned(),
        _ => format!("{one}s"),
    };
    format!("{number} {plural}")
}

/// `: text`, or nothing where there is none.
pub(crate) fn after_colon(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!(": {}", short(text, 200)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(clean("a\u{1b}[31mb\nc\n"), "a [31mb c");
        assert_eq!(clean_lines("a\u{1b}[31m\n\tb\u{7}"), "a[31m\n\tb");
    }

    #[test]
    fn long_titles_are_cut() {
        assert_eq!(short("one two three", 8), "one two…");
        assert_eq!(short("first\nsecond", 60), "first…");
        assert_eq!(quoted("fine"), "\"fine\"");
    }

    #[test]
    fn things_are_counted() {
        assert_eq!(count(1_usize, "entry"), "1 entry");
        assert_eq!(count(2_usize, "entry"), "2 entries");
        assert_eq!(count(0_usize, "todo"), "0 todos");
    }
}
