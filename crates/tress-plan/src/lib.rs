//! The planner of Tress: how many agents, who takes what next, how it goes, what is to be changed.
//!
//! This crate owns every decision of the orchestrator that can be made from a run's state, the
//! time and a seed. It is pure: the same arguments give the same decisions, so that a whole team
//! can be simulated faster than life, and what was decided can be computed again from the log. It
//! never starts a process, reads a clock or a file, or appends an event: it gives operations, and
//! whoever called it appends them.

pub mod alerts;
pub mod critical;
pub mod failure;
pub mod learn;
pub mod metrics;
pub mod outlook;
pub mod predict;
pub mod random;
pub mod scope;
pub mod select;
pub mod strategy;
pub mod tier;

pub use alerts::Limits;
pub use metrics::{Figures, Meter};
pub use outlook::{Outlook, integration_order, outlook, unable};
pub use select::{
    ANYTHING, Board, Candidate, Choice, TRIES_PER_AGENT, Terms, able, all_tries, choose, tries,
};
pub use strategy::{Strategy, StrategyChange, adapt};
pub use tier::{Plan, implementer, is_implementer, plan};
