//! Costs that can be counted.
