/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs need of the kernel: helpers, kernel functions, and the fields that are read,
 * by name only. Where a field lies is written into the programs when they are loaded, from the
 * running kernel's own type information (CO-RE); a field that is not there refuses the load,
 * unless it is asked for with has_field() first. The types that the programs begin with are named in
 * types.rs too.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define CORE __attribute__((preserve_access_index))
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* bpf-helpers(7). The newest, bpf_loop, came with Linux 5.17. */
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static u64 (*const bpf_jiffies64)(void) = (void *)118;
static long (*const bpf_kallsyms_lookup_name)(const char *name, int size, int flags,
					      u64 *address) = (void *)179;
static long (*const bpf_loop)(u32 times, void *callback, void *context, u64 flags) = (void *)181;

/* The compiler's builtins behind CO-RE. */
#define offset_of(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)
#define size_of_field(type, field) __builtin_preserve_field_info(((type *)0)->field, 1)
#define has_field(type, field) __builtin_preserve_field_info(((type *)0)->field, 2)
#define size_of(type) __builtin_preserve_type_info(*(type *)0, 1)
#define enum_value(type, value) __builtin_preserve_enum_value(*(type *)value, 1)
#define has_enum_value(type, value) __builtin_preserve_enum_value(*(type *)value, 0)

enum { BPF_MAP_TYPE_ARRAY = 2, BPF_F_MMAPABLE = 1024, XDP_PASS = 2 };

struct xdp_md {
	u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct bpf_sock_tuple {
	struct {
		u32 saddr, daddr;
		u16 sport, dport;
	} ipv4;
};

/* As Linux 5.18 has it; later kernels take these 12 bytes as well. */
struct bpf_ct_opts {
	s32 netns_id;
	s32 error;
	u8 l4proto;
	u8 dir;
	u8 reserved[2];
};

struct nf_conn;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *context, struct bpf_sock_tuple *tuple,
					 u32 tuple_size, struct bpf_ct_opts *options,
					 u32 options_size) SEC(".ksyms");
extern void bpf_ct_release(struct nf_conn *ct) SEC(".ksyms");
/* Linux 6.2. */
extern void *bpf_rdonly_cast(const void *object, u32 type) SEC(".ksyms") __attribute__((weak));

struct net;

struct nsproxy {
	struct net *net_ns;
} CORE;

struct task_struct {
	struct nsproxy *nsproxy;
} CORE;

struct hlist_nulls_node {
	struct hlist_nulls_node *next;
} CORE;

union nf_inet_addr {
	u32 all[4];
} CORE;

union nf_conntrack_man_proto {
	u16 all;
} CORE;

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
	u16 l3num;
} CORE;

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			u16 all;
		} u;
		u8 protonum;
		u8 dir;
	} dst;
} CORE;

struct nf_conntrack_tuple_hash {
	struct hlist_nulls_node hnnode;
	struct nf_conntrack_tuple tuple;
} CORE;

struct nf_conntrack_zone {
	u16 id;
	u8 dir;
} CORE;

typedef struct {
	int counter;
} CORE atomic_t;

typedef struct refcount_struct {
	atomic_t refs;
} CORE refcount_t;

struct nf_conntrack {
	refcount_t use;
} CORE;

typedef struct {
	struct net *net;
} possible_net_t;

struct ip_ct_tcp_state {
	u8 td_scale;
	u8 flags;
} CORE;

struct ip_ct_tcp {
	struct ip_ct_tcp_state seen[2];
	u8 state;
} CORE;

enum sctp_conntrack { SCTP_CONNTRACK_NONE };

struct ip_ct_sctp {
	enum sctp_conntrack state;
	u32 vtag[2];
} CORE;

/* Until Linux 6.16. */
struct nf_ct_dccp {
	u8 role[2];
	u8 state;
	u64 handshake_seq;
} CORE;

union nf_conntrack_proto {
	struct nf_ct_dccp dccp;
	struct ip_ct_sctp sctp;
	struct ip_ct_tcp tcp;
} CORE;

struct nf_ct_ext {
	u8 offset[9];
} CORE;

struct nf_conn {
	struct nf_conntrack ct_general;
	u32 timeout;
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	possible_net_t ct_net;
	struct nf_conn *master;
	u32 mark;
	u32 secmark;
	struct nf_ct_ext *ext;
	union nf_conntrack_proto proto;
} CORE;

/* Extensions of an entry. Which there are, and their numbers, depends on the configuration. */
enum nf_ct_ext_id {
	NF_CT_EXT_HELPER,
	NF_CT_EXT_SEQADJ,
	NF_CT_EXT_ACCT,
	NF_CT_EXT_TSTAMP,
	NF_CT_EXT_LABELS,
	NF_CT_EXT_SYNPROXY,
};

typedef struct {
	u64 counter;
} CORE atomic64_t;

struct nf_conn_counter {
	atomic64_t packets;
	atomic64_t bytes;
} CORE;

struct nf_conn_acct {
	struct nf_conn_counter counter[2];
} CORE;

struct nf_conn_tstamp {
	u64 start;
	u64 stop;
} CORE;

struct nf_conn_labels {
	unsigned long bits[2];
} CORE;

struct nf_conntrack_helper {
	char name[16];
} CORE;

struct nf_conn_help {
	struct nf_conntrack_helper *helper;
} CORE;

struct nf_ct_seqadj {
	u32 correction_pos;
	s32 offset_before;
	s32 offset_after;
} CORE;

struct nf_conn_seqadj {
	struct nf_ct_seqadj seq[2];
} CORE;

struct nf_conn_synproxy {
	u32 isn;
	u32 its;
	u32 tsoff;
} CORE;

/* Bits of nf_conn.status; user space knows them too, so their numbers stay. */
enum {
	IPS_EXPECTED = 1 << 0,
	IPS_CONFIRMED = 1 << 3,
	IPS_SEQ_ADJUST = 1 << 6,
	IPS_DYING = 1 << 9,
	IPS_OFFLOAD = 1 << 14,
};

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	IPPROTO_ICMP = 1,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_DCCP = 33,
	IPPROTO_GRE = 47,
	IPPROTO_ICMPV6 = 58,
	IPPROTO_SCTP = 132,
	IPPROTO_UDPLITE = 136,
};
