//! The orchestrator of Tress: a team of agents that does a todo list, step by step in the log.
//!
//! This crate owns the agents' processes and work trees, verification, reconciling and integration.
//! Who takes what next is decided in `tress-plan`, which it asks. What is decided is in the log as
//! events; what the team knows, it knows from the log, so that after a crash [`Orchestrator::run`] goes on
//! where the log says. It never prints: whoever embeds it follows the run's events.
//!
//! The way of a todo: *claimed* by an implementer, worked on in a git worktree of its own,
//! *claimed to be done* with a commit, *verified* by another agent in a clean worktree, *merged*
//! and checked again, and only then part of the run's branch and *completed*.

pub mod demo;
pub mod execute;
pub mod git;
pub mod reconcile;
pub mod verify;

pub use execute::driver::{CommandDriver, Driver, Task};
pub use execute::explore::{Explored, explore};
pub use execute::options::Options;
pub use execute::orchestrator::{Orchestrator, Outcome, RunError, Summary, is_abandoned};
pub use git::{GitError, Tree};
pub use tress_plan as plan;
