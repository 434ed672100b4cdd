/*
 * The floor of every reader of the table over netlink: asks for the whole table,
 * receives it, and throws it away. Messages are only stepped over, which is how the
 * end is found.
 *
 * Prints the number of entries and of bytes.
 */
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel fills at most 32 KiB at once, if the reader offers as much. */
static char buffer[64 << 10] __attribute__((aligned(NLMSG_ALIGNTO)));

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(void)
{
	struct {
		struct nlmsghdr header;
		struct nfgenmsg family;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
	};
	unsigned long entries = 0, bytes = 0;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0)
		return fail("socket");
	if (send(fd, &request, sizeof(request), 0) < 0)
		return fail("send");
	for (;;) {
		ssize_t length = recv(fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const void *)buffer;

		if (length < 0)
			return fail("recv");
		bytes += length;
		for (; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
			if (message->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *error = NLMSG_DATA(message);
				errno = -error->error;
				return fail("dump");
			}
			if (message->nlmsg_type == NLMSG_DONE) {
				printf("%lu entries, %lu bytes\n", entries, bytes);
				return 0;
			}
			entries++;
		}
	}
}
