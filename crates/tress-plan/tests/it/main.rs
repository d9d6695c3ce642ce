//! The planner on states that were made for it, and in simulated teams.

mod learning;
