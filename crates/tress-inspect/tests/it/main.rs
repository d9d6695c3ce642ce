//! What can be seen in source code, language by language.

mod corpus;
