/* SPDX-License-Identifier: Apache-2.0 */
#include "client/conn.h"
#include "kmip/discover_versions.h"
#include "net/frame.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ids of requests in slots have 4 bytes; those of notes, whose answers say nothing, are as different from each other as
 * the server wants what is in flight to be. */
enum { NOTE_ID = 3 };

/* Its address marks the greeting's slot. */
static char greeting;

static kf_err broken(struct conn *c, kf_err err)
{
	if (c->state == CONN_BROKEN)
		return c->err;
	c->state = CONN_BROKEN;
	c->err = err;
	const char *why = c->stream ? stream_why(c->stream) : "";
	if (!*why && err.site)
		why = err.site->text;
	snprintf(c->why, sizeof(c->why), "%s", why);
	return err;
}

/* ---- slots ---- */

static void slots_init(struct conn *c)
{
	c->n_free = CONN_DEPTH;
	for (uint16_t i = 0; i < CONN_DEPTH; i++)
		c->free_slot[i] = (uint16_t)(CONN_DEPTH - 1 - i);
}

static size_t slot_take(struct conn *c, void *waiter)
{
	size_t slot = c->free_slot[--c->n_free];
	c->waiter[slot] = waiter;
	c->is_taken[slot] = true;
	/* The low bits say which slot, the high bits tell this request from the slot's earlier ones. */
	c->next_id += CONN_DEPTH;
	c->id[slot] = c->next_id | (uint32_t)slot;
	c->in_flight++;
	return slot;
}

static void *slot_give(struct conn *c, size_t slot)
{
	void *waiter = c->waiter[slot];
	c->waiter[slot] = NULL;
	c->is_taken[slot] = false;
	c->free_slot[c->n_free++] = (uint16_t)slot;
	c->in_flight--;
	return waiter;
}

/* The only request in flight: the lowest slot that is taken. */
static bool slot_by_order(struct conn *c, size_t *ret)
{
	for (size_t i = 0; i < CONN_DEPTH && c->in_flight == 1; i++)
		if (c->is_taken[i]) {
			*ret = i;
			return true;
		}
	return false;
}

static bool slot_by_id(struct conn *c, struct slice id, size_t *ret)
{
	/* A message that could not be read at all is refused without its id. */
	if (id.n == 0)
		return slot_by_order(c, ret);
	if (id.n != 4)
		return false;
	uint32_t v = (uint32_t)id.p[0] << 24 | (uint32_t)id.p[1] << 16 |
		     (uint32_t)id.p[2] << 8 | id.p[3];
	size_t slot = v % CONN_DEPTH;
	if (!c->is_taken[slot] || c->id[slot] != v)
		return false;
	*ret = slot;
	return true;
}

/* ---- beginning and end ---- */

kf_err conn_new(const struct conn_setup *setup, const struct node *node,
	struct tls_session *session, struct conn **ret)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (!c) {
		tls_session_free(session);
		return kf_fail(NOMEM, "making a connection");
	}
	c->setup = setup;
	c->session = session;
	c->fd = -1;
	c->must_greet = !node_is_healthy(node);
	c->version = node->version;
	c->in = buf_new(setup->message_max + 65536);
	c->out = buf_new(setup->message_max + 65536);
	snprintf(c->host, sizeof(c->host), "%s", node->host);
	slots_init(c);
	kf_err err = connect_start(&node->address, &c->fd);
	if (!kf_ok(err)) {
		conn_free(c);
		return err;
	}
	*ret = c;
	return KF_OK;
}

void conn_free(struct conn *c)
{
	if (!c)
		return;
	if (c->stream)
		stream_free(c->stream);
	else if (c->fd >= 0)
		close(c->fd);
	tls_session_free(c->session);
	buf_free(&c->in);
	buf_free(&c->out);
	free(c);
}

void conn_drop(struct conn *c)
{
	/* Closing the descriptor first leaves the stream nobody to say goodbye to; a stand-in keeps the
	 * number from being taken by another thread until the stream has closed it. */
	int pair[2];
	if (c && c->stream && pipe(pair) == 0) {
		dup2(pair[0], stream_fd(c->stream));
		close(pair[0]);
		close(pair[1]);
	}
	conn_free(c);
}

void conn_set_pad(struct conn *c, struct stream_pad *pad)
{
	c->pad = pad;
	if (c->stream)
		stream_set_pad(c->stream, pad);
}

int conn_fd(const struct conn *c) { return c->stream ? stream_fd(c->stream) : c->fd; }

short conn_events(const struct conn *c)
{
	if (c->state == CONN_CONNECTING)
		return POLLOUT;
	return (short)(POLLIN | (stream_wants_write(c->stream) ? POLLOUT : 0));
}

/* ---- towards open ---- */

static kf_err start_tls(struct conn *c)
{
	KF_TRY(connect_result(c->fd));
	connect_tune(c->fd);
	int fd = c->fd;
	c->fd = -1;
	struct tls_connect_options options = { .host = c->host[0] ? c->host : NULL,
		.session = c->session };
	KF_TRY(tls_connect(c->setup->tls, fd, &options, c->pad, &c->stream));
	tls_session_free(c->session);
	c->session = NULL;
	c->state = CONN_HANDSHAKE;
	return KF_OK;
}

/* The oldest version that has Discover Versions: whoever has it understands this. */
static kf_err put_greeting(struct conn *c)
{
	static const struct discover_versions_request wanted = { .n = 6,
		.version = {
			KMIP_2_1, KMIP_2_0, KMIP_1_4, KMIP_1_3, KMIP_1_2, KMIP_1_1 } };
	autobuf payload = buf_new(1024);
	struct ttlv_writer w = ttlv_write(&payload, KMIP_1_1);
	discover_versions_put_request(&w, &wanted);
	KF_TRY(ttlv_written(&w));
	struct conn_request q = { .operation = KMIP_OPERATION_DISCOVER_VERSIONS,
		.payload = buf_slice(&payload) };
	c->version = KMIP_1_1;
	return conn_put(c, &q, &greeting);
}

static kf_err be_open(struct conn *c)
{
	c->is_by_id = strcmp(tls_alpn(c->stream), "keyfleet/1") == 0;
	if (c->is_by_id)
		c->version = KMIP_2_1;
	if (c->version && !c->must_greet) {
		c->state = CONN_OPEN;
		return KF_OK;
	}
	c->state = CONN_GREETING;
	return put_greeting(c);
}

static kf_err shake_hands(struct conn *c)
{
	KF_TRY(stream_handshake(c->stream));
	return stream_is_open(c->stream) ? be_open(c) : KF_OK;
}

/* A server without Discover Versions is one of 1.0; one that shares no version is of no use. */
static kf_err greeted(struct conn *c, const struct kmip_response_item *item)
{
	c->state = CONN_OPEN;
	c->version = c->is_by_id ? KMIP_2_1 : KMIP_1_0;
	if (c->is_by_id || item->status != KMIP_RESULT_STATUS_SUCCESS)
		return KF_OK;
	struct ttlv_reader r = ttlv_read_as(item->payload, KMIP_1_1, true);
	struct discover_versions_response answer;
	KF_TRY(discover_versions_get_response(&r, &answer));
	if (!answer.n)
		return kf_fail(VERSION, "the server speaks no version of ours");
	c->version = answer.version[0];
	return KF_OK;
}

/* ---- requests and answers ---- */

bool conn_has_room(const struct conn *c)
{
	return c->is_by_id ? c->n_free > 0 : c->in_flight == 0;
}

static struct slice id_bytes(const struct conn *c, size_t slot, uint8_t space[4])
{
	if (!c->is_by_id)
		return (struct slice){ 0 };
	for (int i = 0; i < 4; i++)
		space[i] = (uint8_t)(c->id[slot] >> (24 - 8 * i));
	return (struct slice){ space, 4 };
}

/* A longer answer would end the connection, for all who use it; so the server refuses that one request.
 * Signatures are short, and many. */
static int32_t most_of(const struct conn *c, uint32_t operation)
{
	bool is_short = operation == KMIP_OPERATION_SIGN ||
			operation == KMIP_OPERATION_DECRYPT ||
			operation == KMIP_OPERATION_DISCOVER_VERSIONS;
	return is_short ? 0 : (int32_t)c->setup->message_max;
}

/* All of it or nothing. */
static kf_err encode(struct conn *c, const struct conn_request *q, struct slice id)
{
	size_t before = c->out.n;
	struct kmip_request_header h = { .version = c->version,
		.maximum_response_size = most_of(c, q->operation),
		.batch_count = 1 };
	struct ttlv_writer w = ttlv_write(&c->out, c->version);
	w.allows_vendor = c->is_by_id;
	kmip_put_request_header(&w, &h);
	kmip_put_request_item_begin(&w, q->operation, id);
	ttlv_put_items(&w, q->payload);
	kmip_put_request_item_end(&w, c->is_by_id ? &q->extension : NULL);
	kf_err err = kmip_put_request_end(&w);
	if (!kf_ok(err)) {
		c->out.n = before;
		c->out.err = KF_OK;
	}
	return err;
}

kf_err conn_put(struct conn *c, const struct conn_request *q, void *waiter)
{
	if (!conn_has_room(c))
		return kf_fail(BUSY, "too many requests in flight");
	size_t slot = slot_take(c, waiter);
	uint8_t space[4];
	kf_err err = encode(c, q, id_bytes(c, slot, space));
	if (!kf_ok(err))
		slot_give(c, slot);
	return err;
}

/* Its answer says nothing: it takes no slot, and has none to give back that calls may wait for. */
static kf_err put_note(struct conn *c, const struct kmip_extension *extension)
{
	const struct conn_request q = { .operation = KMIP_OPERATION_DISCOVER_VERSIONS,
		.extension = *extension };
	uint32_t n = ++c->notes;
	const uint8_t id[NOTE_ID] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
	return encode(c, &q, (struct slice){ id, sizeof(id) });
}

kf_err conn_tell_time(struct conn *c, int32_t now_ms)
{
	if (!c->is_by_id)
		return kf_fail(UNSUPPORTED, "this server does not want to know");
	return put_note(
		c, &(struct kmip_extension){ .has_sent_at = true, .sent_at_ms = now_ms });
}

kf_err conn_abandon(struct conn *c, const void *waiter)
{
	size_t slot = 0;
	uint8_t space[4];
	while (slot < CONN_DEPTH && (!c->is_taken[slot] || c->waiter[slot] != waiter))
		slot++;
	if (!c->is_by_id || slot == CONN_DEPTH)
		return kf_fail(UNSUPPORTED, "the request cannot be named");
	return put_note(
		c, &(struct kmip_extension){ .abandoned = id_bytes(c, slot, space) });
}

static kf_err read_message(struct slice message, struct kmip_response_item *ret)
{
	struct ttlv_reader r;
	struct kmip_response_header h;
	ttlv_start(&r, message, 0, true); /* a newer server may say more than we know */
	KF_TRY(kmip_get_response_header(&r, &h));
	if (h.batch_count != 1)
		return kf_fail(MALFORMED, "one answer was expected");
	KF_TRY(kmip_get_response_item(&r, ret));
	return kmip_get_response_end(&r);
}

static kf_err take_message(
	struct conn *c, struct slice message, conn_answer *answer, void *arg)
{
	struct kmip_response_item item;
	size_t slot = 0;
	KF_TRY(read_message(message, &item));
	if (c->is_by_id && item.batch_id.n == NOTE_ID && c->notes) {
		c->answers++;
		return KF_OK;
	}
	if (!(c->is_by_id ? slot_by_id(c, item.batch_id, &slot)
			  : slot_by_order(c, &slot)))
		return kf_fail(MALFORMED, "an answer to nothing that was asked");
	c->answers++;
	void *waiter = slot_give(c, slot);
	if (waiter == &greeting)
		return greeted(c, &item);
	if (waiter)
		answer(arg, waiter, &item);
	return KF_OK;
}

static kf_err take_messages(struct conn *c, conn_answer *answer, void *arg)
{
	struct slice rest = buf_slice(&c->in), message;
	enum frame_result got;
	kf_err err = KF_OK;
	while ((got = frame_next(&rest, c->setup->message_max, &message)) ==
			FRAME_READY &&
		kf_ok(err))
		err = take_message(c, message, answer, arg);
	KF_TRY(err);
	if (got == FRAME_TOO_BIG)
		return kf_fail(TOO_BIG, "the answer is above the limit");
	if (got == FRAME_MALFORMED)
		return kf_fail(MALFORMED, "what came is no KMIP message");
	buf_consume(&c->in, c->in.n - rest.n);
	return KF_OK;
}

/* What arrived before the end of the stream still counts. */
static kf_err receive(struct conn *c, conn_answer *answer, void *arg)
{
	do {
		kf_err end = stream_read(c->stream, &c->in);
		KF_TRY(take_messages(c, answer, arg));
		KF_TRY(end);
	} while (stream_has_more(c->stream));
	if (c->answers && !c->session)
		c->session = tls_take_session(c->stream);
	return KF_OK;
}

static kf_err work(struct conn *c, conn_answer *answer, void *arg)
{
	if (c->state == CONN_CONNECTING) {
		struct pollfd p = { .fd = c->fd, .events = POLLOUT };
		if (poll(&p, 1, 0) == 0)
			return KF_OK;
		KF_TRY(start_tls(c));
	}
	if (c->state == CONN_HANDSHAKE)
		KF_TRY(shake_hands(c));
	if (c->state < CONN_GREETING)
		return KF_OK;
	KF_TRY(stream_write(c->stream, &c->out));
	return receive(c, answer, arg);
}

kf_err conn_work(struct conn *c, conn_answer *answer, void *arg)
{
	if (c->state == CONN_BROKEN)
		return c->err;
	kf_err err = work(c, answer, arg);
	return kf_ok(err) ? KF_OK : broken(c, err);
}

kf_err conn_flush(struct conn *c)
{
	if (c->state < CONN_GREETING)
		return KF_OK;
	if (c->state == CONN_BROKEN)
		return c->err;
	kf_err err = stream_write(c->stream, &c->out);
	return kf_ok(err) ? KF_OK : broken(c, err);
}
