//! Stand-ins for the three providers, served from one process over one world model.
