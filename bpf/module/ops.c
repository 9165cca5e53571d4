// SPDX-License-Identifier: GPL-2.0
/* The struct_ops type: programs that are attached, and what they are for. */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/module.h>
#include <net/net_namespace.h>
#include "ekho.h"

/* Firmware that is attached at once; more is refused. */
#define EKHO_OPS_MAX 256

/* Under ekho_ports_lock. */
static struct ekho_offload_ops *ekho_attached[EKHO_OPS_MAX];

static bool ekho_ops_same_place(const struct ekho_offload_ops *a,
				const struct ekho_offload_ops *b)
{
	return a->netns == b->netns && a->ifindex == b->ifindex;
}

/* The most specific one for a port, or NULL. */
struct ekho_offload_ops *ekho_ops_find(const struct ekho_firmware_port *port)
{
	struct ekho_offload_ops *found = NULL;
	int i;

	lockdep_assert_held(&ekho_ports_lock);
	for (i = 0; i < EKHO_OPS_MAX; i++) {
		struct ekho_offload_ops *ops = ekho_attached[i];

		if (!ops || (ops->netns && ops->netns != port->netns))
			continue;
		if (ops->ifindex && ops->ifindex != port->ifindex)
			continue;
		if (!found || (!found->netns && ops->netns) ||
		    (!found->ifindex && ops->ifindex))
			found = ops;
	}
	return found;
}

/* The one for all of a namespace, or NULL. */
struct ekho_offload_ops *ekho_ops_find_net(const struct net *net)
{
	struct ekho_offload_ops *found = NULL;
	int i;

	lockdep_assert_held(&ekho_ports_lock);
	for (i = 0; i < EKHO_OPS_MAX; i++) {
		struct ekho_offload_ops *ops = ekho_attached[i];

		if (!ops || ops->ifindex ||
		    (ops->netns && ops->netns != net->ns.inum))
			continue;
		if (!found || ops->netns)
			found = ops;
	}
	return found;
}

static int ekho_ops_init_btf(struct btf *btf)
{
	return 0;
}

static int ekho_ops_check_member(const struct btf_type *t,
				 const struct btf_member *member,
				 const struct bpf_prog *prog)
{
	/* Every operation is called where sleeping is allowed. */
	return 0;
}

static int ekho_ops_init_member(const struct btf_type *t,
				const struct btf_member *member,
				void *kdata, const void *udata)
{
	const struct ekho_offload_ops *from = udata;
	struct ekho_offload_ops *to = kdata;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct ekho_offload_ops, version):
		to->version = from->version;
		return 1;
	case offsetof(struct ekho_offload_ops, netns):
		to->netns = from->netns;
		return 1;
	case offsetof(struct ekho_offload_ops, ifindex):
		to->ifindex = from->ifindex;
		return 1;
	case offsetof(struct ekho_offload_ops, name):
		if (strnlen(from->name, EKHO_NAME_LEN) == EKHO_NAME_LEN)
			return -EINVAL;
		strscpy(to->name, from->name, EKHO_NAME_LEN);
		return 1;
	}
	return 0;
}

static int ekho_ops_validate(void *kdata)
{
	const struct ekho_offload_ops *ops = kdata;

	if (ops->version != EKHO_ABI_VERSION)
		return -EPROTONOSUPPORT;
	/* An index means nothing without its namespace. */
	if (!ops->name[0] || (ops->ifindex && !ops->netns))
		return -EINVAL;
	/* What cannot be taken back must not be accepted. */
	if ((ops->flow_replace && !ops->flow_destroy) ||
	    (ops->fdb_replace && !ops->fdb_destroy) ||
	    (ops->vlan_replace && !ops->vlan_destroy) ||
	    (ops->mdb_replace && !ops->mdb_destroy) ||
	    (ops->route_replace && !ops->route_destroy) ||
	    (ops->nexthop_replace && !ops->nexthop_destroy))
		return -EINVAL;
	return 0;
}

static int ekho_ops_reg(void *kdata, struct bpf_link *link)
{
	struct ekho_offload_ops *ops = kdata;
	int i, slot = -1, err = 0;

	/* Without a link nothing would ever take it away again. */
	if (!link)
		return -EOPNOTSUPP;
	mutex_lock(&ekho_ports_lock);
	for (i = 0; i < EKHO_OPS_MAX && !err; i++) {
		if (!ekho_attached[i])
			slot = slot < 0 ? i : slot;
		else if (ekho_ops_same_place(ekho_attached[i], ops))
			err = -EEXIST;
	}
	if (!err && slot < 0)
		err = -ENOSPC;
	if (!err) {
		ekho_attached[slot] = ops;
		ekho_ports_resolve();
	}
	mutex_unlock(&ekho_ports_lock);
	return err;
}

static void ekho_ops_unreg(void *kdata, struct bpf_link *link)
{
	struct ekho_leave leave;
	int i;

	/* Who waits for user space holds a port's lock. */
	ekho_calls_abort(&leave, kdata);
	mutex_lock(&ekho_ports_lock);
	for (i = 0; i < EKHO_OPS_MAX; i++)
		if (ekho_attached[i] == kdata)
			ekho_attached[i] = NULL;
	ekho_ports_resolve();
	mutex_unlock(&ekho_ports_lock);
	ekho_calls_aborted(&leave);
}

/* The new programs take over what the old ones hold: nothing is destroyed. */
static int ekho_ops_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	struct ekho_leave leave;
	int i, err = -ENOENT;

	if (!ekho_ops_same_place(kdata, old_kdata))
		return -EINVAL;
	ekho_calls_abort(&leave, old_kdata);
	mutex_lock(&ekho_ports_lock);
	for (i = 0; i < EKHO_OPS_MAX; i++) {
		if (ekho_attached[i] == old_kdata) {
			ekho_attached[i] = kdata;
			ekho_ports_hand_over(old_kdata, kdata);
			err = 0;
		}
	}
	mutex_unlock(&ekho_ports_lock);
	ekho_calls_aborted(&leave);
	return err;
}

static int ekho_stub_flow(struct ekho_flow_ctx *ctx)
{
	return -EOPNOTSUPP;
}

static int ekho_stub_bridge(struct ekho_bridge_ctx *ctx)
{
	return -EOPNOTSUPP;
}

static int ekho_stub_route(struct ekho_route_ctx *ctx)
{
	return -EOPNOTSUPP;
}

static int ekho_stub_nexthop(struct ekho_nexthop_ctx *ctx)
{
	return -EOPNOTSUPP;
}

static struct ekho_offload_ops ekho_ops_stubs = {
	.flow_replace = ekho_stub_flow,
	.flow_destroy = ekho_stub_flow,
	.flow_stats = ekho_stub_flow,
	.fdb_replace = ekho_stub_bridge,
	.fdb_destroy = ekho_stub_bridge,
	.vlan_replace = ekho_stub_bridge,
	.vlan_destroy = ekho_stub_bridge,
	.mdb_replace = ekho_stub_bridge,
	.mdb_destroy = ekho_stub_bridge,
	.port_attr = ekho_stub_bridge,
	.route_replace = ekho_stub_route,
	.route_destroy = ekho_stub_route,
	.nexthop_replace = ekho_stub_nexthop,
	.nexthop_destroy = ekho_stub_nexthop,
	.nexthop_bucket = ekho_stub_nexthop,
};

static const struct bpf_func_proto *
ekho_ops_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_base_func_proto(id, prog);
}

static bool ekho_ops_is_valid_access(int off, int size,
				     enum bpf_access_type type,
				     const struct bpf_prog *prog,
				     struct bpf_insn_access_aux *info)
{
	return bpf_tracing_btf_ctx_access(off, size, type, prog, info);
}

static const struct bpf_verifier_ops ekho_verifier_ops = {
	.get_func_proto = ekho_ops_func_proto,
	.is_valid_access = ekho_ops_is_valid_access,
};

static struct bpf_struct_ops bpf_ekho_offload_ops = {
	.verifier_ops = &ekho_verifier_ops,
	.init = ekho_ops_init_btf,
	.check_member = ekho_ops_check_member,
	.init_member = ekho_ops_init_member,
	.validate = ekho_ops_validate,
	.reg = ekho_ops_reg,
	.unreg = ekho_ops_unreg,
	.update = ekho_ops_update,
	.cfi_stubs = &ekho_ops_stubs,
	.name = "ekho_offload_ops",
	.owner = THIS_MODULE,
};

int ekho_ops_init(void)
{
	return register_bpf_struct_ops(&bpf_ekho_offload_ops, ekho_offload_ops);
}
