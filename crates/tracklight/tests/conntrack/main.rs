//! The program under the name `conntrack`, beside Debian's conntrack(8): the same command lines in
//! twin namespaces, and the same comes out, in words, exit status and the table left behind.

mod around;
mod events;
mod expectations;
mod generated;
mod lines;
mod load;
mod output;
mod twin;
