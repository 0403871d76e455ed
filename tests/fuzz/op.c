/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation up to the point where others would go on (engine, worker, store), on real objects.
 *
 *     byte 0: row of op.def    byte 1: protocol version    byte 2: the object    rest: payload
 *
 * Payloads without Unique Identifier mean the object that the ID Placeholder names.
 */
#include "op/op.h"
#include "base/epoch.h"
#include "crypt/keygen.h"
#include "crypt/keyring.h"
#include "kmip/message.h"
#include "op/cryptoki.h"
#include "op/later.h"
#include "op/material.h"
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	OBJECTS = 3,
	PATIENCE_MS = 600000 /* a machine that stood still is no failure */
};

static struct world {
	struct op_server server;
	struct op_call call;
	struct who who;
	char id[OBJECTS][OBJECT_ID_SIZE];
} w;

static void must(kf_err err)
{
	if (!kf_ok(err))
		abort();
}

static void wake(struct change *c) { sem_post(c->arg); }

static void finish(enum op_next next)
{
	sem_t done;

	if (next == OP_WORK)
		next = op_worked(&w.call);
	if (next != OP_COMMIT)
		abort();
	sem_init(&done, 0, 0);
	w.call.change.done = wake;
	w.call.change.arg = &done;
	must(store_submit(w.server.store, &w.call.change));
	while (sem_wait(&done))
		;
	if (op_committed(&w.call) != OP_ANSWER)
		abort();
	sem_destroy(&done);
}

static void begin(const struct op *op, uint16_t version, struct slice payload)
{
	w.call.op = op;
	w.call.server = &w.server;
	w.call.version = version;
	w.call.payload = payload;
	w.call.who = &w.who;
	w.call.now_s = 1800000000;
}

static void make_object(size_t i, const char *text)
{
	autobuf payload = buf_new(4096);
	must(ttlv_parse(slice_of(text), &payload));
	begin(op_find(i ? KMIP_OPERATION_CREATE_KEY_PAIR : KMIP_OPERATION_CREATE),
		KMIP_2_1, buf_slice(&payload));
	must(op_decode(&w.call));
	must(op_authorise(&w.call));
	finish(op_start(&w.call));
	memcpy(w.id[i], w.call.object_id, OBJECT_ID_SIZE);
	op_clear(&w.call);
}

static const char aes[] = "Object Type = Enumeration Symmetric Key\n"
			  "Attributes\n"
			  "\tCryptographic Algorithm = Enumeration AES\n"
			  "\tCryptographic Length = Integer 128\n"
			  "\tCryptographic Usage Mask = Integer Encrypt | Decrypt\n"
			  "\tName\n"
			  "\t\tName Value = Text \"aes\"\n"
			  "\t\tName Type = Enumeration Uninterpreted Text String\n";

static const char pair[] = "Common Attributes\n"
			   "\tCryptographic Algorithm = Enumeration ECDSA\n"
			   "\tCryptographic Length = Integer 256\n"
			   "\tActivation Date = Date 2020-01-01T00:00:00Z\n";

/* The index keeps part of its hash in its pointers: what looks for leaks cannot follow them, so nothing stays. */
static void tear_down(void)
{
	op_free(&w.call);
	op_later_free(w.server.later);
	op_cryptoki_free(w.server.cryptoki);
	store_close(w.server.store);
}

static void set_up(void)
{
	const char *key =
		"k = 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	static struct keyring *keyring;
	static struct epoch *epoch;
	unsigned line = 0;
	struct store *store = NULL;

	must(epoch_new(&epoch));
	must(keyring_parse(slice_of(key), &line, &keyring));
	must(store_open(&(struct store_conf){ .location = "memory:",
				.keyring = keyring,
				.epoch = epoch,
				.load_key = material_load_key,
				.deadline_ms = PATIENCE_MS },
		&store));
	w.server = (struct op_server){ .store = store,
		.catalog = store_catalog(store),
		.message_max = 1 << 20,
		.version = "0" };
	must(op_later_new(&(struct op_later_conf){ 0 }, &w.server.later));
	must(op_cryptoki_new(&w.server.cryptoki));
	w.who = (struct who){ .name = "root", .is_admin = true };
	make_object(0, aes);
	make_object(1, pair);
	make_object(2, pair);
	must(atexit(tear_down) == 0 ? KF_OK : kf_fail(NOMEM, "test"));
}

static size_t rows(void)
{
	size_t n = 0;
	while (op_each(n))
		n++;
	return n;
}

static void answer(void)
{
	autobuf out = buf_new(1 << 16);
	struct ttlv_writer a = ttlv_write(&out, w.call.version);

	a.allows_vendor = true;
	(void)op_answer(&w.call, &a).code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t versions[] = { KMIP_1_0, KMIP_1_1, KMIP_1_2, KMIP_1_3,
		KMIP_1_4, KMIP_2_0, KMIP_2_1 };

	if (!w.server.store)
		set_up();
	if (size < 3)
		return 0;
	begin(op_each(data[0] % rows()), versions[data[1] % 7],
		(struct slice){ data + 3, size - 3 });
	memcpy(w.call.placeholder, w.id[data[2] % OBJECTS], OBJECT_ID_SIZE);
	if (kf_ok(op_decode(&w.call)) && kf_ok(op_authorise(&w.call)) &&
		op_start(&w.call) == OP_ANSWER)
		answer();
	op_clear(&w.call);
	return 0;
}
