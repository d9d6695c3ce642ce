//! Execution: agents, their processes and work trees, and the loop that keeps them at work.

pub mod driver;
mod lost;
pub mod options;
pub mod orchestrator;
pub mod process;
mod recover;
mod review;
