/* SPDX-License-Identifier: Apache-2.0
 *
 * bench: a token behind tests/tools/bad_pkcs11.c, logged in.
 */
#pragma once
#include "bad.h"

/* Source, token and what the test wants of a module that is as it should be, yet. */
struct bench {
	struct token_source *source;
	struct token *token;
	struct token_key_list list;
	struct token_key_facts key;
};

static void bench_close(struct bench *b)
{
	token_key_list_free(&b->list);
	DRIVER->close(b->token);
	bad_close_source(&b->source);
}
#define autobench CLEANUP(bench_close) struct bench

static kf_err bench_open(struct bench *b)
{
	bad_load();
	faults->reset();
	KF_TRY(bad_source(&b->source));
	KF_TRY(bad_open(b->source, &b->token));
	return bad_login(b->token, "1234");
}
