//! What tests of several kinds need to have around Tress: servers of PostgreSQL.

pub mod cluster;
