/* SPDX-License-Identifier: Apache-2.0
 *
 * Children that die with us (PR_SET_PDEATHSIG) and a folder that atexit removes. PostgreSQL refuses root, so root runs
 * it as the user postgres. */
#include "servers.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#define BROKER        "/usr/sbin/mosquitto"
#define START_SECONDS 30

static pid_t owner, postgres_pid, broker_pid;
static char folder[64];
static int tls_port;

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* ---- the folder ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void end_child(pid_t *pid, int sig)
{
	if (*pid <= 0)
		return;
	kill(*pid, sig);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static void clean_up(void)
{
	if (getpid() != owner)
		return;
	end_child(&postgres_pid, SIGQUIT);
	end_child(&broker_pid, SIGTERM);
	nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct passwd *postgres_user(void)
{
	static struct passwd entry;
	static char text[4096];
	struct passwd *found = NULL;
	int error = getuid() == 0 ? getpwnam_r("postgres", &entry, text, sizeof(text), &found)
				  : getpwuid_r(getuid(), &entry, text, sizeof(text), &found);
	return error == 0 ? found : NULL;
}

static void make_folder(void)
{
	if (owner != 0)
		return;
	snprintf(folder, sizeof(folder), "/tmp/coldfleet-unit-XXXXXX");
	if (mkdtemp(folder) == NULL || chmod(folder, 0711) != 0)
		give_up("%s: %s", folder, strerror(errno));
	owner = getpid();
	atexit(clean_up);
}

const char *servers_path(const char *name)
{
	static char paths[8][160];
	static unsigned next;
	make_folder();
	char *path = paths[next++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

/* ---- programs ---- */

static void become_postgres(void)
{
	const struct passwd *pw = postgres_user();
	if (getuid() == 0 &&
	    (pw == NULL || setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0))
		_exit(126);
}

static pid_t spawn(const char *const argv[], const char *const extra[], bool as_postgres)
{
	int log = open(servers_path("log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return close(log), pid;
	if (as_postgres)
		become_postgres();
	/* After the change of user, which would clear it. */
	prctl(PR_SET_PDEATHSIG, as_postgres ? SIGQUIT : SIGTERM);
	if (getppid() != parent)
		_exit(126);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	for (size_t i = 0; extra != NULL && extra[i] != NULL; i += 2)
		setenv(extra[i], extra[i + 1], 1);
	char *copy[32] = {NULL};
	for (size_t i = 0; i < 31 && argv[i] != NULL; i++)
		copy[i] = strdup(argv[i]);
	execvp(copy[0], copy);
	_exit(127);
}

static int finish(pid_t pid)
{
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_program(const char *const argv[], const char *const environ_extra[])
{
	return finish(spawn(argv, environ_extra, false));
}

void servers_show_log(const char *what)
{
	char text[8192];
	FILE *f = fopen(servers_path("log"), "r");
	size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	fprintf(stderr, "%s\n%s\n", what, text);
	exit(1);
}

static double now_seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void wait_for_server(bool (*answers)(void), const char *name)
{
	static const struct timespec pause = {.tv_nsec = 10000000};
	for (double deadline = now_seconds() + START_SECONDS; !answers();) {
		if (now_seconds() > deadline)
			servers_show_log(name);
		nanosleep(&pause, NULL);
	}
}

/* ---- PostgreSQL ---- */

static const char *postgres_program(const char *name)
{
	static char path[256];
	glob_t found;
	path[0] = '\0';
	if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0)
		snprintf(path, sizeof(path), "%s/%s", found.gl_pathv[found.gl_pathc - 1], name);
	globfree(&found);
	return path;
}

const char *postgres_missing(void)
{
	if (access(postgres_program("initdb"), X_OK) != 0)
		return "no PostgreSQL server under /usr/lib/postgresql";
	return postgres_user() == NULL ? "no user postgres to run PostgreSQL as" : NULL;
}

const char *postgres_conninfo(void)
{
	static char text[256];
	snprintf(text, sizeof(text), "host=%s user=postgres dbname=postgres", servers_path("pg"));
	return text;
}

static bool postgres_answers(void)
{
	if (waitpid(postgres_pid, NULL, WNOHANG) == postgres_pid) {
		postgres_pid = 0;
		servers_show_log("PostgreSQL ended while starting");
	}
	return PQping(postgres_conninfo()) == PQPING_OK;
}

static void postgres_create(void)
{
	const char *data = servers_path("pg");
	if (mkdir(data, 0700) != 0)
		return; /* a restart */
	if (getuid() == 0 && chown(data, postgres_user()->pw_uid, postgres_user()->pw_gid) != 0)
		give_up("%s: %s", data, strerror(errno));
	const char *const argv[] = {postgres_program("initdb"),
				    "--pgdata",
				    data,
				    "--username=postgres",
				    "--encoding=UTF8",
				    "--auth=trust",
				    "--no-sync",
				    "--locale=C.UTF-8",
				    "--no-instructions",
				    NULL};
	if (finish(spawn(argv, NULL, true)) != 0)
		servers_show_log("initdb failed");
}

void postgres_start(void)
{
	char sockets[200];
	postgres_create();
	snprintf(sockets, sizeof(sockets), "unix_socket_directories=%s", servers_path("pg"));
	const char *const argv[] = {postgres_program("postgres"),
				    "-D",
				    servers_path("pg"),
				    "-c",
				    "listen_addresses=",
				    "-c",
				    sockets,
				    "-c",
				    "fsync=off",
				    "-c",
				    "shared_buffers=16MB",
				    "-c",
				    "max_connections=20",
				    "-c",
				    "restart_after_crash=on",
				    NULL};
	postgres_pid = spawn(argv, NULL, true);
	wait_for_server(postgres_answers, "PostgreSQL did not start");
}

void postgres_kill(void)
{
	end_child(&postgres_pid, SIGQUIT);
}

static void ignore_notice(void *arg, const char *message)
{
	(void)arg, (void)message;
}

void postgres_sql(const char *sql)
{
	PGconn *conn = PQconnectdb(postgres_conninfo());
	PQsetNoticeProcessor(conn, ignore_notice, NULL);
	PGresult *res = PQexec(conn, sql);
	if (PQresultStatus(res) == PGRES_FATAL_ERROR)
		give_up("%s: %s", sql, PQerrorMessage(conn));
	PQclear(res);
	PQfinish(conn);
}

/* ---- the broker ---- */

const char *broker_missing(void)
{
	return access(BROKER, X_OK) != 0 ? "no broker at " BROKER : NULL;
}

int free_port(void)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		give_up("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(sin.sin_port);
}

const char *broker_socket(void)
{
	return servers_path("mqtt.sock");
}

int broker_tls_port(void)
{
	return tls_port;
}

static void make_certificate(const char *name, const char *issuer)
{
	char key[32], crt[32], issuer_key[32], issuer_crt[32], subject[64];
	snprintf(key, sizeof(key), "%s.key", name);
	snprintf(crt, sizeof(crt), "%s.crt", name);
	snprintf(issuer_key, sizeof(issuer_key), "%s.key", issuer);
	snprintf(issuer_crt, sizeof(issuer_crt), "%s.crt", issuer);
	snprintf(subject, sizeof(subject), "/CN=%s", name);
	bool own = strcmp(name, issuer) == 0;
	const char *const argv[] = {"openssl",
				    "req",
				    "-x509",
				    "-newkey",
				    "ec",
				    "-pkeyopt",
				    "ec_paramgen_curve:P-256",
				    "-nodes",
				    "-days",
				    "2",
				    "-subj",
				    subject,
				    "-keyout",
				    servers_path(key),
				    "-out",
				    servers_path(crt),
				    "-addext",
				    own ? "keyUsage=keyCertSign" : "subjectAltName=IP:127.0.0.1,DNS:localhost",
				    "-addext",
				    own ? "subjectKeyIdentifier=hash" : "basicConstraints=critical,CA:FALSE",
				    own ? NULL : "-CA",
				    servers_path(issuer_crt),
				    "-CAkey",
				    servers_path(issuer_key),
				    NULL};
	if (run_program(argv, NULL) != 0)
		servers_show_log("openssl failed");
}

static void write_broker_config(void)
{
	FILE *f = fopen(servers_path("mosquitto.conf"), "w");
	if (f == NULL)
		give_up("mosquitto.conf: %s", strerror(errno));
	tls_port = free_port();
	fprintf(f, "%sallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n",
		getuid() == 0 ? "user root\n" : "");
	fprintf(f, "listener 0 %s\n", servers_path("mqtt.sock"));
	fprintf(f, "listener %d 127.0.0.1\nrequire_certificate true\n", tls_port);
	fprintf(f, "cafile %s\ncertfile %s\nkeyfile %s\n", servers_path("ca.crt"), servers_path("server.crt"),
		servers_path("server.key"));
	fclose(f);
}

static bool broker_answers(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	if (waitpid(broker_pid, NULL, WNOHANG) == broker_pid) {
		broker_pid = 0;
		servers_show_log("mosquitto ended while starting");
	}
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", broker_socket());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
	close(fd);
	return ok;
}

void broker_start(void)
{
	if (tls_port == 0) {
		make_certificate("ca", "ca");
		make_certificate("other-ca", "other-ca");
		make_certificate("server", "ca");
		make_certificate("client", "ca");
		write_broker_config();
	}
	const char *const argv[] = {BROKER, "-c", servers_path("mosquitto.conf"), NULL};
	unlink(broker_socket());
	broker_pid = spawn(argv, NULL, false);
	wait_for_server(broker_answers, "mosquitto did not start");
}

void broker_kill(void)
{
	end_child(&broker_pid, SIGKILL);
}

void broker_pause(bool paused)
{
	kill(broker_pid, paused ? SIGSTOP : SIGCONT);
}

/* ---- the loop ---- */

static void note_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

bool loop_until(struct event_base *base, bool (*condition)(void *arg), void *arg, double seconds)
{
	bool late = false;
	struct timeval tv = {.tv_sec = (time_t)seconds,
			     .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
	struct event *deadline = evtimer_new(base, note_deadline, &late);
	event_add(deadline, &tv);
	while (!condition(arg) && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(deadline);
	return condition(arg);
}
