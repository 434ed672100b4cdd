//! What is wrong, what follows from it, and what mends it.
