//! One file a subcommand: flags in, output out.

pub(crate) mod api;
