//! Two and more nodes that take turns, over weather.
