//! The columns of the table: what stands in them, and how they share the width.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

/// A column of the table of connections.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// By which it is chosen.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What the API sorts by; empty where it does not.
    pub sort: &'static str,
    /// Below so many cells it says nothing.
    pub least: u16,
    /// More than so many it never gets.
    pub most: u16,
    /// Those with the highest go first where there is no room.
    pub rank: u8,
    /// Whether it stands to the right.
    pub is_number: bool,
    /// Whether it is shown if nobody chose.
    pub is_usual: bool,
    /// What it shows, in a few words.
    pub meaning: &'static str,
}

const fn column(
    id: &'static str,
    title: &'static str,
    sort: &'static str,
    (least, most): (u16, u16),
    rank: u8,
    meaning: &'static str,
) -> Column {
    Column {
        id,
        title,
        sort,
        least,
        most,
        rank,
        is_number: false,
        is_usual: true,
        meaning,
    }
}

const fn number(column: Column) -> Column {
    Column {
        is_number: true,
        ..column
    }
}

const fn rare(column: Column) -> Column {
    Column {
        is_usual: false,
        ..column
    }
}

/// All columns, in the usual order.
pub const COLUMNS: [Column; 22] = [
    column("proto", "Proto", "proto", (4, 8), 0, "protocol"),
    column("source", "Source", "source", (15, 48), 0, "who opened it"),
    column(
        "destination",
        "Destination",
        "destination",
        (15, 48),
        0,
        "whom the opener addressed",
    ),
    column(
        "nat",
        "NAT",
        "translated",
        (18, 60),
        6,
        "what the other end sees, or who answers in truth",
    ),
    rare(number(column(
        "rate",
        "Rate",
        "rate",
        (9, 10),
        3,
        "bytes a second, both ways",
    ))),
    number(column(
        "rate_orig",
        "Up",
        "rate_orig",
        (9, 10),
        2,
        "bytes a second from the opener",
    )),
    number(column(
        "rate_reply",
        "Down",
        "rate_reply",
        (9, 10),
        1,
        "bytes a second to the opener",
    )),
    number(column(
        "bytes",
        "Bytes",
        "bytes",
        (7, 8),
        4,
        "bytes of both ways",
    )),
    column(
        "state",
        "State",
        "state",
        (6, 12),
        5,
        "the kernel's name of its state",
    ),
    number(column(
        "age",
        "Age",
        "age",
        (4, 8),
        7,
        "time since it began",
    )),
    number(column(
        "timeout",
        "Timeout",
        "timeout",
        (7, 8),
        8,
        "time until it is dropped if no packet comes",
    )),
    column(
        "status",
        "Status",
        "status",
        (7, 20),
        9,
        "assured, unreplied, offloaded and so on",
    ),
    column(
        "service",
        "Service",
        "",
        (7, 14),
        10,
        "what the port is called",
    ),
    column("app", "App", "", (5, 16), 11, "application, by the mark"),
    column("provider", "Uplink", "", (6, 14), 12, "uplink, by the mark"),
    column(
        "prio",
        "Priority",
        "",
        (8, 12),
        13,
        "traffic class, by the mark",
    ),
    number(column(
        "packets",
        "Packets",
        "packets",
        (7, 12),
        14,
        "packets of both ways",
    )),
    number(column("zone", "Zone", "zone", (4, 5), 16, "zone")),
    number(column("mark", "Mark", "mark", (6, 10), 15, "mark")),
    rare(column(
        "helper",
        "Helper",
        "helper",
        (6, 12),
        17,
        "the helper at work",
    )),
    rare(column(
        "labels",
        "Labels",
        "labels",
        (6, 16),
        18,
        "numbers of the labels that are set",
    )),
    rare(number(column(
        "id",
        "Id",
        "id",
        (10, 10),
        19,
        "the kernel's id",
    ))),
];

/// A column by its id.
pub fn by_id(id: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.id == id)
}

/// The ids of those that are shown if nobody chose.
pub fn usual() -> Vec<String> {
    let usual = COLUMNS.iter().filter(|column| column.is_usual);
    usual.map(|column| column.id.to_owned()).collect()
}

/// A column at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub column: &'static Column,
    /// Where it begins.
    pub x: u16,
    /// How wide it is.
    pub width: u16,
}

/// Cells between two columns.
const GAP: u16 = 1;

/// Which columns stand where in so much width. `wanted` has how wide what is in them is.
pub fn place(
    columns: &[&'static Column],
    wanted: &BTreeMap<&'static str, u16>,
    width: u16,
) -> Vec<Placed> {
    let wish = |column: &Column| {
        let title = cells(column.title) + 1;
        let content = wanted.get(column.id).copied().unwrap_or(column.least);
        content
            .max(title)
            .clamp(column.least, column.most.max(title))
    };
    let least = |column: &Column| wish(column).min(column.least.max(cells(column.title) + 1));
    // So wide that nothing usual is cut.
    let comfort = |column: &Column| match column.id {
        "source" | "destination" => wish(column).min(21),
        "nat" => wish(column).min(24),
        _ => wish(column),
    };
    let mut kept: Vec<&'static Column> = columns.to_vec();
    // First what says less goes, for the rest to be whole; then what says more, for the rest to be there.
    drop_columns(&mut kept, width, NEEDED, comfort);
    join_rates(&mut kept, width, comfort);
    drop_columns(&mut kept, width, 0, least);
    let mut widths: Vec<u16> = kept.iter().map(|column| least(column)).collect();
    let gaps = GAP * u16::try_from(kept.len().saturating_sub(1)).unwrap_or(u16::MAX);
    let mut left = width.saturating_sub(widths.iter().sum::<u16>() + gaps);
    // One cell each in turn, until all have what they want.
    while left > 0 {
        let before = left;
        for (place, column) in kept.iter().enumerate() {
            if left > 0 && widths[place] < wish(column) {
                widths[place] += 1;
                left -= 1;
            }
        }
        if left == before {
            break;
        }
    }
    let mut x = 0;
    let mut placed = Vec::with_capacity(kept.len());
    for (column, wide) in kept.into_iter().zip(widths) {
        let width = wide.min(width.saturating_sub(x));
        placed.push(Placed { column, x, width });
        x += wide + GAP;
    }
    placed
}

/// Those up to this rank are rather cut than left out.
const NEEDED: u8 = 2;

/// Leaves out columns beyond a rank until the others have room.
fn drop_columns(
    kept: &mut Vec<&'static Column>,
    width: u16,
    needed: u8,
    wide: impl Fn(&Column) -> u16,
) {
    while kept.len() > 1 {
        let sum: u16 = kept.iter().map(|column| wide(column) + GAP).sum();
        let last = kept
            .iter()
            .enumerate()
            .max_by_key(|(_, column)| column.rank);
        match last {
            Some((worst, column)) if sum > width + GAP && (column.rank > needed || needed == 0) => {
                kept.remove(worst);
            }
            _ => return,
        }
    }
}

/// One rate for both ways where there is no room for two beside whole addresses.
fn join_rates(kept: &mut Vec<&'static Column>, width: u16, wide: impl Fn(&Column) -> u16) {
    let sum: u16 = kept.iter().map(|column| wide(column) + GAP).sum();
    let place = |id| kept.iter().position(|column| column.id == id);
    let (Some(up), Some(down), Some(both)) =
        (place("rate_orig"), place("rate_reply"), by_id("rate"))
    else {
        return;
    };
    if sum > width + GAP && place("rate").is_none() {
        kept[up.min(down)] = both;
        kept.remove(up.max(down));
    }
}

/// How many cells of a terminal a text takes.
pub fn cells(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(width: u16, wanted: &[(&'static str, u16)]) -> Vec<Placed> {
        let usual: Vec<_> = COLUMNS.iter().filter(|column| column.is_usual).collect();
        place(&usual, &wanted.iter().copied().collect(), width)
    }

    fn ids(placed: &[Placed]) -> Vec<&str> {
        placed.iter().map(|placed| placed.column.id).collect()
    }

    #[test]
    fn narrow_screens_have_who_with_whom_and_how_fast() {
        let at_60 = placed(60, &[("source", 21), ("destination", 21)]);
        assert_eq!(
            ids(&at_60),
            ["proto", "source", "destination", "rate"],
            "one rate, for addresses to be whole"
        );
        let short = placed(60, &[("source", 15), ("destination", 15)]);
        assert_eq!(
            ids(&short),
            ["proto", "source", "destination", "rate_orig", "rate_reply"]
        );
    }

    #[test]
    fn nothing_is_beyond_the_width_and_nothing_overlaps() {
        for width in 4..300 {
            let placed = placed(width, &[("source", 40), ("nat", 44)]);
            let mut end = 0;
            for Placed { x, width: wide, .. } in placed {
                assert!(x >= end && x + wide <= width, "at {width}");
                end = x + wide + 1;
            }
        }
    }

    #[test]
    fn wide_screens_have_every_usual_column() {
        let placed = placed(250, &[]);
        assert_eq!(placed.len(), usual().len());
    }

    #[test]
    fn ids_are_told_apart() {
        for column in &COLUMNS {
            assert_eq!(by_id(column.id), Some(column));
        }
    }
}
