/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two rules of nf_tables for packets of local sockets, and the queue to userspace,
 * by netlink: the commands nft and iptables may be missing.
 */
#ifndef NFNETLINK_H
#define NFNETLINK_H

#include "kernel.h"
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

struct nl_batch {
	char buf[4096];
	size_t len;
	struct nlmsghdr *last;
};

static inline void *nl_room(struct nl_batch *b, size_t len)
{
	void *at = b->buf + b->len;

	CHECK(b->len + NLMSG_ALIGN(len) <= sizeof(b->buf), "a long message");
	memset(at, 0, NLMSG_ALIGN(len));
	b->len += NLMSG_ALIGN(len);
	return at;
}

static inline void nl_begin(struct nl_batch *b, int type, int flags, int family,
			    int resource)
{
	struct nfgenmsg *nf;

	b->last = nl_room(b, sizeof(*b->last));
	b->last->nlmsg_type = type;
	b->last->nlmsg_flags = NLM_F_REQUEST | flags;
	nf = nl_room(b, sizeof(*nf));
	nf->nfgen_family = family;
	nf->res_id = htons(resource);
}

static inline void nl_end(struct nl_batch *b)
{
	b->last->nlmsg_len = b->buf + b->len - (char *)b->last;
}

static inline struct nlattr *nl_attr(struct nl_batch *b, int type,
				     const void *data, size_t len)
{
	struct nlattr *a = nl_room(b, NLA_HDRLEN + len);

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	return a;
}

static inline void nl_string(struct nl_batch *b, int type, const char *s)
{
	nl_attr(b, type, s, strlen(s) + 1);
}

static inline void nl_be32(struct nl_batch *b, int type, uint32_t v)
{
	v = htonl(v);
	nl_attr(b, type, &v, sizeof(v));
}

static inline struct nlattr *nl_nest(struct nl_batch *b, int type)
{
	return nl_attr(b, type | NLA_F_NESTED, NULL, 0);
}

static inline void nl_nest_end(struct nl_batch *b, struct nlattr *nest)
{
	nest->nla_len = b->buf + b->len - (char *)nest;
}

static inline int nl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		SKIP("this kernel has no nfnetlink");
	return fd;
}

/* Sends a batch whose last message asks for an acknowledgment; returns its error,
 * as an errno.
 */
static inline int nl_talk(int fd, const struct nl_batch *b)
{
	char buf[8192];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	ssize_t n;

	CHECK_EQ(send(fd, b->buf, b->len, 0), (ssize_t)b->len);
	n = recv(fd, buf, sizeof(buf), 0);
	CHECK(n >= (ssize_t)NLMSG_LENGTH(sizeof(int)) &&
	      h->nlmsg_type == NLMSG_ERROR, "netlink: no answer");
	return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

#define NFT(type)	(NFNL_SUBSYS_NFTABLES << 8 | (type))

/* One expression of a rule. */
static inline struct nlattr *nft_expr(struct nl_batch *b, const char *name,
				      struct nlattr **data)
{
	struct nlattr *elem = nl_nest(b, NFTA_LIST_ELEM);

	nl_string(b, NFTA_EXPR_NAME, name);
	*data = nl_nest(b, NFTA_EXPR_DATA);
	return elem;
}

static inline void nft_expr_end(struct nl_batch *b, struct nlattr *elem,
				struct nlattr *data)
{
	nl_nest_end(b, data);
	nl_nest_end(b, elem);
}

static inline void nft_queue_expr(struct nl_batch *b)
{
	const uint16_t number = 0;
	struct nlattr *elem, *data;

	elem = nft_expr(b, "queue", &data);
	nl_attr(b, NFTA_QUEUE_NUM, &number, sizeof(number));
	nft_expr_end(b, elem, data);
}

static inline void nft_dnat_exprs(struct nl_batch *b, uint32_t address)
{
	struct nlattr *elem, *data, *value;

	address = htonl(address);
	elem = nft_expr(b, "immediate", &data);
	nl_be32(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
	value = nl_nest(b, NFTA_IMMEDIATE_DATA);
	nl_attr(b, NFTA_DATA_VALUE, &address, sizeof(address));
	nl_nest_end(b, value);
	nft_expr_end(b, elem, data);
	elem = nft_expr(b, "nat", &data);
	nl_be32(b, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nl_be32(b, NFTA_NAT_FAMILY, NFPROTO_IPV4);
	nl_be32(b, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	nft_expr_end(b, elem, data);
}

static inline void nft_chain(struct nl_batch *b, const char *type, int priority)
{
	struct nlattr *nest;

	nl_begin(b, NFT(NFT_MSG_NEWTABLE), NLM_F_CREATE, NFPROTO_IPV4, 0);
	nl_string(b, NFTA_TABLE_NAME, "t");
	nl_end(b);
	nl_begin(b, NFT(NFT_MSG_NEWCHAIN), NLM_F_CREATE, NFPROTO_IPV4, 0);
	nl_string(b, NFTA_CHAIN_TABLE, "t");
	nl_string(b, NFTA_CHAIN_NAME, "c");
	nest = nl_nest(b, NFTA_CHAIN_HOOK);
	nl_be32(b, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
	nl_be32(b, NFTA_HOOK_PRIORITY, priority);
	nl_nest_end(b, nest);
	nl_string(b, NFTA_CHAIN_TYPE, type);
	nl_end(b);
}

/* A rule for all packets of local sockets in this namespace: to the queue 0, or,
 * with an address, to another host.
 */
static inline void nft_output(uint32_t address)
{
	struct nl_batch b = { .len = 0 };
	struct nlattr *nest;
	int fd, err;

	if (system("modprobe -q nf_tables"))
		SKIP("this kernel has no nf_tables");
	fd = nl_open();
	nl_begin(&b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	nl_end(&b);
	nft_chain(&b, address ? "nat" : "filter", address ? -100 : 0);
	nl_begin(&b, NFT(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND |
		 NLM_F_ACK, NFPROTO_IPV4, 0);
	nl_string(&b, NFTA_RULE_TABLE, "t");
	nl_string(&b, NFTA_RULE_CHAIN, "c");
	nest = nl_nest(&b, NFTA_RULE_EXPRESSIONS);
	if (address)
		nft_dnat_exprs(&b, address);
	else
		nft_queue_expr(&b);
	nl_nest_end(&b, nest);
	nl_end(&b);
	nl_begin(&b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	nl_end(&b);
	err = nl_talk(fd, &b);
	CHECK(!err, "nf_tables: %s", strerrorname_np(err));
	close(fd);
}

#define NFQ(type)	(NFNL_SUBSYS_QUEUE << 8 | (type))

/* Binds to queue 0. The kernel completes the checksums of packets that it copies to
 * userspace.
 */
static inline int nfqueue_open(void)
{
	const struct nfqnl_msg_config_cmd bind = {
		.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET),
	};
	const struct nfqnl_msg_config_params params = {
		.copy_range = htonl(1500), .copy_mode = NFQNL_COPY_PACKET,
	};
	struct nl_batch b = { .len = 0 };
	int fd = nl_open(), err;

	nl_begin(&b, NFQ(NFQNL_MSG_CONFIG), NLM_F_ACK, AF_UNSPEC, 0);
	nl_attr(&b, NFQA_CFG_CMD, &bind, sizeof(bind));
	nl_attr(&b, NFQA_CFG_PARAMS, &params, sizeof(params));
	nl_end(&b);
	err = nl_talk(fd, &b);
	CHECK(!err, "queue: %s", strerrorname_np(err));
	return fd;
}

/* The next packet of the queue, if there is one. */
static inline bool nfqueue_next(int fd, uint32_t *id)
{
	char buf[8192];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	struct nlattr *a;
	ssize_t n;

	n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n <= 0 || h->nlmsg_type != NFQ(NFQNL_MSG_PACKET))
		return false;
	a = (struct nlattr *)((char *)NLMSG_DATA(h) + sizeof(struct nfgenmsg));
	while ((a->nla_type & NLA_TYPE_MASK) != NFQA_PACKET_HDR)
		a = (struct nlattr *)((char *)a + NLA_ALIGN(a->nla_len));
	memcpy(id, (char *)a + NLA_HDRLEN, sizeof(*id));
	*id = ntohl(*id);
	return true;
}

/* Lets a packet go on, in the context of the caller. */
static inline void nfqueue_accept(int fd, uint32_t id)
{
	const struct nfqnl_msg_verdict_hdr verdict = {
		.verdict = htonl(NF_ACCEPT), .id = htonl(id),
	};
	struct nl_batch b = { .len = 0 };

	nl_begin(&b, NFQ(NFQNL_MSG_VERDICT), 0, AF_UNSPEC, 0);
	nl_attr(&b, NFQA_VERDICT_HDR, &verdict, sizeof(verdict));
	nl_end(&b);
	CHECK_EQ(send(fd, b.buf, b.len, 0), (ssize_t)b.len);
}

#endif /* NFNETLINK_H */
