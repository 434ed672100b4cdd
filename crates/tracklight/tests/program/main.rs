//! The program as its users run it: in a private namespace, against the real kernel, with real
//! traffic where it matters.

mod audit;
mod change;
mod completions;
mod config;
mod conntrack_text;
mod demo;
mod doctor;
mod faults;
mod group;
mod history;
mod install;
mod list;
mod query;
mod run;
mod saved;
mod serve;
mod source;
mod terminal;
mod timeout;
mod top;
mod watch;
