/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the walk and the program around it say to each other. The same structures are in
 * record.rs and slot.rs; both sides check the sizes.
 */
#pragma once

#include "kernel.h"

/* What an entry has: a number that it lacks is zero in the record, and no bit says so. */
enum has {
	HAS_IPV4 = 1 << 0,
	HAS_IPV6 = 1 << 1,
	HAS_PORTS = 1 << 2,
	HAS_ICMP = 1 << 3,
	HAS_GRE = 1 << 4,
	HAS_TIMEOUT = 1 << 5,
	HAS_TCP = 1 << 6,
	HAS_SCTP = 1 << 7,
	HAS_DCCP = 1 << 8,
	HAS_STATE = 1 << 9,
	HAS_MARK = 1 << 10,
	HAS_COUNTERS = 1 << 11,
	HAS_TIMESTAMPS = 1 << 12,
	/* The first of its bucket. */
	HAS_FIRST = 1 << 13,
	/* Of struct more, which is there if one of these is. */
	HAS_LABELS = 1 << 16,
	HAS_HELPER = 1 << 17,
	HAS_MASTER = 1 << 18,
	HAS_SEQADJ = 1 << 19,
	HAS_SYNPROXY = 1 << 20,
	HAS_SOME_MORE = 0x1f << 16,
};

/* States of SCTP and DCCP stand behind those of TCP. */
enum { STATE_SCTP = 0x100, STATE_DCCP = 0x200 };

/* One entry. */
struct record {
	u64 address; /* of the nf_conn: part of its id */
	u64 master;  /* the same of the entry that expected it */
	u64 start, stop;
	u64 packets_orig, bytes_orig, packets_reply, bytes_reply;
	u64 packets, bytes; /* of both directions */
	u64 handshake;
	u8 orig[40], reply[40]; /* nf_conntrack_tuple, as it is: ids are hashes of it */
	u32 has, status, mark, secmark, use;
	u32 timeout; /* seconds */
	u16 zone, state;
	u8 wscale[2], flags[2], zone_dir, role;
	u8 rest[2];
	u32 vtag[2]; /* in the order of the network */
	u32 behind;
};
_Static_assert(sizeof(struct record) == 216, "record.rs says the same");

/* What few entries have, behind their record. */
struct more {
	u8 labels[16];
	char helper[16];
	u8 master[40];
	u32 seqadj[6];
	u32 synproxy[3];
	u32 rest;
};
_Static_assert(sizeof(struct more) == 112, "record.rs says the same");

/* A comparison: whether a number of the record is between two others. */
struct test {
	u16 offset; /* of the number in the record */
	u8 width;   /* 1, 2, 4, 8, 16 bytes; 0: whether `need` is lacking */
	u8 flags;
	u32 need; /* what the record must have for the number to be there */
	u64 mask;
	u64 first_high, first, last_high, last;
};
_Static_assert(sizeof(struct test) == 48, "filter.rs says the same");

enum test_flags {
	TEST_NETWORK_ORDER = 1 << 0,
	/* The last of those of which one must hold. */
	TEST_ENDS_CONDITION = 1 << 1,
	/* The last of the conditions that must all hold. */
	TEST_ENDS_ALTERNATIVE = 1 << 2,
};

#define MOST_TESTS 64

/*
 * A word of a tuple of which some bits must be so: what is seen without copying anything. Without a
 * mask it asks nothing.
 */
struct glance {
	u32 is_reply, offset, mask, value;
};

#define GLANCES 2

/* What has been copied when an entry is asked: the less is copied of what is not wanted, the better. */
enum stage { STAGE_TUPLES, STAGE_ENTRY, STAGE_EXTENSIONS, STAGES };

#define BUCKETS_AT_ONCE 16
#define RAW_CT 496
#define NOTHING_FETCHED 1 /* not the first bucket of those that are fetched at once */

enum bare {
	BARE_SCTP = 1 << 0,
	BARE_DCCP = 1 << 1,
};

/* How a run ended. */
enum state {
	STATE_UNFINISHED, /* time or room is up: go on at `next` */
	STATE_DONE,	  /* `next` is `to` */
	STATE_MOVED,	  /* the table is another one: nothing of this run counts */
	STATE_ASTRAY,	  /* bucket `next` changed each time it was read */
	STATE_TOO_LONG,	  /* bucket `next` does not fit into a run of its own */
	STATE_FAULT,	  /* memory could not be read */
	STATE_NO_LOOKUP,  /* the lookup at the end was refused */
	STATE_LAYOUT,	  /* tuples of this kernel are not as they are written down here */
};

/* One run: what is asked, what was answered, and what it keeps on the way. */
struct slot {
	/* Asked. */
	u64 variable; /* address of nf_conntrack_hash */
	u64 table;    /* its value when the walk began */
	u64 net;      /* the namespace */
	u64 budget;   /* nanoseconds */
	u32 from, to; /* buckets */
	u32 hz;
	u32 bare; /* protocols of which this kernel keeps no state */
	struct glance glances[GLANCES];
	u32 first_test[STAGES], tests_of[STAGES]; /* none where a stage asks no more than the last */
	u64 floor;    /* of what is selected, what is less than this is counted and not copied */
	u32 floor_at; /* which eight bytes of the record */
	u32 behind;
	/* Answered. */
	u32 state, next;
	u32 used; /* bytes of the region */
	u32 below; /* selected and not copied */
	u32 again; /* buckets that were read again */
	u32 took;  /* nanoseconds */
	u64 nodes;
	/* Kept. */
	u64 node, deadline, checked, order;
	u32 bucket, begun, begun_below, tries;
	u32 unlooked, jiffies, first, fetched, looked, rest;
	u64 heads[BUCKETS_AT_ONCE], touched[BUCKETS_AT_ONCE];
	u8 ct[RAW_CT]; /* the nf_conn as it was copied */
	struct test tests[MOST_TESTS];
};

_Static_assert(sizeof(struct slot) == 4048, "slot.rs says the same");
_Static_assert(__builtin_offsetof(struct slot, state) == 120, "slot.rs says the same");
_Static_assert(__builtin_offsetof(struct slot, tests) == 976, "slot.rs says the same");

#define REGION (256 * 1024)
