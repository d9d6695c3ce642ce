//! Execution: agents, their processes and work trees, and the team that keeps them at work.

mod blockers;
pub mod branch;
mod decide;
pub mod driver;
pub mod explore;
mod implement;
mod integrate;
mod learned;
mod log_file;
mod lost;
pub mod mark;
pub mod options;
pub mod orchestrator;
pub mod process;
mod recover;
mod review;
mod steward;

pub use review::GAP;
