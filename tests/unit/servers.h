/* SPDX-License-Identifier: Apache-2.0
 *
 * Real servers for tests: a private PostgreSQL on a Unix socket and a private Mosquitto on a Unix socket and a loopback
 * TLS port with throw-away certificates, in a temporary folder. They end with the test program, however it ends. */
#ifndef COLDFLEET_TESTS_UNIT_SERVERS_H
#define COLDFLEET_TESTS_UNIT_SERVERS_H

#include <stdbool.h>

#include <event2/event.h>

/* NULL when the programs are there, else words for skipping. */
const char *postgres_missing(void);
const char *broker_missing(void);

/* Path of a file in the temporary folder; good until the eighth call after this one. */
const char *servers_path(const char *name);

/* Each start waits until the server answers; when it does not, the test program ends with the server's log. */
void postgres_start(void);
void postgres_kill(void); /* as pg_ctl stop -m immediate does; postgres_start() may follow */
const char *postgres_conninfo(void);
void postgres_sql(const char *sql); /* as superuser, on a connection of its own */

void broker_start(void);
void broker_kill(void);
void broker_pause(bool paused); /* it hangs until it is let go */
const char *broker_socket(void);
int broker_tls_port(void); /* asks for a client certificate of ca.crt; there are client.crt, client.key, other-ca.crt */

/* A loopback TCP port that nobody listens on. */
int free_port(void);

/* Runs a program to its end; returns its exit status. Its output goes to the log in the temporary folder. */
int run_program(const char *const argv[], const char *const environ_extra[]);

/* Prints the words and what the programs wrote, and ends the test program with a failure. */
void servers_show_log(const char *what) __attribute__((noreturn));

/* Turns the loop until the condition holds; false when it does not within the seconds. */
bool loop_until(struct event_base *base, bool (*condition)(void *arg), void *arg, double seconds);

#endif
