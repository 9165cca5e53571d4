/* SPDX-License-Identifier: Apache-2.0 */
/* The yardstick of the mirror's bench: receives the kernel's IPv4 route dump as fast as C can, and does nothing with it.
 * usage: dump NETNS-PATH; prints nanoseconds, the number of routes, and nanoseconds of CPU time. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[32768];

static long long now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct {
		struct nlmsghdr header;
		struct rtmsg route;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETROUTE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = 1,
		},
		.route = { .rtm_family = AF_INET },
	};
	int netns = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	int fd, one = 1;
	long long began, used, routes = 0;

	if (netns < 0 || setns(netns, CLONE_NEWNET) != 0) {
		perror("dump: network namespace");
		return 1;
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0) {
		perror("dump: socket");
		return 1;
	}
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	began = now(CLOCK_MONOTONIC);
	used = now(CLOCK_PROCESS_CPUTIME_ID);
	if (send(fd, &request, sizeof(request), 0) < 0) {
		perror("dump: send");
		return 1;
	}
	for (;;) {
		ssize_t length = recv(fd, buffer, sizeof(buffer), 0);
		struct nlmsghdr *message = (struct nlmsghdr *)buffer;

		if (length < 0) {
			perror("dump: recv");
			return 1;
		}
		for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
			if (message->nlmsg_type == NLMSG_ERROR)
				return 1;
			if (message->nlmsg_type == NLMSG_DONE) {
				printf("%lld %lld %lld\n", now(CLOCK_MONOTONIC) - began, routes,
				       now(CLOCK_PROCESS_CPUTIME_ID) - used);
				return 0;
			}
			routes++;
		}
	}
}
