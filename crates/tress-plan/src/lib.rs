//! The planner of Tress: how many agents, who takes what next, how it goes, what is to be changed.
//!
//! This crate owns every decision of the orchestrator that can be made from a run's state, the
//! time and a seed. It is pure: the same arguments give the same decisions, so that a whole team
//! can be simulated faster than life, and what was decided can be computed again from the log. It
//! never starts a process, reads a clock or a file, or appends an event: it gives operations, and
//! whoever called it appends them.

pub mod scope;
pub mod select;

pub use select::{
    Outlook, Plan, TRIES_PER_AGENT, all_tries, choose, implementer, is_implementer, outlook, plan,
    tries,
};
