//! The route that a path most likely belongs to, where no rule says it.
