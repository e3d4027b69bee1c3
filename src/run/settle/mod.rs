//! What became of an item: the third room.

pub(super) mod bases;
