/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Reads the connection tracking table. docs/bpf.md explains what is read, why it is safe, and what
 * each check is for.
 */
#include "record.h"

char _license[] SEC("license") = "Dual MIT/GPL";

/* What user space knows when it loads the programs: what is not needed is left out of them. */
const volatile struct {
	/*
	 * Number of struct timespec64, two words, among the kernel's types: memory is read in place as
	 * that, with bpf_rdonly_cast(). 0: it is read through a helper.
	 */
	u32 words;
	/* Whether this kind of machine may read memory in another order than the program says. */
	u32 is_weak;
} given SEC(".rodata");

/* Slots and their regions are as many as user space makes them. */
struct {
	u32 (*type)[BPF_MAP_TYPE_ARRAY];
	u32 *key;
	struct slot *value;
	u32 (*max_entries)[1];
	u32 (*map_flags)[BPF_F_MMAPABLE];
} slots SEC(".maps");

struct {
	u32 (*type)[BPF_MAP_TYPE_ARRAY];
	u32 *key;
	u8 (*value)[REGION];
	u32 (*max_entries)[1];
	u32 (*map_flags)[BPF_F_MMAPABLE];
} regions SEC(".maps");

struct {
	u32 (*type)[BPF_MAP_TYPE_ARRAY];
	u32 *key;
	u8 (*value)[4096];
	u32 (*max_entries)[1];
	u32 (*map_flags)[BPF_F_MMAPABLE];
} page SEC(".maps");

/* --- Finding the table ------------------------------------------------------ */

struct found {
	u64 symbol[8]; /* text that ends in zeros */
	u64 address;
	u64 net;
};

/* Address of a function, 0 if there is none; and the namespace of the caller. */
SEC("syscall")
int find(struct found *context)
{
	u64 symbol[8], address = 0, nsproxy = 0, net = 0;
	struct task_struct *task = (void *)bpf_get_current_task();

#pragma unroll
	for (int i = 0; i < 8; i++)
		symbol[i] = context->symbol[i];
	if (bpf_kallsyms_lookup_name((char *)symbol, sizeof(symbol), 0, &address))
		address = 0;
	context->address = address;

	bpf_probe_read_kernel(&nsproxy, sizeof(nsproxy), &task->nsproxy);
	if (nsproxy)
		bpf_probe_read_kernel(&net, sizeof(net), &((struct nsproxy *)nsproxy)->net_ns);
	context->net = net;
	return 0;
}

struct peeked {
	u64 address;
	u32 size;
	s32 error;
};

/* Copies kernel memory to the page. */
SEC("syscall")
int peek(struct peeked *context)
{
	u32 zero = 0, size = context->size;
	u8 *to = bpf_map_lookup_elem(&page, &zero);

	if (!to || size > 4096)
		return 1;
	context->error = bpf_probe_read_kernel(to, size, (void *)context->address);
	return 0;
}

/* --- Reading ---------------------------------------------------------------- */

/* At most eight bytes, which is what the verifier knows to be there. */
#define in_place_as(words_, type, address) (*(type *)bpf_rdonly_cast((void *)(address), words_))

/* A number at a kernel address. In place it costs an instruction or two, else a call. */
#define number(type, address, field)                                                            \
	({                                                                                      \
		typeof(((type *)0)->field) number_ = 0;                                         \
		u32 words_ = given.words;                                                       \
		if (words_)                                                                     \
			number_ = in_place_as(words_, typeof(number_),                                  \
					      (address) + offset_of(type, field));              \
		else                                                                            \
			bpf_probe_read_kernel(&number_, sizeof(number_),                        \
					      &((type *)(address))->field);                     \
		number_;                                                                        \
	})

/*
 * A number at a node of a chain, by its name at the first node of an nf_conn. To name everything by
 * nf_conn keeps the load short: the loader looks through all types of the kernel for each that it is
 * told of.
 */
#define at_node(node, field)                                                                    \
	number(struct nf_conn, (node) - offset_of(struct nf_conn, tuplehash), tuplehash[0].field)

/* The same in the copy of the nf_conn. */
#define copied(slot, type, field) (*(type *)((slot)->ct + offset_of(struct nf_conn, field)))

struct reading {
	struct slot *slot;
	u8 *region;
	u32 index;
};

/* The node behind a node. */
static ALWAYS_INLINE void follow(volatile u64 *to, u64 node)
{
	u32 words_ = given.words;

	if (words_)
		*to = in_place_as(words_, u64, node + offset_of(struct nf_conn, tuplehash[0].hnnode.next) -
					       offset_of(struct nf_conn, tuplehash));
	else if (bpf_probe_read_kernel((void *)to, sizeof(*to), (void *)node))
		*to = 0;
}

/*
 * Reads the heads of several chains, and touches their beginnings before any of them is walked: so
 * the processor waits for their cache lines at the same time and not one after the other.
 */
static ALWAYS_INLINE void fetch(struct slot *slot, u32 bucket)
{
	volatile u64 *heads = slot->heads, *touched = slot->touched;

	if (bpf_probe_read_kernel((void *)heads, sizeof(slot->heads),
				  (void *)(slot->table + 8ull * bucket))) {
		slot->fetched = NOTHING_FETCHED;
		return;
	}
	slot->fetched = bucket;
#pragma unroll
	for (int round = 0; round < 2; round++)
#pragma unroll
		for (int i = 0; i < BUCKETS_AT_ONCE; i++) {
			/* At the end of a chain the table itself is read: no branch to take. */
			u64 node = round ? touched[i] : heads[i], is_end = -(node & 1);

			follow(&touched[i], (node & ~is_end) | (slot->table & is_end));
		}
}

/* --- Filtering -------------------------------------------------------------- */

struct asking {
	struct slot *slot;
	struct record *record;
	u32 first;
	u8 any, all, selected;
};

static ALWAYS_INLINE int is_between(struct test *test, u64 high, u64 low)
{
	if (high < test->first_high || high > test->last_high)
		return 0;
	if (high == test->first_high && low < test->first)
		return 0;
	return !(high == test->last_high && low > test->last);
}

static long ask(u32 index, struct asking *asking)
{
	struct record *record = asking->record;
	u32 at = asking->first + index;
	struct test *test;
	u64 high = 0, low = 0;
	u32 offset;
	u8 flags;

	if (at >= MOST_TESTS)
		return 1;
	test = &asking->slot->tests[at];
	offset = test->offset;
	flags = test->flags;
	if (offset > sizeof(struct record) - 16)
		return 1;

	if ((record->has & test->need) != test->need) {
		asking->any |= test->width == 0;
	} else if (test->width) {
		u8 *number = (u8 *)record + offset;

		switch (test->width) {
		case 1:
			low = *number;
			break;
		case 2:
			low = *(u16 *)number;
			if (flags & TEST_NETWORK_ORDER)
				low = __builtin_bswap16(low);
			break;
		case 4:
			low = *(u32 *)number;
			if (flags & TEST_NETWORK_ORDER)
				low = __builtin_bswap32(low);
			break;
		case 8:
			low = *(u64 *)number;
			break;
		default:
			/* Addresses lie at a multiple of four. */
			high = (u64) * (u32 *)number | (u64) * (u32 *)(number + 4) << 32;
			low = (u64) * (u32 *)(number + 8) | (u64) * (u32 *)(number + 12) << 32;
			high = __builtin_bswap64(high);
			low = __builtin_bswap64(low);
		}
		asking->any |= is_between(test, high, low & test->mask);
	}

	if (flags & TEST_ENDS_CONDITION) {
		asking->all &= asking->any;
		asking->any = 0;
	}
	if (flags & TEST_ENDS_ALTERNATIVE) {
		if (asking->all) {
			asking->selected = 1;
			return 1;
		}
		asking->all = 1;
	}
	return 0;
}

/*
 * Whether the entry whose record is being written may be wanted, as far as it has been copied. A
 * global function: the verifier looks at it once, and not wherever it is called.
 */
__attribute__((noinline)) int is_wanted(u32 index, u32 stage)
{
	struct slot *slot = bpf_map_lookup_elem(&slots, &index);
	u8 *region = bpf_map_lookup_elem(&regions, &index);
	struct asking asking = { .slot = slot, .all = 1 };
	u32 used;

	if (!slot || !region || stage >= STAGES)
		return 0;
	used = slot->used;
	if (used > REGION - sizeof(struct record))
		return 0;
	asking.record = (void *)(region + used);
	asking.first = slot->first_test[stage];
	bpf_loop(slot->tests_of[stage], ask, &asking, 0);
	return asking.selected;
}

static ALWAYS_INLINE int is_selected(struct reading *reading, enum stage stage)
{
	return !reading->slot->tests_of[stage] || is_wanted(reading->index, stage);
}

/* What to do after a node. */
enum turn { GO_ON, NEXT_BUCKET, SAME_BUCKET, ROOM_IS_UP };

/* --- One entry -------------------------------------------------------------- */

static ALWAYS_INLINE void copy_tuple(u8 *to, u8 *from)
{
	u64 *words = (u64 *)to, *of = (u64 *)from;

	words[0] = of[0];
	words[1] = of[1];
	words[2] = of[2];
	words[3] = of[3];
	words[4] = of[4];
}

/* The tuples, and what can be known of an entry by them. */
static ALWAYS_INLINE void write_tuples(struct slot *slot, struct record *record)
{
	copy_tuple(record->orig, slot->ct + offset_of(struct nf_conn, tuplehash[0].tuple));
	copy_tuple(record->reply, slot->ct + offset_of(struct nf_conn, tuplehash[1].tuple));

	record->has = slot->first;
	switch (copied(slot, u16, tuplehash[0].tuple.src.l3num)) {
	case AF_INET:
		record->has |= HAS_IPV4;
		break;
	case AF_INET6:
		record->has |= HAS_IPV6;
		break;
	}
	switch (copied(slot, u8, tuplehash[0].tuple.dst.protonum)) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		record->has |= HAS_PORTS;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		record->has |= HAS_ICMP;
		break;
	case IPPROTO_GRE:
		record->has |= HAS_GRE;
		break;
	}
}

static ALWAYS_INLINE void write_protoinfo(struct slot *slot, struct record *record)
{
	record->state = 0;
	/* A flow table that forwards the packets knows the state; this entry does not. */
	if (record->status & IPS_OFFLOAD)
		return;
	switch (copied(slot, u8, tuplehash[0].tuple.dst.protonum)) {
	case IPPROTO_TCP:
		record->has |= HAS_TCP | HAS_STATE;
		record->state = copied(slot, u8, proto.tcp.state);
		record->wscale[0] = copied(slot, u8, proto.tcp.seen[0].td_scale);
		record->wscale[1] = copied(slot, u8, proto.tcp.seen[1].td_scale);
		record->flags[0] = copied(slot, u8, proto.tcp.seen[0].flags);
		record->flags[1] = copied(slot, u8, proto.tcp.seen[1].flags);
		break;
	case IPPROTO_SCTP:
		if (slot->bare & BARE_SCTP)
			break;
		record->has |= HAS_SCTP | HAS_STATE;
		record->state = STATE_SCTP + copied(slot, u8, proto.sctp.state);
		record->vtag[0] = copied(slot, u32, proto.sctp.vtag[0]);
		record->vtag[1] = copied(slot, u32, proto.sctp.vtag[1]);
		break;
	case IPPROTO_DCCP:
		if (slot->bare & BARE_DCCP)
			break;
		if (has_field(struct nf_conn, proto.dccp)) {
			/* What is not there must not be looked for before this. */
			asm volatile("" ::: "memory");
			record->has |= HAS_DCCP | HAS_STATE;
			record->state = STATE_DCCP + copied(slot, u8, proto.dccp.state);
			record->role = copied(slot, u8, proto.dccp.role[0]);
			record->handshake = copied(slot, u64, proto.dccp.handshake_seq);
		}
		break;
	}
}

/* What else is in the nf_conn itself. Whether it is an entry that netlink's dump would tell. */
static ALWAYS_INLINE int write_entry(struct slot *slot, struct record *record, u64 ct)
{
	u32 status = (u32)copied(slot, unsigned long, status);
	s32 left = copied(slot, u32, timeout) - slot->jiffies;

	/* What has expired, is dying or has no references is as good as gone, or not there yet. */
	if (left <= 0 || (status & IPS_DYING) || !(status & IPS_CONFIRMED) || !copied(slot, u32, ct_general.use.refs.counter))
		return 0;

	record->address = ct;
	record->master = copied(slot, u64, master);
	record->status = status;
	record->use = copied(slot, u32, ct_general.use.refs.counter);
	record->mark = 0;
	if (has_field(struct nf_conn, mark)) {
		record->mark = copied(slot, u32, mark);
		record->has |= HAS_MARK;
	}
	record->secmark = has_field(struct nf_conn, secmark) ? copied(slot, u32, secmark) : 0;
	record->zone = 0;
	record->zone_dir = 0;
	if (has_field(struct nf_conn, zone)) {
		record->zone = copied(slot, u16, zone.id);
		record->zone_dir = copied(slot, u8, zone.dir);
	}
	record->timeout = 0;
	if (!(status & IPS_OFFLOAD)) {
		record->timeout = (u32)left / slot->hz;
		record->has |= HAS_TIMEOUT;
	}
	write_protoinfo(slot, record);
	return 1;
}

/* Where an extension of the entry is; 0 if it has none of the kind. Without a branch: six of them
 * would be 64 ways for the verifier to go. */
#define extension(ext, id)                                                                      \
	({                                                                                      \
		u64 at_ = 0;                                                                    \
		if (has_enum_value(enum nf_ct_ext_id, id)) {                                    \
			u32 id_ = enum_value(enum nf_ct_ext_id, id);                            \
			if (id_ < sizeof(offsets)) {                                            \
				u64 offset_ = offsets[id_];                                     \
				at_ = ((ext) + offset_) & -((offset_ + 255) >> 8);              \
			}                                                                       \
		}                                                                               \
		at_;                                                                            \
	})

/* What few entries have; the length of it. */
static ALWAYS_INLINE u32 write_more(struct slot *slot, struct record *record, struct more *more,
				    u64 help, u64 labels, u64 seqadj, u64 synproxy)
{
	if (labels) {
		u64 *bits = (u64 *)more->labels;

		if (!bpf_probe_read_kernel(bits, sizeof(more->labels), (void *)labels) &&
		    (bits[0] || bits[1]))
			record->has |= HAS_LABELS;
	}
	if (help) {
		u64 helper = 0;

		bpf_probe_read_kernel(&helper, sizeof(helper),
				      &((struct nf_conn_help *)help)->helper);
		if (helper && !bpf_probe_read_kernel(more->helper, sizeof(more->helper),
						     ((struct nf_conntrack_helper *)helper)->name))
			record->has |= HAS_HELPER;
	}
	if ((record->status & IPS_EXPECTED) && record->master) {
		if (!bpf_probe_read_kernel(more->master, sizeof(more->master),
					   &((struct nf_conn *)record->master)->tuplehash[0].tuple))
			record->has |= HAS_MASTER;
	}
	if ((record->status & IPS_SEQ_ADJUST) && seqadj) {
		if (!bpf_probe_read_kernel(more->seqadj, sizeof(more->seqadj), (void *)seqadj))
			record->has |= HAS_SEQADJ;
	}
	if (synproxy) {
		/* Everything that came through netlink has one, of zeros. */
		if (!bpf_probe_read_kernel(more->synproxy, sizeof(more->synproxy),
					   (void *)synproxy) &&
		    (more->synproxy[0] || more->synproxy[1] || more->synproxy[2]))
			record->has |= HAS_SYNPROXY;
	}
	if (!(record->has & HAS_SOME_MORE))
		return 0;
	return sizeof(struct more);
}

static ALWAYS_INLINE u64 word_at(u64 address)
{
	u64 word = 0;
	u32 words_ = given.words;

	if (words_)
		word = in_place_as(words_, u64, address);
	else
		bpf_probe_read_kernel(&word, sizeof(word), (void *)address);
	return word;
}

/*
 * What was read before is read before this, and what is read after it after. An exchange that gives
 * back what was there is a full barrier; whether it writes anything does not matter.
 */
static ALWAYS_INLINE u64 in_order(struct slot *slot)
{
	return given.is_weak ? __sync_lock_test_and_set(&slot->order, 0) : 0;
}

/*
 * Whether the entry is still the one that was copied, in the place from where the walk goes on: its
 * memory is used anew at once. Tuples tell another connection, the next node another place in the
 * table; one that dies keeps both, and its extension is anybody's from then on. One that was born
 * anew with the same tuples, as that of a client that always uses one port, has another time to live,
 * at least.
 */
static ALWAYS_INLINE int is_same(struct slot *slot, struct record *record, u64 node, u64 ct)
{
	u64 orig = ct + offset_of(struct nf_conn, tuplehash[0].tuple);
	u64 reply = orig + size_of_field(struct nf_conn, tuplehash) / 2;
	u64 changed = in_order(slot), next = 0;

#pragma unroll
	for (int i = 0; i < 5; i++) {
		changed |= ((u64 *)record->orig)[i] ^ word_at(orig + 8 * i);
		changed |= ((u64 *)record->reply)[i] ^ word_at(reply + 8 * i);
	}
	changed |= copied(slot, u64, ext) ^ word_at(ct + offset_of(struct nf_conn, ext));
	follow(&slot->checked, node);
	next = slot->checked;
	changed |= next ^ slot->node;
	/* Dying, or not confirmed yet. */
	changed |= (u32)word_at(ct + offset_of(struct nf_conn, status)) ^ record->status;
	changed |= copied(slot, u32, timeout) ^ number(struct nf_conn, ct, timeout);
	if (has_field(struct nf_conn, mark))
		changed |= record->mark ^ number(struct nf_conn, ct, mark);
	if (has_field(struct nf_conn, zone))
		changed |= record->zone ^ number(struct nf_conn, ct, zone.id);
	return !changed;
}

/* Whether an entry may be wanted, by a look at one word of its tuples. */
static ALWAYS_INLINE int is_worth_copying(struct glance *glance, u64 ct)
{
	u64 word = ct + offset_of(struct nf_conn, tuplehash[0].tuple) + glance->offset;
	u32 now = 0, words_ = given.words;

	if (!glance->mask)
		return 1;
	if (glance->is_reply)
		word += size_of_field(struct nf_conn, tuplehash) / 2;
	if (words_)
		now = in_place_as(words_, u32, word);
	else
		bpf_probe_read_kernel(&now, sizeof(now), (void *)word);
	return (now & glance->mask) == glance->value;
}

/* Whether enough larger ones are known. */
static ALWAYS_INLINE int is_below(struct slot *slot, struct record *record)
{
	u32 at = slot->floor_at;

	if (at > sizeof(struct record) - sizeof(u64))
		return 0;
	return *(u64 *)((u8 *)record + at) < slot->floor;
}

/* Writes the record of an entry, if it is one of this namespace and selected. */
static ALWAYS_INLINE enum turn take(struct reading *reading, u64 node)
{
	struct slot *slot = reading->slot;
	u64 ct = node - offset_of(struct nf_conn, tuplehash);
	u32 used = slot->used, length = sizeof(struct record);
	struct record *record;
	u8 offsets[sizeof(((struct nf_ct_ext *)0)->offset)] = {};
	u64 help = 0, labels = 0, seqadj = 0, synproxy = 0;
	u32 by_tuples;
	u64 ext;

	if (used > REGION - sizeof(struct record) - sizeof(struct more))
		return ROOM_IS_UP;
	record = (void *)(reading->region + used);

	if (!is_worth_copying(&slot->glances[0], ct) || !is_worth_copying(&slot->glances[1], ct))
		return GO_ON;
	/* Where tuples are asked for most entries are not wanted: half of their memory is enough. */
	by_tuples = slot->tests_of[STAGE_TUPLES];
	if (by_tuples ? bpf_probe_read_kernel(slot->ct + offset_of(struct nf_conn, tuplehash),
					      size_of_field(struct nf_conn, tuplehash),
					      &((struct nf_conn *)ct)->tuplehash)
		      : bpf_probe_read_kernel(slot->ct, size_of(struct nf_conn), (void *)ct))
		return SAME_BUCKET;
	write_tuples(slot, record);
	if (by_tuples) {
		if (!is_wanted(reading->index, STAGE_TUPLES))
			return GO_ON;
		if (bpf_probe_read_kernel(slot->ct, size_of(struct nf_conn), (void *)ct))
			return SAME_BUCKET;
	}
	if (copied(slot, u64, ct_net.net) != slot->net || !write_entry(slot, record, ct) ||
	    !is_selected(reading, STAGE_ENTRY))
		return GO_ON;

	record->packets_orig = record->bytes_orig = 0;
	record->packets_reply = record->bytes_reply = 0;
	record->start = record->stop = 0;
	ext = copied(slot, u64, ext);
	if (ext) {
		u64 acct, tstamp;

		if (bpf_probe_read_kernel(offsets, sizeof(offsets),
					  ((struct nf_ct_ext *)ext)->offset))
			return SAME_BUCKET;
		acct = extension(ext, NF_CT_EXT_ACCT);
		if (acct) {
			record->packets_orig =
				number(struct nf_conn_acct, acct, counter[0].packets.counter);
			record->bytes_orig =
				number(struct nf_conn_acct, acct, counter[0].bytes.counter);
			record->packets_reply =
				number(struct nf_conn_acct, acct, counter[1].packets.counter);
			record->bytes_reply =
				number(struct nf_conn_acct, acct, counter[1].bytes.counter);
			record->has |= HAS_COUNTERS;
		}
		tstamp = extension(ext, NF_CT_EXT_TSTAMP);
		if (tstamp) {
			record->start = number(struct nf_conn_tstamp, tstamp, start);
			record->stop = number(struct nf_conn_tstamp, tstamp, stop);
			record->has |= HAS_TIMESTAMPS;
		}
		help = extension(ext, NF_CT_EXT_HELPER);
		labels = extension(ext, NF_CT_EXT_LABELS);
		seqadj = extension(ext, NF_CT_EXT_SEQADJ);
		synproxy = extension(ext, NF_CT_EXT_SYNPROXY);
	}
	if (help | labels | seqadj | synproxy | (record->status & IPS_EXPECTED))
		length += write_more(slot, record, (void *)(record + 1), help, labels, seqadj,
				     synproxy);
	record->packets = record->packets_orig + record->packets_reply;
	record->bytes = record->bytes_orig + record->bytes_reply;

	if (!is_selected(reading, STAGE_EXTENSIONS))
		return GO_ON;
	if (slot->floor && is_below(slot, record)) {
		slot->below++;
		return GO_ON;
	}
	/* What was not wanted may have been half of something else. What stands still is wanted or not. */
	if (!is_same(slot, record, node, ct))
		return SAME_BUCKET;
	slot->used = used + length;
	slot->first = 0;
	return GO_ON;
}

/* --- The walk --------------------------------------------------------------- */

#define MOST_TRIES 32
/* The clock is looked at after so many buckets, or nodes: a power of two. */
#define BUCKETS_A_LOOK 128
#define NODES_A_LOOK 512
/* For how long a chain may be read beyond the time of a run: it has to be read to its end at once. */
#define CHAIN_NS 1000000

static ALWAYS_INLINE long stop(struct slot *slot, enum state state)
{
	slot->state = state;
	slot->next = slot->bucket;
	slot->used = slot->begun;
	slot->below = slot->begun_below;
	return 1;
}

/* The next bucket with a chain, or the last of those that were fetched at once. */
static ALWAYS_INLINE u32 skip_empty(struct slot *slot, u32 bucket)
{
	for (int i = 0; i < BUCKETS_AT_ONCE - 1; i++) {
		u32 at = bucket % BUCKETS_AT_ONCE;

		if (at == BUCKETS_AT_ONCE - 1 || bucket - at != slot->fetched ||
		    slot->heads[at] != 2ull * bucket + 1)
			break;
		bucket++;
	}
	return bucket;
}

/* Goes to the next bucket, unless the run is over. */
static ALWAYS_INLINE long leave_bucket(struct slot *slot)
{
	u32 bucket = slot->bucket + 1;

	slot->begun = slot->used;
	slot->begun_below = slot->below;
	slot->tries = 0;
	if (bucket < slot->to && bucket % BUCKETS_AT_ONCE == 0)
		fetch(slot, bucket);
	bucket = skip_empty(slot, bucket);
	slot->bucket = bucket;
	if (bucket >= slot->to)
		return stop(slot, STATE_DONE);
	if (bucket - slot->looked >= BUCKETS_A_LOOK || slot->unlooked > NODES_A_LOOK) {
		slot->looked = bucket;
		slot->unlooked = 0;
		if (bpf_ktime_get_ns() > slot->deadline)
			return stop(slot, STATE_UNFINISHED);
	}
	return 0;
}

static ALWAYS_INLINE enum turn visit(struct reading *reading, u64 node)
{
	struct slot *slot = reading->slot;

	/* A chain ends in its bucket's number. In another one: a node was moved under the reader. */
	if (node & 1)
		return node == 2ull * slot->bucket + 1 ? NEXT_BUCKET : SAME_BUCKET;
	if (!node)
		return SAME_BUCKET;
	slot->nodes++;
	slot->unlooked++;

	/* The next node first: if the copy is whole, it was read of the same connection. */
	follow(&slot->node, node);
	/* Each entry is in the table twice, once a direction. */
	if (at_node(node, tuple.dst.dir))
		return GO_ON;
	return take(reading, node);
}

static long step(u32 index, struct reading *reading)
{
	struct slot *slot = reading->slot;
	u64 head = 0;

	switch (visit(reading, slot->node)) {
	case GO_ON:
		if (slot->unlooked % NODES_A_LOOK == 0 &&
		    bpf_ktime_get_ns() > slot->deadline + CHAIN_NS)
			/* It gets a run of its own, once. */
			return stop(slot, slot->bucket == slot->from ? STATE_TOO_LONG
								     : STATE_UNFINISHED);
		return 0;
	case NEXT_BUCKET:
		if (leave_bucket(slot))
			return 1;
		break;
	case SAME_BUCKET:
		/* From its beginning once more: what it gave so far is forgotten. */
		slot->again++;
		slot->used = slot->begun;
		slot->below = slot->begun_below;
		if (++slot->tries > MOST_TRIES)
			return stop(slot, STATE_ASTRAY);
		break;
	default:
		return stop(slot, slot->begun ? STATE_UNFINISHED : STATE_TOO_LONG);
	}
	/* A chain may be read from what was its head a moment ago, as any reader's may; once. */
	if (slot->bucket - slot->bucket % BUCKETS_AT_ONCE == slot->fetched && !slot->tries)
		head = slot->heads[slot->bucket % BUCKETS_AT_ONCE];
	else if (bpf_probe_read_kernel(&head, sizeof(head),
				       (void *)(slot->table + 8ull * slot->bucket)))
		return stop(slot, STATE_FAULT);
	slot->node = head;
	slot->first = HAS_FIRST;
	return 0;
}

/* Tuples are copied whole, and user space takes them apart. Decided when the program is loaded. */
static ALWAYS_INLINE int is_tuple_known(void)
{
#define is_at(field, place)                                                                     \
	(offset_of(struct nf_conn, tuplehash[0].tuple.field) -                                  \
		 offset_of(struct nf_conn, tuplehash[0].tuple) ==                               \
	 (place))
	return size_of(struct nf_conn) <= RAW_CT &&
	       size_of_field(struct nf_conn, tuplehash[0].tuple) == 40 && is_at(src.u3, 0) &&
	       is_at(src.u, 16) && is_at(src.l3num, 18) && is_at(dst.u3, 20) && is_at(dst.u, 36) &&
	       is_at(dst.protonum, 38) && is_at(dst.dir, 39);
}

static ALWAYS_INLINE u64 table_now(struct slot *slot)
{
	u64 table = 0;

	bpf_probe_read_kernel(&table, sizeof(table), (void *)slot->variable);
	return table;
}

/*
 * Looks something up that is not there. The kernel's own lookup waits until no resize of the table
 * is under way: what it finds afterwards in nf_conntrack_hash is what was there all along.
 */
static ALWAYS_INLINE int wait_for_resize(struct xdp_md *context)
{
	struct bpf_sock_tuple nothing = {};
	struct bpf_ct_opts options = { .netns_id = -1, .l4proto = IPPROTO_UDP };
	struct nf_conn *ct;

	ct = bpf_xdp_ct_lookup(context, &nothing, sizeof(nothing.ipv4), &options, sizeof(options));
	if (ct) {
		bpf_ct_release(ct);
		return 1;
	}
	return options.error == -2; /* ENOENT */
}

SEC("xdp")
int walk(struct xdp_md *context)
{
	u8 *data = (void *)(long)context->data;
	struct reading reading;
	struct slot *slot;
	u64 began;
	u32 index;

	if ((void *)(data + sizeof(u32)) > (void *)(long)context->data_end)
		return XDP_PASS;
	index = *(u32 *)data;
	slot = bpf_map_lookup_elem(&slots, &index);
	reading.index = index;
	reading.slot = slot;
	reading.region = bpf_map_lookup_elem(&regions, &index);
	if (!slot || !reading.region)
		return XDP_PASS;

	/* As if the bucket before had been read. */
	slot->bucket = slot->from - 1;
	slot->node = 2ull * slot->bucket + 1;
	slot->next = slot->from;
	slot->used = slot->begun = slot->again = slot->tries = slot->unlooked = 0;
	slot->below = slot->begun_below = 0;
	slot->nodes = 0;
	slot->took = 0;
	slot->fetched = NOTHING_FETCHED;
	slot->looked = slot->from;
	slot->jiffies = (u32)bpf_jiffies64();
	began = bpf_ktime_get_ns();
	slot->deadline = began + slot->budget;
	slot->state = STATE_LAYOUT;
	if (!is_tuple_known())
		return XDP_PASS;
	slot->state = STATE_MOVED;
	/*
	 * The run is one RCU section: the table that is the kernel's now is not freed before its end,
	 * nor is any entry's memory given to something else.
	 */
	if (table_now(slot) != slot->table)
		return XDP_PASS;

	slot->state = STATE_UNFINISHED;
	bpf_loop(1 << 22, step, &reading, 0);

	if (!wait_for_resize(context))
		slot->state = STATE_NO_LOOKUP;
	else if (table_now(slot) != slot->table)
		slot->state = STATE_MOVED;
	slot->took = (u32)(bpf_ktime_get_ns() - began);
	return XDP_PASS;
}
