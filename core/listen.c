/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and listening sockets. */
#include "core/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/util.h>

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

void listen_remove(const struct listen_address *a)
{
	if (a->sa.ss_family == AF_UNIX)
		unlink(((const struct sockaddr_un *)&a->sa)->sun_path);
}
