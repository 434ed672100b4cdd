//! The help.

use crate::l4::L4;

const HELP: &str = "\
Shows and changes the connection tracking table as conntrack(8) does. Version 1.4.8
Usage: conntrack COMMAND [table] [options]

Commands:
  -L, --dump [table]            list connections or expectations
  -G, --get [table]             show one
  -D, --delete [table]          delete connections, or one expectation
  -I, --create [table]          make one
  -A, --add [table]             make one, or change it if it is there
  -U, --update [table]          change connections
  -E, --event [table]           print what happens, as it happens
  -F, --flush [table]           empty the table
  -C, --counter [table]         print how many there are
  -S, --stats [table]           print the kernel's counters
  -R, --load-file FILE          do what the lines of a file say; - is standard input

Tables: conntrack, expect, dying, unconfirmed

Which connections:
  -s, --src, --orig-src ADDRESS[/LENGTH]    source, original direction
  -d, --dst, --orig-dst ADDRESS[/LENGTH]    destination, original direction
  -r, --reply-src ADDRESS                   source, reply direction
  -q, --reply-dst ADDRESS                   destination, reply direction
  -p, --protonum PROTOCOL                   protocol, by name or number; its own options follow it
  -f, --family ipv4|ipv6                    family
  -u, --status STATUS[,...]                 status, such as ASSURED
  -m, --mark MARK[/MASK]                    mark
  -c, --secmark NUMBER                      security mark
  -w, --zone NUMBER                         zone
      --orig-zone, --reply-zone NUMBER      zone of one direction
  -l, --label NAME[,...]                    labels
  -n, --src-nat [ADDRESS[:PORT]]            source is translated
  -g, --dst-nat [ADDRESS[:PORT]]            destination is translated
  -j, --any-nat [ADDRESS[:PORT]]            either is translated
      --mask-src, --mask-dst ADDRESS        bits of the address that count

What to set:
  -t, --timeout SECONDS         time to live
      --label-add NAME[,...]    labels
      --label-del [NAME[,...]]  labels to be taken away; without a name all

Expectations:
      --tuple-src, --tuple-dst ADDRESS[/LENGTH]

Output:
  -o, --output extended|xml|save|timestamp|id|ktimestamp|labels|userspace[,...]
  -z, --zero                    set counters to zero with -L
  -e, --event-mask ALL|NEW|UPDATES|DESTROY[,...]
  -b, --buffer-size BYTES       the kernel's buffer for events
";

/// The help, and of a protocol's options if one was named.
pub(crate) fn text(l4: Option<L4>) -> String {
    match l4 {
        Some(l4) => format!("{HELP}{}", l4.help()),
        None => HELP.to_owned(),
    }
}
