//! What is told of a run, and what is kept of it: the last room.

mod retention;
