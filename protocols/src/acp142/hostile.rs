//! Hostile inputs 33 to 42.
