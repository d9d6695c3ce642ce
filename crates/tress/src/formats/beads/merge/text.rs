//! Texts that several sides changed: merged line by line, and word by word where lines collide.
//!
//! The three-way merge is that of `diff3` (Khanna, Kunal, Pierce: *A Formal Investigation of
//! Diff3*, FSTTCS 2007), except that it never gives up: where both sides changed one place, what
//! either wrote is kept, once. Which side is which makes no difference, and a result that is merged
//! with what it was made of stays as it is; a text for which that does not hold is left to the rule
//! `field-merge`.

/// The largest table that two texts are compared with; larger ones count as replaced.
const CELLS_MAX: usize = 1 << 20;

/// A stretch of the base and what a side has in its place.
struct Hunk<'a> {
    from: usize,
    to: usize,
    new: Vec<&'a str>,
}

/// What `texts`, all made from `base`, come to; `None` where no merge of them is stable. The order
/// of `texts` makes no difference.
pub(super) fn merge(base: &str, texts: &[&str]) -> Option<String> {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    texts.dedup();
    // A text that holds all others already is the result; so a result is merged only once.
    let holds = |text: &str| texts.iter().all(|other| three_way(base, text, other) == text);
    if let Some(whole) = texts.iter().find(|text| holds(text)) {
        return Some((*whole).to_owned());
    }
    let mut merged = (*texts.first()?).to_owned();
    for text in texts.iter().skip(1) {
        merged = three_way(base, &merged, text);
    }
    holds(&merged).then_some(merged)
}

fn three_way(base: &str, one: &str, other: &str) -> String {
    if one == other || other == base {
        return one.to_owned();
    }
    if one == base {
        return other.to_owned();
    }
    let lines = |text| str::split(text, '\n').collect::<Vec<_>>();
    let merged = regions(&lines(base), &lines(one), &lines(other), &mut |base, one, other| {
        Some(collision(base, one, other))
    });
    merged.map(|lines| lines.join("\n")).unwrap_or_default()
}

/// What becomes of a place that both sides changed.
type Collide<'c, 'a> = dyn FnMut(&[&'a str], &[&'a str], &[&'a str]) -> Option<Vec<String>> + 'c;

/// Merges token by token; `None` where a collision was not to be had.
fn regions<'a>(
    base: &[&'a str],
    one: &[&'a str],
    other: &[&'a str],
    collide: &mut Collide<'_, 'a>,
) -> Option<Vec<String>> {
    let mut left = hunks(base, one).into_iter().peekable();
    let mut right = hunks(base, other).into_iter().peekable();
    let mut merged = Vec::new();
    let mut at = 0;
    while let Some(from) =
        left.peek().map(|h| h.from).into_iter().chain(right.peek().map(|h| h.from)).min()
    {
        let mut to = from;
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        // Hunks that touch belong together: nobody knows in which order they would stand.
        loop {
            if let Some(hunk) = left.next_if(|hunk| hunk.from <= to) {
                to = to.max(hunk.to);
                mine.push(hunk);
            } else if let Some(hunk) = right.next_if(|hunk| hunk.from <= to) {
                to = to.max(hunk.to);
                theirs.push(hunk);
            } else {
                break;
            }
        }
        merged.extend(base.iter().take(from).skip(at).map(|&token| token.to_owned()));
        let mine_new = applied(base, from, to, &mine);
        let theirs_new = applied(base, from, to, &theirs);
        if theirs.is_empty() || mine_new == theirs_new {
            merged.extend(mine_new.into_iter().map(str::to_owned));
        } else if mine.is_empty() {
            merged.extend(theirs_new.into_iter().map(str::to_owned));
        } else {
            let old: Vec<&str> = base.iter().take(to).skip(from).copied().collect();
            merged.extend(collide(&old, &mine_new, &theirs_new)?);
        }
        at = to;
    }
    merged.extend(base.iter().skip(at).map(|&token| token.to_owned()));
    Some(merged)
}

/// The stretch `from..to` of the base as a side has it.
fn applied<'a>(base: &[&'a str], from: usize, to: usize, hunks: &[Hunk<'a>]) -> Vec<&'a str> {
    let mut new = Vec::new();
    let mut at = from;
    for hunk in hunks {
        new.extend(base.iter().take(hunk.from).skip(at));
        new.extend(&hunk.new);
        at = hunk.to;
    }
    new.extend(base.iter().take(to).skip(at));
    new
}

/// Lines that both sides changed: word by word where their words do not collide, else both.
fn collision(base: &[&str], one: &[&str], other: &[&str]) -> Vec<String> {
    let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
    if within(one, other) {
        return owned(other);
    }
    if within(other, one) {
        return owned(one);
    }
    let texts = (base.join("\n"), one.join("\n"), other.join("\n"));
    let found = regions(&words(&texts.0), &words(&texts.1), &words(&texts.2), &mut |_, _, _| None);
    if let Some(words) = found.filter(|_| !base.is_empty()) {
        return words.concat().split('\n').map(str::to_owned).collect();
    }
    // The order is that of the content, so that it does not matter which side is which.
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    owned(&both(first, second))
}

/// Whether all of `few` stands in `many`, in its order.
fn within(few: &[&str], many: &[&str]) -> bool {
    let mut many = many.iter();
    few.iter().all(|wanted| many.any(|found| found == wanted))
}

/// The shortest sequence that holds both.
fn both<'a>(first: &[&'a str], second: &[&'a str]) -> Vec<&'a str> {
    let mut merged = Vec::new();
    let mut at = 0;
    for hunk in hunks(first, second) {
        // What only the first has, then what only the second has.
        merged.extend(first.iter().take(hunk.to).skip(at));
        merged.extend(&hunk.new);
        at = hunk.to;
    }
    merged.extend(first.iter().skip(at));
    merged
}

/// Runs of letters and digits, runs of blanks, and everything else by itself.
fn words(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() => 0_u8,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        let now = class(c);
        if last.is_some_and(|last| last != now || now == 2) {
            words.extend(text.get(start..at));
            start = at;
        }
        last = Some(now);
    }
    words.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    words
}

/// Where `new` differs from `old`, by their longest common subsequence.
/// (Wagner and Fischer: *The String-to-String Correction Problem*, 1974.)
fn hunks<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Hunk<'a>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - head;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let (rows, columns) = (old.len() - head - tail, new.len() - head - tail);
    let mut hunks: Vec<Hunk<'a>> = Vec::new();
    if rows == 0 && columns == 0 {
        return hunks;
    }
    let middle = |list: &[&'a str], count| -> Vec<&'a str> {
        list.iter().skip(head).take(count).copied().collect()
    };
    let (old, new) = (middle(old, rows), middle(new, columns));
    let table = Lengths::of(&old, &new);
    let mut put = |row: usize, gone: usize, token: Option<&'a str>| {
        let from = head + row;
        match hunks.last_mut().filter(|hunk| hunk.to == from) {
            Some(hunk) => {
                hunk.to += gone;
                hunk.new.extend(token);
            }
            None => hunks.push(Hunk { from, to: from + gone, new: token.into_iter().collect() }),
        }
    };
    let (mut row, mut column) = (0, 0);
    loop {
        match (old.get(row), new.get(column)) {
            (None, None) => return hunks,
            (Some(a), Some(b)) if a == b && table.is_some() => {
                row += 1;
                column += 1;
            }
            (Some(_), b) => {
                let down = |table: &Lengths| table.at(row + 1, column) >= table.at(row, column + 1);
                if b.is_none() || table.as_ref().is_none_or(down) {
                    put(row, 1, None);
                    row += 1;
                } else {
                    put(row, 0, b.copied());
                    column += 1;
                }
            }
            (None, Some(b)) => {
                put(row, 0, Some(b));
                column += 1;
            }
        }
    }
}

/// The lengths of the longest common subsequences of all pairs of endings.
struct Lengths {
    cells: Vec<u32>,
    width: usize,
}

impl Lengths {
    /// `None` where the table would be too large.
    fn of(old: &[&str], new: &[&str]) -> Option<Self> {
        let width = new.len() + 1;
        if width.saturating_mul(old.len() + 1) > CELLS_MAX {
            return None;
        }
        let mut table = Self { cells: vec![0; width * (old.len() + 1)], width };
        for (row, a) in old.iter().enumerate().rev() {
            for (column, b) in new.iter().enumerate().rev() {
                let length = if a == b {
                    table.at(row + 1, column + 1) + 1
                } else {
                    table.at(row + 1, column).max(table.at(row, column + 1))
                };
                if let Some(cell) = table.cells.get_mut(row * width + column) {
                    *cell = length;
                }
            }
        }
        Some(table)
    }

    fn at(&self, row: usize, column: usize) -> u32 {
        self.cells.get(row * self.width + column).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_sides_lines_are_kept() {
        let merged = merge("a\nb\nc\nd", &["a\nB\nc\nd", "a\nb\nc\nd\ne"]);
        assert_eq!(merged.as_deref(), Some("a\nB\nc\nd\ne"));
        assert_eq!(merge("", &["x", "y\nx"]).as_deref(), Some("y\nx"));
        assert_eq!(merge("a", &["a\nx", "a\ny"]).as_deref(), Some("a\nx\ny"));
    }

    #[test]
    fn words_of_one_line_merge_where_they_do_not_collide() {
        let merged = merge("fix the old bug in it", &["fix the bug in it", "fix the old bug in x"]);
        assert_eq!(merged.as_deref(), Some("fix the bug in x"));
        let merged = merge("fix a bug", &["fix two bugs", "fix many bugs"]);
        assert_eq!(merged.as_deref(), Some("fix many bugs\nfix two bugs"));
    }

    proptest! {
        #[test]
        fn merging_is_symmetric_and_a_result_stays(
            base in "[ab\n ]{0,12}",
            one in "[abc\n ]{0,14}",
            other in "[abd\n ]{0,14}",
        ) {
            let merged = merge(&base, &[&one, &other]);
            prop_assert_eq!(&merged, &merge(&base, &[&other, &one]));
            if let Some(merged) = merged {
                let again = Some(merged.clone());
                prop_assert_eq!(&again, &merge(&base, &[&merged, &one]));
                prop_assert_eq!(&again, &merge(&base, &[&other, &merged]));
                let had = |text: &str, line: &str| text.split('\n').any(|had| had == line);
                for line in one.split('\n').filter(|line| had(&other, line)) {
                    prop_assert!(had(&base, line) || merged.contains(line), "{line:?} is gone");
                }
            }
        }
    }
}
