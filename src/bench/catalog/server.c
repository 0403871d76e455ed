/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/epoch.h"
#include "bench/catalog/bench.h"
#include "crypt/keyring.h"
#include "op/material.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

double seconds_now(void) { return (double)clock_monotonic_ns() / 1e9; }

/* What the thread had of a processor: others have it too. */
double work_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void tell(void *arg, kf_err why, const char *what)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", what, why.site ? why.site->text : "?");
}

static kf_err open_store(struct bench *b)
{
	const struct store_conf conf = {
		.location = b->location,
		.keyring = b->keyring,
		.epoch = b->epoch,
		.load_key = material_load_key,
		.deadline_ms = 60000,
		.event = tell,
	};
	return store_open(&conf, &b->store);
}

static kf_err read_master_key(struct bench *b)
{
	char key[4096] =
		"k = 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
	unsigned line = 0;
	FILE *f = b->master_key ? fopen(b->master_key, "re") : NULL;
	if (b->master_key && !f)
		return kf_fail(CONFIG, "the file with the master key cannot be read");
	if (f) {
		key[fread(key, 1, sizeof(key) - 1, f)] = 0;
		fclose(f);
	}
	return keyring_parse(slice_of(key), &line, &b->keyring);
}

kf_err bench_open(struct bench *b, double *ret_seconds)
{
	const double began = seconds_now();

	KF_TRY(epoch_new(&b->epoch));
	KF_TRY(epoch_register(b->epoch, &b->reader));
	KF_TRY(read_master_key(b));
	KF_TRY(open_store(b));
	b->server = (struct op_server){ .store = b->store,
		.catalog = store_catalog(b->store),
		.message_max = 64 << 20,
		.version = "bench",
		.name = "bench" };
	b->who = (struct who){ .is_admin = true };
	strcpy(b->who.name, "admin");
	b->now_s = clock_wall_s();
	sem_init(&b->is_done, 0, 0);
	*ret_seconds = seconds_now() - began;
	return KF_OK;
}

void bench_close(struct bench *b)
{
	for (size_t i = 0; i < SLOTS; i++) {
		op_free(&b->slot[i].call);
		buf_free(&b->slot[i].question);
		buf_free(&b->slot[i].answer);
	}
	memset(b->slot, 0, sizeof(b->slot));
	store_close(b->store);
	epoch_unregister(b->reader);
	epoch_free(b->epoch);
	keyring_free(b->keyring);
	sem_destroy(&b->is_done);
	b->store = NULL;
}
