/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates are checked for here, because "no such file" from a TLS library names neither file nor remedy. */
#include "tests/tracker/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static bool find(const char *dir, const char *name, const char *suffix, char out[LINK_PATH_MAX], struct err *e)
{
	if (snprintf(out, LINK_PATH_MAX, "%s/%s.%s", dir, name, suffix) >= LINK_PATH_MAX)
		return err_set(e, ERR_INVALID, "--certs: the folder's name is too long");
	if (access(out, R_OK) == 0)
		return true;
	return err_set(e, ERR_NOT_FOUND, "tracker %s has no certificate: %s: %s. Enrol it first: ops/demo enrol %s",
		       name, out, strerror(errno), name);
}

bool link_find_ca(const struct link *link, char out[LINK_PATH_MAX], struct err *e)
{
	if (link->ca == NULL && link->certs == NULL)
		return err_set(e, ERR_INVALID, "--certs: expected the folder with the trackers' certificates");
	int n = link->ca != NULL ? snprintf(out, LINK_PATH_MAX, "%s", link->ca)
				 : snprintf(out, LINK_PATH_MAX, "%s/ca.crt", link->certs);
	if (n >= LINK_PATH_MAX)
		return err_set(e, ERR_INVALID, "--ca: the file's name is too long");
	if (access(out, R_OK) != 0)
		return err_set(e, ERR_NOT_FOUND, "--ca: certificate of the CA: %s: %s", out, strerror(errno));
	return true;
}

bool link_find(const struct link *link, const char *serial, struct link_paths *out, struct err *e)
{
	if (link->certs == NULL)
		return err_set(e, ERR_INVALID, "--certs: expected the folder with %s.crt and %s.key", serial, serial);
	return find(link->certs, serial, "crt", out->cert, e) && find(link->certs, serial, "key", out->key, e) &&
	       link_find_ca(link, out->ca, e);
}

struct mqtt *link_new(const struct link *link, const char *serial, struct event_base *base, mqtt_cb *cb, void *arg,
		      struct err *e)
{
	struct link_paths paths;
	/* After an outage all trackers come back at once and the broker serves them all alike: whoever gives up before
	 * its turn and starts anew makes the wait of all longer. */
	struct mqtt_options o = {.name = serial,
				 .host = link->host,
				 .port = (int)link->port,
				 .client_id = serial,
				 .keepalive = (int)link->keepalive,
				 .reconnect_first = 1,
				 .reconnect_limit = 600,
				 .connect_timeout = 60};

	if (!link->clear) {
		if (!link_find(link, serial, &paths, e))
			return NULL;
		o.ca_file = paths.ca;
		o.cert_file = paths.cert;
		o.key_file = paths.key;
	}
	return mqtt_new(base, &o, cb, arg, e);
}

bool link_files(size_t files, struct err *e)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return err_set(e, ERR_SYSTEM, "getrlimit: %s", strerror(errno));
	if (limit.rlim_cur >= files)
		return true;
	limit.rlim_cur = files;
	if (limit.rlim_max < files)
		limit.rlim_max = files;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return true;
	return err_set(e, ERR_SYSTEM,
		       "%zu open files are needed, the limit is %llu: raise it (ulimit -Hn) or take fewer trackers",
		       files, (unsigned long long)limit.rlim_max);
}
