/* SPDX-License-Identifier: Apache-2.0 */
/* Changes the kernel's tables as fast as it takes them: hundreds of messages in each system call, no answers but refusals.
 * usage: write ACTION KIND FIRST COUNT DEVICE GATEWAY PER-SECOND STAMPS
 *   ACTION   add, replace or delete
 *   KIND     route4 (/24 from 16.0.0.0), route6 (/48 from 2400::), neighbour (from 10.64.0.0), fdb, link (pairs of veth), nexthop (its
 *            id is FIRST)
 *   DEVICE   where neighbours and bridge entries are
 *   GATEWAY  routes go by eight of them in turn, this and the next seven; or nh:ID
 *   PER-SECOND  0: as fast as possible, else one message in each system call
 *   STAMPS   a file that takes the time before each message is sent (CLOCK_MONOTONIC, ns, 8 bytes each), or -
 * Prints the nanoseconds it took. */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define START_NS 200000000LL
#define PER_SEND 256

static char buffer[PER_SEND * 128];
static unsigned int ifindex, nexthop;
static unsigned char gateway[16];
static int gateway_length;

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void attribute(struct nlmsghdr *message, int type, const void *data, int length)
{
	struct rtattr *at = (struct rtattr *)((char *)message + NLMSG_ALIGN(message->nlmsg_len));

	at->rta_type = type;
	at->rta_len = RTA_LENGTH(length);
	memcpy(RTA_DATA(at), data, length);
	message->nlmsg_len = NLMSG_ALIGN(message->nlmsg_len) + RTA_ALIGN(at->rta_len);
}

static void route(struct nlmsghdr *message, unsigned int at, int family)
{
	struct rtmsg *header = NLMSG_DATA(message);
	unsigned int four = htonl(0x10000000 + (at << 8));
	unsigned char six[16] = { 0x24, 0, at >> 24, at >> 16, at >> 8, at };
	unsigned char by[16];

	message->nlmsg_len = NLMSG_LENGTH(sizeof(*header));
	header->rtm_family = family;
	header->rtm_dst_len = family == AF_INET ? 24 : 48;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = RTPROT_STATIC;
	header->rtm_type = RTN_UNICAST;
	attribute(message, RTA_DST, family == AF_INET ? (void *)&four : six, family == AF_INET ? 4 : 16);
	if (nexthop != 0) {
		attribute(message, RTA_NH_ID, &nexthop, 4);
	} else {
		memcpy(by, gateway, sizeof(by));
		by[gateway_length - 1] += at % 8;
		attribute(message, RTA_GATEWAY, by, gateway_length);
	}
}

static void neighbour(struct nlmsghdr *message, unsigned int at, int is_fdb)
{
	struct ndmsg *header = NLMSG_DATA(message);
	unsigned int address = htonl(0x0a400000 + at);
	unsigned char mac[6] = { 2, 1, at >> 24, at >> 16, at >> 8, at };

	message->nlmsg_len = NLMSG_LENGTH(sizeof(*header));
	header->ndm_family = is_fdb ? AF_BRIDGE : AF_INET;
	header->ndm_ifindex = ifindex;
	header->ndm_state = is_fdb ? NUD_NOARP : NUD_PERMANENT;
	header->ndm_flags = is_fdb ? NTF_MASTER : 0;
	if (!is_fdb)
		attribute(message, NDA_DST, &address, 4);
	attribute(message, NDA_LLADDR, mac, 6);
}

static void pair(struct nlmsghdr *message, unsigned int at)
{
	struct { struct rtattr outer, kind; char name[8]; } info = {
		.outer = { sizeof(info), IFLA_LINKINFO },
		.kind = { RTA_LENGTH(5), 1 /* IFLA_INFO_KIND */ },
		.name = "veth",
	};
	char name[IFNAMSIZ];

	message->nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
	attribute(message, IFLA_IFNAME, name, snprintf(name, sizeof(name), "many%u", at) + 1);
	attribute(message, info.outer.rta_type, &info.kind, sizeof(info) - sizeof(info.outer));
}

/* An object of its own, by the gateway and the device. */
static void nexthop_object(struct nlmsghdr *message, unsigned int id)
{
	struct nhmsg *header = NLMSG_DATA(message);

	message->nlmsg_len = NLMSG_LENGTH(sizeof(*header));
	header->nh_family = AF_INET;
	attribute(message, NHA_ID, &id, 4);
	attribute(message, NHA_OIF, &ifindex, 4);
	attribute(message, NHA_GATEWAY, gateway, 4);
}

static int base_of(const char *kind)
{
	if (!strncmp(kind, "route", 5))
		return RTM_NEWROUTE;
	if (!strcmp(kind, "link"))
		return RTM_NEWLINK;
	return !strcmp(kind, "nexthop") ? RTM_NEWNEXTHOP : RTM_NEWNEIGH;
}

static int fill(struct nlmsghdr *message, const char *kind, int type, int flags, unsigned int at)
{
	int base = base_of(kind);

	memset(message, 0, 128);
	message->nlmsg_type = base + type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	if (base == RTM_NEWROUTE)
		route(message, at, kind[5] == '4' ? AF_INET : AF_INET6);
	else if (base == RTM_NEWLINK)
		pair(message, at);
	else if (base == RTM_NEWNEXTHOP)
		nexthop_object(message, at);
	else
		neighbour(message, at, !strcmp(kind, "fdb"));
	return NLMSG_ALIGN(message->nlmsg_len);
}

/* Only refusals are answered. */
static void complain(int fd)
{
	struct { struct nlmsghdr header; struct nlmsgerr error; char more[4096]; } answer;

	if (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) <= 0)
		return;
	fprintf(stderr, "write: %s\n", strerror(-answer.error.error));
	exit(1);
}

static void wait_until(long long time)
{
	struct timespec t = { time / 1000000000, time % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int is_delete, flags, size = 1 << 20;
	unsigned int first, count, done = 0;
	long long began, pace;
	FILE *stamps;

	if (argc != 9 || fd < 0)
		return 2;
	is_delete = !strcmp(argv[1], "delete");
	flags = is_delete ? 0 : NLM_F_CREATE | (!strcmp(argv[1], "replace") ? NLM_F_REPLACE : NLM_F_EXCL);
	first = strtoul(argv[3], NULL, 10);
	count = strtoul(argv[4], NULL, 10);
	ifindex = if_nametoindex(argv[5]);
	if (!strncmp(argv[6], "nh:", 3))
		nexthop = strtoul(argv[6] + 3, NULL, 10);
	else
		gateway_length = inet_pton(AF_INET, argv[6], gateway) == 1 ? 4 : inet_pton(AF_INET6, argv[6], gateway) == 1 ? 16 : 1;
	pace = strtoll(argv[7], NULL, 10);
	stamps = strcmp(argv[8], "-") ? fopen(argv[8], "wb") : NULL;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	began = now();
	/* Who started this program is busy with that for a while, and more so the more memory it has. */
	if (stamps)
		wait_until(began += START_NS);
	while (done < count) {
		unsigned int some = pace ? 1 : count - done < PER_SEND ? count - done : PER_SEND;
		int length = 0;
		long long before;

		for (unsigned int at = 0; at < some; at++)
			length += fill((struct nlmsghdr *)(buffer + length), argv[2], is_delete, flags, first + done + at);
		if (pace)
			wait_until(began + (long long)(done * (1e9 / pace)));
		before = now();
		if (stamps)
			fwrite(&before, 8, 1, stamps);
		if (send(fd, buffer, length, 0) < 0) {
			perror("write: send");
			return 1;
		}
		complain(fd);
		done += some;
	}
	printf("%lld\n", now() - began);
	return stamps ? fclose(stamps) : 0;
}
