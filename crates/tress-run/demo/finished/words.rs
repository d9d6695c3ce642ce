//! Words: what a text is made of.

/// The words of `text`, in lower case, in order.
pub fn words(text: &str) -> Vec<String> {
    let outside = |c: char| !c.is_alphanumeric() && c != '\'';
    text.split(outside).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}
