/* SPDX-License-Identifier: Apache-2.0
 *
 * bench: closed-loop load on key servers, agents and a no-op echo, one thread, results as numbers.
 *
 * Every answer is decoded and must be a success: what fails is counted, never as done.
 */
#pragma once
#include "base/buf.h"
#include <sys/types.h>

struct tls_context;

struct bench_result {
	uint64_t done, failed;
	double seconds;
	double server_cpu_seconds; /* of `pids`, while it ran */
	double p50_us, p99_us;     /* of a group's round trip */
	char why[128];             /* of the first failure */
};

/* Processes whose CPU time is counted. */
enum { BENCH_PIDS = 8 };
struct bench_pids {
	pid_t pid[BENCH_PIDS];
	size_t n;
};
double bench_cpu_seconds(const struct bench_pids *pids);

/* What is sent: one encoded message for each place of a group, and how an answer is judged. */
struct bench_work {
	const char *const *alpn; /* NULL at the end; NULL: none */
	struct buf *message;     /* [depth] */
	size_t depth; /* messages in one record; the next group follows their answers */
	size_t answer_size; /* 0: KMIP messages; else the fixed size of an answer (echo) */
	/* In each message this name is followed by BENCH_DIGITS digits, set anew before each sending: at
	 * random below `of`, or, if that is 0, counted.  NULL: messages stay as they are. */
	const char *name;
	uint64_t of;
};
enum { BENCH_DIGITS = 8 };

struct bench_drive {
	const char *address; /* "127.0.0.1:5696" */
	struct tls_context *tls;
	const struct bench_work *work;
	size_t connections;
	double seconds; /* measured after a warm-up of 0.3 s */
	struct bench_pids pids;
};
kf_err bench_drive(const struct bench_drive *d, struct bench_result *ret);

/* Opens connections, one request each, and leaves them idle; says how much the server's resident
 * memory grew for each. */
kf_err bench_idle(const struct bench_drive *d, double *ret_kib_each);

/* Messages for `depth` places: Sign of a 32-byte digest, or Get.  `bytes` of data for Sign. */
struct bench_sign {
	const char *id;
	bool is_rsa;
	size_t depth;
};
kf_err bench_sign_messages(const struct bench_sign *s, struct buf *ret /* [depth] */);
/* Encrypt of `bytes` bytes with AES-GCM; the server makes the nonces. */
kf_err bench_encrypt_messages(
	const char *id, size_t bytes, size_t depth, struct buf *ret /* [depth] */);
kf_err bench_get_messages(const char *id, size_t depth, struct buf *ret /* [depth] */);
/* Locate by name; an answer without an object is a failure. */
kf_err bench_locate_messages(
	const char *name, size_t depth, struct buf *ret /* [depth] */);
/* Create of AES keys of this name. */
kf_err bench_create_messages(
	const char *name, size_t depth, struct buf *ret /* [depth] */);

/* Blocking callers, a thread each, through the agent's socket. */
struct bench_local {
	const char *socket, *id;
	size_t callers;
	double seconds;
	struct bench_pids pids;
};
kf_err bench_local(const struct bench_local *l, struct bench_result *ret);

/* The no-op TLS echo that Get is compared with: 300-byte requests, 450-byte answers, mutual TLS 1.3,
 * one recv and one send a burst.  Runs until the process is ended; prints "ready PORT". */
enum { ECHO_REQUEST = 300, ECHO_ANSWER = 450 };
struct bench_echo {
	const char *certificate, *key, *ca;
};
kf_err bench_echo(const struct bench_echo *e);

/* How handshakes with a slow key hold up everything else in the same web server: handshakes with a fast
 * key at rest, and beside many with the slow one, together with requests on connections that were open
 * before.  One thread; nothing is resumed or verified. */
struct bench_site {
	const char *address; /* "HOST:PORT" */
	const char *name;    /* of the certificate that is asked for (SNI) */
};
enum { STALL_AT_ONCE_MAX = 256 };
struct bench_stall {
	struct bench_site slow, fast;
	unsigned slow_n,
		fast_n; /* at once, up to STALL_AT_ONCE_MAX; as many pages as fast ones */
	unsigned lead_ms;    /* the slow ones begin so long before */
	unsigned timeout_ms; /* after which a handshake counts as failed */
};
struct bench_times {
	unsigned done, failed;
	double median_ms, max_ms;
};
struct bench_stall_result {
	struct bench_times rest, slow_alone; /* one at a time */
	struct bench_times fast, page, slow; /* at once */
	double wall_ms;                      /* until all of these were done */
	char why[128];                       /* of the first failure */
};
kf_err bench_stall(const struct bench_stall *s, struct bench_stall_result *ret);
