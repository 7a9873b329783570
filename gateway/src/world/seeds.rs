//! Worlds made from a seed.
