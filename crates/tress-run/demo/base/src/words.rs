//! Words: what a text is made of.

/// The words of `text`, in lower case, in order.
pub fn words(text: &str) -> Vec<String> {
    todo!("split {text:?}")
}
