/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Links: what call_netdevice_notifiers_info() is called for (net/core/dev.c). */
#ifndef EKHO_NOTIFIER_LINK_H
#define EKHO_NOTIFIER_LINK_H

#include "emit.h"

static __always_inline enum notifier_event link_event_of(unsigned long type)
{
	if (type == kernel_value(netdev_cmd, NETDEV_UP))
		return EVENT_LINK_UP;
	if (type == kernel_value(netdev_cmd, NETDEV_DOWN))
		return EVENT_LINK_DOWN;
	if (type == kernel_value(netdev_cmd, NETDEV_CHANGE))
		return EVENT_LINK_CHANGE;
	if (type == kernel_value(netdev_cmd, NETDEV_REGISTER))
		return EVENT_LINK_REGISTER;
	if (type == kernel_value(netdev_cmd, NETDEV_UNREGISTER))
		return EVENT_LINK_UNREGISTER;
	if (type == kernel_value(netdev_cmd, NETDEV_CHANGEMTU))
		return EVENT_LINK_CHANGE_MTU;
	if (type == kernel_value(netdev_cmd, NETDEV_CHANGEADDR))
		return EVENT_LINK_CHANGE_ADDRESS;
	if (type == kernel_value(netdev_cmd, NETDEV_CHANGENAME))
		return EVENT_LINK_CHANGE_NAME;
	if (type == kernel_value(netdev_cmd, NETDEV_CHANGEUPPER))
		return EVENT_LINK_CHANGE_UPPER;
	return 0;
}

static __always_inline int on_link(unsigned long type, struct netdev_notifier_info *info)
{
	enum notifier_event event = link_event_of(type);
	struct link_record *record;
	struct net_device *dev;
	__u32 length;
	__u64 cookie;

	if (!event)
		return 0;
	dev = BPF_CORE_READ(info, dev);
	cookie = device_cookie(dev);
	if (unwanted(cookie))
		return 0;
	record = emit(link_record, event, cookie, BPF_CORE_READ(dev, ifindex), 0);
	if (!record)
		return 0;
	bpf_probe_read_kernel(record->name, sizeof(record->name), __builtin_preserve_access_index(&dev->name));
	record->flags = BPF_CORE_READ(dev, flags);
	record->mtu = BPF_CORE_READ(dev, mtu);
	record->operstate = BPF_CORE_READ(dev, operstate);
	length = BPF_CORE_READ(dev, addr_len);
	if (length > sizeof(record->address))
		length = sizeof(record->address);
	record->address_length = length;
	bpf_probe_read_kernel(record->address, length, BPF_CORE_READ(dev, dev_addr));
	if (event == EVENT_LINK_CHANGE_UPPER) {
		struct netdev_notifier_changeupper_info *change = (void *)info;
		struct net_device *upper = BPF_CORE_READ(change, upper_dev);

		record->upper = BPF_CORE_READ(upper, ifindex);
		record->master = BPF_CORE_READ(change, master);
		record->linking = BPF_CORE_READ(change, linking);
		bpf_probe_read_kernel(record->upper_name, sizeof(record->upper_name),
				      __builtin_preserve_access_index(&upper->name));
	}
	submit(record);
	return 0;
}

#endif
