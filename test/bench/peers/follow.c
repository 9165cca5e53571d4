/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of the comparison: receives a dump of one kind as fast as C can, then its notifications, and does nothing with them.
 * usage: follow FAMILY TYPE GROUP RCVBUF [STAMPS] (numbers of rtnetlink; RCVBUF in bytes, 0 for the system's own)
 * Prints "listed N" at the end of the dump. Answers each line of its input with "events N overruns M"; ends with its input.
 * STAMPS is a file that gets the time of each notification's arrival: CLOCK_MONOTONIC, ns, 8 bytes. */

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buffer[32768];
static long long events, overruns;

static int open_socket(unsigned int group, int size)
{
	/* Without a port of its own it would count as the one who asked, who is not told. */
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int one = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		perror("follow: socket");
		exit(1);
	}
	if (size > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (group == 0)
		setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	else if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0) {
		perror("follow: group");
		exit(1);
	}
	return fd;
}

/* The number of messages in the buffer; *done is set by the end of a dump. */
static long long count(ssize_t length, int *done)
{
	struct nlmsghdr *message = (struct nlmsghdr *)buffer;
	long long seen = 0;

	for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
		if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
			*done = 1;
		else
			seen++;
	}
	return seen;
}

static void stamp(FILE *stamps, long long messages)
{
	struct timespec t;
	long long time;

	clock_gettime(CLOCK_MONOTONIC, &t);
	time = t.tv_sec * 1000000000LL + t.tv_nsec;
	while (messages-- > 0)
		fwrite(&time, sizeof(time), 1, stamps);
}

static long long list(int family, int type)
{
	/* Any kind's own header begins with the family, and none is longer. */
	struct {
		struct nlmsghdr header;
		struct ifinfomsg any;
	} request = { .any = { .ifi_family = family } };
	int fd = open_socket(0, 0), done = 0;
	long long seen = 0;

	request.header.nlmsg_len = NLMSG_LENGTH(type == RTM_GETLINK ? sizeof(struct ifinfomsg) : sizeof(struct rtmsg));
	request.header.nlmsg_type = type;
	request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
		exit(1);
	while (!done) {
		ssize_t length = recv(fd, buffer, sizeof(buffer), 0);

		if (length <= 0)
			exit(1);
		seen += count(length, &done);
	}
	close(fd);
	return seen;
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .fd = 0, .events = POLLIN }, { .events = POLLIN } };
	FILE *stamps = NULL;
	int done = 0;

	if (argc != 5 && argc != 6)
		return 2;
	if (argc == 6) {
		stamps = fopen(argv[5], "wb");
		if (!stamps)
			return 1;
	}
	fds[1].fd = open_socket(atoi(argv[3]), atoi(argv[4]));
	printf("listed %lld\n", list(atoi(argv[1]), atoi(argv[2])));
	fflush(stdout);
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			return 1;
		if (fds[1].revents) {
			ssize_t length = recv(fds[1].fd, buffer, sizeof(buffer), MSG_DONTWAIT);

			if (length > 0) {
				long long messages = count(length, &done);

				events += messages;
				if (stamps)
					stamp(stamps, messages);
			} else if (length < 0 && errno == ENOBUFS)
				overruns++;
		}
		if (fds[0].revents) {
			if (read(0, buffer, sizeof(buffer)) <= 0)
				return 0;
			if (stamps)
				fflush(stamps);
			printf("events %lld overruns %lld\n", events, overruns);
			fflush(stdout);
		}
	}
}
