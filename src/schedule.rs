//! From a cron line and a time zone to the next instant. Pure: no clock, no waiting.
