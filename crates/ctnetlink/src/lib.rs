//! The kernel's connection tracking over netlink.
