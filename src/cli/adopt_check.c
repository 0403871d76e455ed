/* SPDX-License-Identifier: Apache-2.0
 *
 * What was moved is served: handshakes with the server as its clients make them.
 */
#include "cli/adopt.h"

/* Workers of before may still answer: the new ones are among several that are asked. */
enum { ASK_TIMES = 3, ASK_MS = 10000, ASK_ALL_MAX = 64 };

static kf_err ask(
	const struct adopt *a, const struct adopt_item *it, const struct site_value *at)
{
	const struct tls_question q = {
		.at = at,
		.certificate = buf_slice(&it->chain),
		.alg = it->key.alg,
		.timeout_ms = ASK_MS,
	};
	kf_err e = tls_ask(&q);
	if (!kf_ok(e))
		cli_note(a->cli, "%s, %s: %s", at->text, at->name ? at->name : "no name",
			e.site->text);
	return e;
}

static kf_err check_item(const struct adopt *a, const struct adopt_item *it, int times)
{
	for (size_t i = 0; i < it->pair->listens.n; i++) {
		const struct site_value *at = &it->pair->listens.item[i];
		for (int k = 0; k < times && site_introduction(at->opening); k++)
			KF_TRY(ask(a, it, at));
	}
	return KF_OK;
}

kf_err adopt_check(const struct adopt *a)
{
	int times = a->moving > ASK_ALL_MAX ? 1 : ASK_TIMES;
	for (size_t i = 0; i < a->n_items; i++)
		if (!a->items[i].why_not)
			KF_TRY(check_item(a, &a->items[i], times));
	return KF_OK;
}

/* The reference was proved all the same, in this process. */
static void tell_unasked(const struct adopt *a, const struct adopt_item *it)
{
	for (size_t i = 0; i < it->pair->listens.n; i++)
		if (!site_introduction(it->pair->listens.item[i].opening))
			cli_note(a->cli,
				"%s speaks another protocol before TLS: no handshake is "
				"made there",
				it->pair->listens.item[i].text);
}

/* Before anything changes: what cannot be reached now is no proof of anything later. */
static bool answers_now(const struct adopt *a, const struct adopt_item *it)
{
	return kf_ok(check_item(a, it, 1));
}

kf_err adopt_check_before(const struct adopt *a)
{
	for (size_t i = 0; i < a->n_items; i++) {
		if (!a->items[i].why_not)
			tell_unasked(a, &a->items[i]);
		if (a->items[i].why_not || answers_now(a, &a->items[i]))
			continue;
		cli_note(a->cli,
			"%s is not served as its configuration says, even before "
			"anything was changed; "
			"reload the server first, or leave this one out with --only, or "
			"say --no-reload",
			a->items[i].pair->certificate.text);
		return kf_fail(STATE, "the server does not serve its configuration");
	}
	return KF_OK;
}
