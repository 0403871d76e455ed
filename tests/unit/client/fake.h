/* SPDX-License-Identifier: Apache-2.0 */
/* fake: key servers for tests of clients, each a thread with a loop, over real TLS on 127.0.0.1.
 *
 * Sign answers the data as the signature, Encrypt as the ciphertext; everything else answers an empty payload.  What goes wrong is
 * set from the test's thread at any time.
 */
#pragma once
#include "base/mem.h"
#include "keyfleet.h"
#include "kmip/decrypt.h"
#include "kmip/discover_versions.h"
#include "kmip/sign.h"
#include "net/frame.h"
#include "net/listen.h"
#include "net/tls.h"
#include "pki.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum fake_mood {
	FAKE_ANSWERS,
	FAKE_IS_BUSY,
	FAKE_IS_SILENT,     /* reads and says nothing */
	FAKE_HANGS_UP,      /* closes instead of answering */
	FAKE_HANGS_UP_LATE, /* does it, then closes instead of answering */
	FAKE_REVERSES,      /* collects four requests, answers the last first */
	FAKE_TALKS_NONSENSE,
	FAKE_REFUSES,        /* Object Not Found */
	FAKE_LIMITS,         /* the grant's rate is used up */
	FAKE_IS_SLOW,        /* answers FAKE_SLOW_MS later */
	FAKE_REFUSES_SLOWLY, /* Object Not Found, as late */
};

enum { FAKE_IDS = 64, FAKE_HELD = 4, FAKE_SLOW_MS = 100 };

struct fake {
	const char *const *alpn;
	uint16_t newest; /* protocol version; 0: 2.1 */
	_Atomic int mood, load;
	_Atomic int most; /* Maximum Response Size of the last request */
	_Atomic unsigned requests, connections, done, greetings, deepest;
	_Atomic unsigned abandoned;    /* said of the last request */
	_Atomic unsigned handshake_ms; /* so late it begins its part */
	_Atomic unsigned hang_ups;     /* so many connections are closed at once */
	uint8_t asked[16];             /* Unique Batch Item ID of the last request */
	size_t asked_n;
	_Atomic bool is_stopping, tells_no_tag; /* of what it encrypts */
	uint8_t id[FAKE_IDS][16];               /* request ids in the order of arrival */
	_Atomic unsigned n_ids;
	int port;

	pthread_t thread;
	struct loop *loop;
	struct listener listener;
	struct tls_context *tls;
	struct stream_pad *pad;
	struct list conns;
	struct loop_message stop;
};

struct fake_conn {
	struct list link;
	struct loop_watch watch;
	struct fake *fake;
	struct stream *stream;
	struct buf in, out;
	struct buf held[FAKE_HELD];
	unsigned n_held;
	struct buf late; /* answers that wait for the timer */
	struct loop_timer timer;
};

static const char *const fake_both[]
	__attribute__((unused)) = { "keyfleet/1", "kmip", NULL };
static const char *const fake_kmip[] __attribute__((unused)) = { "kmip", NULL };

/* ---- certificates and files, made once ---- */

static struct {
	struct pki_ca ca;
	struct pki_leaf server, client;
	char dir[64], ca_file[96], cert_file[96], key_file[96];
} fake_pki;

static inline void fake_write(const char *path, struct slice s)
{
	CLEANUP(mem_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (write(fd, s.p, s.n) != (ssize_t)s.n)
		abort();
}

static inline void fake_make_pki(void)
{
	if (fake_pki.dir[0])
		return;
	fake_pki.ca = pki_ca_new("test authority");
	fake_pki.server =
		pki_issue(&fake_pki.ca, "server", "serverAuth", "IP:127.0.0.1", 3600);
	fake_pki.client = pki_issue(&fake_pki.ca, "client", "clientAuth", NULL, 3600);
	strcpy(fake_pki.dir, "/tmp/keyfleet-test-XXXXXX");
	if (!mkdtemp(fake_pki.dir))
		abort();
	snprintf(fake_pki.ca_file, 96, "%s/ca.pem", fake_pki.dir);
	snprintf(fake_pki.cert_file, 96, "%s/client.pem", fake_pki.dir);
	snprintf(fake_pki.key_file, 96, "%s/client.key", fake_pki.dir);
	fake_write(fake_pki.ca_file, buf_slice(&fake_pki.ca.pem));
	fake_write(fake_pki.cert_file, buf_slice(&fake_pki.client.certificate));
	fake_write(fake_pki.key_file, buf_slice(&fake_pki.client.key));
}

__attribute__((destructor)) static void fake_drop_pki(void)
{
	if (!fake_pki.dir[0])
		return;
	unlink(fake_pki.ca_file);
	unlink(fake_pki.cert_file);
	unlink(fake_pki.key_file);
	rmdir(fake_pki.dir);
	pki_leaf_free(&fake_pki.server);
	pki_leaf_free(&fake_pki.client);
	pki_ca_free(&fake_pki.ca);
}

/* ---- one connection ---- */

static inline void fake_close(struct fake_conn *c)
{
	loop_remove(c->fake->loop, &c->watch);
	loop_disarm(c->fake->loop, &c->timer);
	buf_free(&c->late);
	list_remove(&c->link);
	stream_free(c->stream);
	buf_free(&c->in);
	buf_free(&c->out);
	for (unsigned i = 0; i < FAKE_HELD; i++)
		buf_free(&c->held[i]);
	free(c);
}

static inline void fake_put_payload(struct fake *f, struct ttlv_writer *w,
	const struct ttlv_reader *r, const struct kmip_request_item *item)
{
	if (item->operation == KMIP_OPERATION_SIGN) {
		struct ttlv_reader p = kmip_payload(r, item->payload);
		struct sign_request q;
		if (!kf_ok(sign_get_request(&p, &q)))
			abort();
		struct sign_response a = { .uid = q.uid,
			.signature = q.has_data ? q.data : q.digested_data };
		sign_put_response(w, &a);
	}
	if (item->operation == KMIP_OPERATION_ENCRYPT) {
		static const uint8_t zeroes[16];
		struct ttlv_reader p = kmip_payload(r, item->payload);
		struct decrypt_request q;
		if (!kf_ok(encrypt_get_request(&p, &q)))
			abort();
		struct decrypt_response a = { .uid = q.uid,
			.has_data = true,
			.data = q.data,
			.iv = { zeroes, 12 },
			.tag = { zeroes, f->tells_no_tag ? 0 : 16 } };
		encrypt_put_response(w, &a);
	}
	if (item->operation == KMIP_OPERATION_DISCOVER_VERSIONS) {
		f->greetings++;
		struct discover_versions_response a = { .n = 1,
			.version = { f->newest ? f->newest : KMIP_2_1 } };
		discover_versions_put_response(w, &a);
	}
}

/* False: a question in passing, which is answered whatever the mood. */
static inline bool fake_note(struct fake *f, struct slice message)
{
	struct ttlv_reader r = ttlv_read(message);
	struct kmip_request_header h;
	struct kmip_request_item item;
	if (!kf_ok(kmip_get_request_header(&r, &h)) ||
		!kf_ok(kmip_get_request_item(&r, &item)))
		abort();
	if (item.operation == KMIP_OPERATION_DISCOVER_VERSIONS) {
		f->abandoned +=
			f->asked_n && slice_eq(item.extension.abandoned,
					      (struct slice){ f->asked, f->asked_n });
		return false;
	}
	f->requests++;
	f->asked_n = item.batch_id.n <= sizeof(f->asked) ? item.batch_id.n : 0;
	if (f->asked_n)
		memcpy(f->asked, item.batch_id.p, f->asked_n);
	struct slice id = item.extension.request_id;
	unsigned n = f->n_ids;
	if (id.n == 16 && n < FAKE_IDS) {
		memcpy(f->id[n], id.p, 16);
		f->n_ids = n + 1; /* whole */
	}
	return true;
}

static inline void fake_answer(struct fake *f, struct buf *out, struct slice message)
{
	struct ttlv_reader r = ttlv_read(message);
	struct kmip_request_header h;
	struct kmip_request_item item;
	if (!kf_ok(kmip_get_request_header(&r, &h)) ||
		!kf_ok(kmip_get_request_item(&r, &item)))
		abort();
	f->most = h.maximum_response_size;
	struct kmip_extension ext = { .has_load = f->load >= 0, .load = f->load };
	struct kmip_response_header ah = { .version = h.version, .batch_count = 1 };
	struct ttlv_writer w = ttlv_write(out, h.version);
	w.allows_vendor = true;
	kmip_put_response_header(&w, &ah, NULL);
	static const enum kf_code refusals[] = {
		[FAKE_IS_BUSY] = KF_E_BUSY,
		[FAKE_REFUSES] = KF_E_NOT_FOUND,
		[FAKE_REFUSES_SLOWLY] = KF_E_NOT_FOUND,
		[FAKE_LIMITS] = KF_E_GRANT_RATE,
	};
	size_t mood = (size_t)f->mood;
	enum kf_code code =
		mood < sizeof(refusals) / sizeof(*refusals) ? refusals[mood] : KF_E_NONE;
	if (code) {
		ext.limit = (int32_t)kmip_limit_of(code);
		kmip_put_response_failure(&w, item.operation, item.batch_id, code, &ext);
	} else {
		kmip_put_response_item_begin(&w, item.operation, item.batch_id);
		fake_put_payload(f, &w, &r, &item);
		kmip_put_response_item_end(&w, ext.has_load ? &ext : NULL);
	}
	if (!kf_ok(kmip_put_response_end(&w)))
		abort();
}

static inline void fake_hold(struct fake_conn *c, struct slice message)
{
	struct buf *b = &c->held[c->n_held++];
	*b = buf_new(1 << 16);
	buf_add_slice(b, message);
	if (c->n_held < FAKE_HELD)
		return;
	while (c->n_held) {
		b = &c->held[--c->n_held];
		fake_answer(c->fake, &c->out, buf_slice(b));
		buf_free(b);
	}
}

static inline void fake_delay(struct fake_conn *c, struct slice message)
{
	fake_answer(c->fake, &c->late, message);
	uint64_t at = loop_now_ns(c->fake->loop) + (uint64_t)FAKE_SLOW_MS * 1000000;
	if (!c->timer.place && !kf_ok(loop_arm(c->fake->loop, &c->timer, at)))
		abort();
}

/* False: the connection is gone. */
static inline bool fake_handle(struct fake_conn *c, struct slice message)
{
	struct fake *f = c->fake;
	if (!fake_note(f, message)) {
		fake_answer(f, &c->out, message);
		return true;
	}
	switch ((int)f->mood) { /* clang 14 takes no atomic */
	case FAKE_IS_SILENT: return true;
	case FAKE_HANGS_UP_LATE: {
		autobuf lost = buf_new(1 << 20);
		fake_answer(f, &lost, message);
	}
	/* fallthrough */
	case FAKE_HANGS_UP: fake_close(c); return false;
	case FAKE_REVERSES: fake_hold(c, message); return true;
	case FAKE_REFUSES_SLOWLY:
	case FAKE_IS_SLOW: fake_delay(c, message); return true;
	case FAKE_TALKS_NONSENSE:
		buf_add_text(&c->out, "HTTP/1.1 400 what?\r\n");
		return true;
	default: fake_answer(f, &c->out, message); return true;
	}
}

/* False: the connection is gone. */
static inline bool fake_take(struct fake_conn *c, unsigned *depth)
{
	struct slice rest = buf_slice(&c->in), message;
	while (frame_next(&rest, 1 << 20, &message) == FRAME_READY) {
		if (++*depth > c->fake->deepest)
			c->fake->deepest = *depth;
		if (!fake_handle(c, message))
			return false;
	}
	buf_consume(&c->in, c->in.n - rest.n);
	return true;
}

static inline void fake_work(struct fake_conn *c)
{
	if (!stream_is_open(c->stream) && !kf_ok(stream_handshake(c->stream))) {
		fake_close(c);
		return;
	}
	if (stream_is_open(c->stream)) {
		unsigned depth = 0;
		kf_err err;
		/* What TLS has read ahead wakes nobody up. */
		do {
			err = stream_read(c->stream, &c->in);
			if (!fake_take(c, &depth))
				return;
		} while (kf_ok(err) && stream_has_more(c->stream));
		if (!kf_ok(err) || !kf_ok(stream_write(c->stream, &c->out))) {
			fake_close(c);
			return;
		}
	}
	kf_err err = loop_change(c->fake->loop, &c->watch,
		EPOLLIN | (stream_wants_write(c->stream) ? EPOLLOUT : 0));
	if (!kf_ok(err))
		abort();
}

static inline void fake_ready(struct loop_watch *w, uint32_t events)
{
	(void)events;
	fake_work(container_of(w, struct fake_conn, watch));
}

static inline void fake_timer(struct loop_timer *t)
{
	struct fake_conn *c = container_of(t, struct fake_conn, timer);
	if (!stream_is_open(c->stream) &&
		!kf_ok(loop_add(c->fake->loop, &c->watch, EPOLLIN)))
		abort();
	buf_add_slice(&c->out, buf_slice(&c->late));
	buf_clear(&c->late);
	fake_work(c);
}

static inline void fake_accepted(struct listener *l, int fd, const struct address *peer)
{
	(void)peer;
	struct fake *f = container_of(l, struct fake, listener);
	struct fake_conn *c = calloc(1, sizeof(*c));
	*c = (struct fake_conn){ .fake = f,
		.watch = { .fd = fd, .ready = fake_ready },
		.in = buf_new(1 << 20),
		.out = buf_new(1 << 20),
		.late = buf_new(1 << 20),
		.timer = { .expired = fake_timer } };
	f->connections++;
	list_add_tail(&f->conns, &c->link);
	uint64_t at = loop_now_ns(f->loop) + (uint64_t)f->handshake_ms * 1000000;
	if (!kf_ok(tls_accept(f->tls, fd, f->pad, &c->stream)) ||
		!kf_ok(f->handshake_ms ? loop_arm(f->loop, &c->timer, at)
				       : loop_add(f->loop, &c->watch, EPOLLIN)))
		abort();
	if (f->hang_ups) {
		f->hang_ups--;
		fake_close(c);
	}
}

/* ---- the server ---- */

static inline void *fake_run(void *arg)
{
	struct fake *f = arg;
	if (!kf_ok(loop_run(f->loop)))
		abort();
	return NULL;
}

static inline void fake_listen(struct fake *f, int port)
{
	char text[ADDRESS_TEXT_MAX];
	struct address a;
	int fd = -1;
	snprintf(text, sizeof(text), "127.0.0.1:%d", port);
	if (!kf_ok(address_parse(text, &a)) || !kf_ok(listen_open(&a, NULL, &fd)) ||
		!kf_ok(address_of_socket(fd, &a)))
		abort();
	address_print(&a, text);
	f->port = atoi(strrchr(text, ':') + 1);
	f->listener = (struct listener){ .accepted = fake_accepted };
	if (!kf_ok(listener_start(&f->listener, f->loop, fd)))
		abort();
}

/* alpn and newest are set, all else is zero.  port 0 chooses one. */
static inline void fake_start(struct fake *f, int port)
{
	fake_make_pki();
	struct tls_options o = { .is_server = true, .alpn = f->alpn };
	struct tls_identity id = { buf_slice(&fake_pki.server.certificate),
		buf_slice(&fake_pki.server.key), buf_slice(&fake_pki.ca.pem), { 0 } };
	autobuf why = buf_new(1024);
	f->load = -1;
	list_init(&f->conns);
	if (!kf_ok(tls_context_new(&o, &id, &why, &f->tls)) ||
		!kf_ok(stream_pad_new(&f->pad)) ||
		!kf_ok(loop_new(&(struct loop_options){ 0 }, &f->loop)))
		abort();
	fake_listen(f, port);
	if (pthread_create(&f->thread, NULL, fake_run, f))
		abort();
}

static inline void fake_stop_here(struct loop_message *m)
{
	loop_stop(container_of(m, struct fake, stop)->loop);
}

/* As a process that is killed: connections and the port are gone. */
static inline void fake_stop(struct fake *f)
{
	f->stop.deliver = fake_stop_here;
	loop_post(f->loop, &f->stop);
	pthread_join(f->thread, NULL);
	list_each_safe(l, &f->conns) fake_close(container_of(l, struct fake_conn, link));
	listener_stop(&f->listener);
	loop_free(f->loop);
	tls_context_free(f->tls);
	stream_pad_free(f->pad);
}

static inline const char *fake_servers(struct fake *const *f, size_t n)
{
	static char text[1024];
	text[0] = 0;
	for (size_t i = 0; i < n; i++)
		sprintf(text + strlen(text), "127.0.0.1:%d ", f[i]->port);
	return text;
}

static inline void fake_start_both(struct fake *a, struct fake *b)
{
	*a = *b = (struct fake){ .alpn = fake_both };
	fake_start(a, 0);
	fake_start(b, 0);
}

static inline void fake_stop_both(struct fake *a, struct fake *b)
{
	fake_stop(a);
	fake_stop(b);
}

/* Of a client that may go to these. */
static inline kf_options fake_options(struct fake *const *f, size_t n)
{
	return (kf_options){ .servers = fake_servers(f, n),
		.ca = fake_pki.ca_file,
		.certificate = fake_pki.cert_file,
		.key = fake_pki.key_file };
}

static inline struct kf_client *fake_client(const kf_options *o)
{
	kf_call call = { 0 };
	struct kf_client *c = NULL;
	if (kf_client_new(o, &c, &call) != KF_SUCCESS)
		printf("# %s\n", kf_error_text(&call));
	return c;
}
