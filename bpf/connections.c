/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Connections: TCP both ways, from the state changes of the kernel's own socket, charged to the
 * socket's cgroup (an accept happens in a soft interrupt, where the current task is anybody); UDP
 * going out, from the cgroup's address hooks, charged to the sending task's.  The key has the port
 * of the side that was connected to, so a client's ephemeral port never multiplies keys.
 */

#define TCP_ESTABLISHED 1	/* include/net/tcp_states.h */
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define ALLOW 1

BPF_HASH(connections, struct connection_key, u64, MAX_CONNECTIONS);
/*
 * When the table is full, or a group has used up its quota of it, peers are folded into one entry
 * for each direction, protocol and port; beyond the quota of those, ports are folded, too.
 */
BPF_HASH(connection_overflow, struct connection_key, u64, CONNECTION_OVERFLOW);

INLINE void sight_connection(struct connection_key *key, bool identified)
{
	struct event *event = new_event(EVENT_CONNECTION, key->group, identified);
	if (event) {
		event->connection = *key;
		events.ringbuf_submit(event, 0);
	}
}

/* There is no room for this peer: its address is folded away. */
INLINE void overflow_connection(struct connection_key *key, struct ledger *ledger)
{
	u64 one = 1, *count;

	key->folded = 1;
	__builtin_memset(key->address, 0, sizeof(key->address));
	count = connection_overflow.lookup(key);
	if (!count && ledger->folded_connection_keys >= FOLDED_CONNECTION_QUOTA) {
		key->port = 0;
		count = connection_overflow.lookup(key);
	}
	if (!count) {
		if (connection_overflow.insert(key, &one) == 0) {
			ADD(ledger->folded_connection_keys, 1);
			ADD(ledger->connections_overflowed, 1);
			return;
		}
		count = connection_overflow.lookup(key);
	}
	if (count) {
		ADD(*count, 1);
		ADD(ledger->connections_overflowed, 1);
	} else {
		ADD(ledger->connections_lost, 1);
	}
}

INLINE void count_connection(struct connection_key *key, bool identified)
{
	struct ledger *ledger = ledger_of(key->group);
	u64 one = 1, *count = connections.lookup(key);

	if (!ledger || !is_counting())
		return;
	ADD(ledger->connections, 1);
	if (!count) {
		if (ledger->connection_keys < CONNECTION_QUOTA && connections.insert(key, &one) == 0) {
			ADD(ledger->connection_keys, 1);
			sight_connection(key, identified);
			return;
		}
		count = connections.lookup(key);	/* another CPU made it meanwhile, or it is full */
	}
	if (count) {
		ADD(*count, 1);
		return;
	}
	sight_connection(key, identified);
	overflow_connection(key, ledger);
}

INLINE u32 *tracked_group(struct cgroup *cgroup)
{
	struct kernfs_node *node = 0;
	u64 id = 0;

	READ(node, cgroup->kn);
	READ(id, node->id);
	return tracked.lookup(&id);
}

/* As find_group(): from above, because whoever is below may nest cgroups without end. */
INLINE u32 group_of_socket(struct sock *socket)
{
	struct cgroup *cgroup = 0, *ancestor = 0;
	int depth = 0;
	u32 *group;

	READ(cgroup, socket->sk_cgrp_data.cgroup);
	if (!cgroup || !READ(depth, cgroup->level))
		return 0;
	group = tracked_group(cgroup);
	if (group)
		return *group;
	for (int level = MAX_CGROUP_DEPTH; level > 0; level--) {
		if (level >= depth || !READ(ancestor, cgroup->ancestors.at[level]))
			continue;
		group = tracked_group(ancestor);
		if (group)
			return *group;
	}
	return 0;
}

AT_TRACEPOINT(inet_sock_set_state)
{
	struct sock *socket = (struct sock *)ctx->args[0];
	int before = (int)ctx->args[1], after = (int)ctx->args[2];
	bool outbound = after == TCP_SYN_SENT;
	u16 family = 0, protocol = 0, port = 0;

	if (!outbound && !(before == TCP_SYN_RECV && after == TCP_ESTABLISHED))
		return 0;
	struct connection_key key = { .group = group_of_socket(socket) };
	if (!key.group)
		return 0;
	READ(family, socket->__sk_common.skc_family);
	READ(protocol, socket->sk_protocol);
	if (protocol == IPPROTO_MPTCP)	/* repeats what its TCP subflows do */
		return 0;
	key.family = family;
	key.protocol = protocol;
	key.direction = outbound ? DIRECTION_OUT : DIRECTION_IN;
	if (outbound) {
		READ(port, socket->__sk_common.skc_dport);
		port = bpf_ntohs(port);
	} else {
		READ(port, socket->__sk_common.skc_num);
	}
	key.port = port;
	if (family == AF_INET)
		bpf_probe_read_kernel(key.address, 4, &socket->__sk_common.skc_daddr);
	else if (family == AF_INET6)
		bpf_probe_read_kernel(key.address, 16, &socket->__sk_common.skc_v6_daddr);
	count_connection(&key, outbound);
	return 0;
}

INLINE int count_udp(struct bpf_sock_addr *context, u8 family)
{
	struct connection_key key = { .family = family, .protocol = IPPROTO_UDP, .direction = DIRECTION_OUT };
	u32 *address = (u32 *)key.address;

	if (context->protocol != IPPROTO_UDP)
		return ALLOW;
	key.group = current_group();
	if (!key.group)
		return ALLOW;
	key.port = bpf_ntohs((u16)context->user_port);
	if (family == AF_INET) {
		address[0] = context->user_ip4;
	} else {
		address[0] = context->user_ip6[0];
		address[1] = context->user_ip6[1];
		address[2] = context->user_ip6[2];
		address[3] = context->user_ip6[3];
	}
	count_connection(&key, true);
	return ALLOW;
}

int connect4(struct bpf_sock_addr *context)
{
	return count_udp(context, AF_INET);
}

int connect6(struct bpf_sock_addr *context)
{
	return count_udp(context, AF_INET6);
}

int sendmsg4(struct bpf_sock_addr *context)
{
	return count_udp(context, AF_INET);
}

int sendmsg6(struct bpf_sock_addr *context)
{
	return count_udp(context, AF_INET6);
}
