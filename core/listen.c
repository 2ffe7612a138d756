/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and listening sockets. */
#include "core/listen.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/util.h>

#define FIRST_PASSED 3 /* SD_LISTEN_FDS_START */

static bool is_loopback(const struct sockaddr_storage *ss)
{
	if (ss->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr) >> 24 == 127;
	return ss->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

/* Without a file there are no permissions: an abstract socket is open to everybody on the machine. */
static bool parse_unix(const char *path, struct listen_address *a, struct err *e)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&a->sa;
	if (path[0] != '/')
		return err_set(e, ERR_CONFIG, "expected an absolute path after unix:, got '%.80s'", path);
	if (strlen(path) >= sizeof(un->sun_path))
		return err_set(e, ERR_CONFIG, "socket path is longer than %zu bytes", sizeof(un->sun_path) - 1);
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, strlen(path) + 1);
	a->len = (int)sizeof(*un);
	a->local = true;
	return true;
}

bool listen_parse(const char *where, struct listen_address *a, struct err *e)
{
	memset(a, 0, sizeof(*a));
	if (strncmp(where, "unix:", 5) == 0)
		return parse_unix(where + 5, a, e);
	a->len = (int)sizeof(a->sa);
	/* The port stands at the same place in both families. */
	if (evutil_parse_sockaddr_port(where, (struct sockaddr *)&a->sa, &a->len) != 0 ||
	    ((const struct sockaddr_in *)&a->sa)->sin_port == 0)
		return err_set(e, ERR_CONFIG, "expected 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, got '%.80s'", where);
	a->local = is_loopback(&a->sa);
	return true;
}

/* sd_listen_fds(3) in a few lines: descriptor 3, when it is meant for this process. */
bool listen_passed(struct listen_address *a, struct err *e)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int listens = 0;
	socklen_t size = sizeof(listens), len = sizeof(a->sa);

	memset(a, 0, sizeof(*a));
	if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != getpid())
		return err_set(e, ERR_CONFIG,
			       "no socket was passed to this process, expected LISTEN_PID and LISTEN_FDS");
	if (strcmp(count, "1") != 0)
		return err_set(e, ERR_CONFIG, "expected one socket to be passed, got LISTEN_FDS=%.20s", count);
	if (getsockopt(FIRST_PASSED, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0 ||
	    getsockname(FIRST_PASSED, (struct sockaddr *)&a->sa, &len) != 0)
		return err_set(e, ERR_CONFIG, "descriptor %d was passed, but it is no socket that listens",
			       FIRST_PASSED);
	a->len = (int)len;
	a->local = a->sa.ss_family == AF_UNIX || is_loopback(&a->sa);
	a->passed = FIRST_PASSED;
	return true;
}

static const char *describe(const struct listen_address *a, char *to, size_t size)
{
	char host[64] = "?";
	const struct sockaddr_in *in = (const struct sockaddr_in *)&a->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a->sa;
	if (a->sa.ss_family == AF_UNIX)
		return ((const struct sockaddr_un *)&a->sa)->sun_path;
	bool six = a->sa.ss_family == AF_INET6;
	evutil_inet_ntop(a->sa.ss_family, six ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, host,
			 sizeof(host));
	snprintf(to, size, six ? "[%s]:%u" : "%s:%u", host, ntohs(in->sin_port));
	return to;
}

/* A socket file outlives its process; only a connection tells whether somebody is behind it. */
static bool is_live(const struct listen_address *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true;
	bool live = connect(fd, (const struct sockaddr *)&a->sa, (socklen_t)a->len) == 0 || errno != ECONNREFUSED;
	close(fd);
	return live;
}

static bool clear_path(const struct listen_address *a, struct err *e)
{
	const char *path = ((const struct sockaddr_un *)&a->sa)->sun_path;
	struct stat st;
	if (a->sa.ss_family != AF_UNIX || lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return true;
	if (is_live(a))
		return err_set(e, ERR_CONFIG, "%s: somebody listens there already", path);
	unlink(path);
	return true;
}

/* Its queue belongs to all who hold the socket; closing it here takes nothing from them. */
static struct evconnlistener *take_passed(struct event_base *base, int fd, const struct listen_options *options,
					  struct err *e)
{
	struct evconnlistener *l = NULL;
	if (evutil_make_socket_nonblocking(fd) == 0 && evutil_make_socket_closeonexec(fd) == 0)
		l = evconnlistener_new(base, options->accepted, options->arg,
				       LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (l == NULL)
		err_set(e, ERR_SYSTEM, "cannot listen on descriptor %d: %s", fd, strerror(errno));
	return l;
}

struct evconnlistener *listen_open(struct event_base *base, const struct listen_address *a,
				   const struct listen_options *options, struct err *e)
{
	char text[80];
	unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
	if (a->sa.ss_family != AF_UNIX)
		flags |= LEV_OPT_REUSEABLE | (options->reuse_port ? LEV_OPT_REUSEABLE_PORT : 0);
	if (options->local_only && !a->local) {
		err_set(e, ERR_CONFIG, "%s is not a loopback address", describe(a, text, sizeof(text)));
		return NULL;
	}
	if (a->passed > 0)
		return take_passed(base, a->passed, options, e);
	if (!clear_path(a, e))
		return NULL;
	mode_t before = umask(0117);
	struct evconnlistener *l = evconnlistener_new_bind(base, options->accepted, options->arg, flags,
							   options->backlog, (const struct sockaddr *)&a->sa, a->len);
	int error = errno;
	umask(before);
	if (l == NULL)
		err_set(e, ERR_SYSTEM, "cannot listen on %s: %s", describe(a, text, sizeof(text)), strerror(error));
	return l;
}

bool listen_leave(struct evconnlistener *l, struct err *e)
{
	/* At 13 of a TCP header stand its flags. A SYN without ACK begins a connection: 0 bytes of it are kept. */
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	const struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
	return setsockopt(evconnlistener_get_fd(l), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 ||
	       err_set(e, ERR_SYSTEM, "SO_ATTACH_FILTER: %s", strerror(errno));
}

void listen_remove(const struct listen_address *a)
{
	if (a->sa.ss_family == AF_UNIX && a->passed == 0)
		unlink(((const struct sockaddr_un *)&a->sa)->sun_path);
}
