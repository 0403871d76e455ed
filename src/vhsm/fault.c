/* SPDX-License-Identifier: Apache-2.0 */
#include "vhsm/fault.h"
#include "base/clock.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

kf_err fault_init(struct fault *f)
{
	pthread_condattr_t attr;
	*f = (struct fault){ .presence.is_in = true, .pace = { .factor = 1 } };
	if (pthread_mutex_init(&f->lock, NULL) || pthread_condattr_init(&attr))
		return kf_fail(NOMEM, "no memory for a lock");
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	int rc = pthread_cond_init(&f->changed, &attr);
	pthread_condattr_destroy(&attr);
	return rc ? kf_fail(NOMEM, "no memory for a condition") : KF_OK;
}

void fault_free(struct fault *f)
{
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
}

static void interrupt(struct fault *f)
{
	f->interruptions++;
	f->forgets = true;
	f->hangs = false;
}

static kf_err tell_word(struct fault *f, const char *word)
{
	if (!strcmp(word, "unplug")) {
		f->presence.pulls += f->presence.is_in;
		f->presence.is_in = false;
		interrupt(f);
	} else if (!strcmp(word, "replug"))
		f->presence.is_in = true;
	else if (!strcmp(word, "reset"))
		interrupt(f);
	else if (!strcmp(word, "hang"))
		f->hangs = true;
	else if (!strcmp(word, "resume"))
		f->hangs = false;
	else if (!strcmp(word, "pin-blocked"))
		f->blocks_pin = true;
	else if (!strcmp(word, "heal")) {
		f->presence.is_in = true;
		f->hangs = false;
		f->apdu_max = f->garbage = f->cuts = f->wrong = f->refusals = 0;
		f->pace.factor = 1;
	} else
		return kf_fail(CONFIG, "no such fault; `vhsm ctl --help` lists them");
	return KF_OK;
}

static bool read_number(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || n >= UINT32_MAX)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static kf_err tell_number(struct fault *f, const char *word, uint32_t n)
{
	uint32_t *const counts[] = { &f->garbage, &f->cuts, &f->wrong, &f->apdu_max };
	static const char *const words[] = { "garbage", "short", "wrong", "apdu-max" };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		*counts[i] = n;
		return KF_OK;
	}
	return kf_fail(
		CONFIG, "no such fault with a number; `vhsm ctl --help` lists them");
}

static kf_err tell_slow(struct fault *f, const char *text)
{
	char *end;
	double factor = strtod(text, &end);
	if (end == text || *end || !(factor >= 0) || factor > 1e6)
		return kf_fail(CONFIG, "slow takes a factor, such as 3");
	f->pace.factor = factor;
	return KF_OK;
}

static kf_err tell_refusal(struct fault *f, const char *status, const char *times)
{
	char *end;
	unsigned long word = strtoul(status, &end, 16);
	uint32_t n;
	if (end != status + 4 || *end || !read_number(times, &n))
		return kf_fail(CONFIG, "sw takes a status word in hex and how often");
	f->refusal = (sw_t)word;
	f->refusals = n;
	return KF_OK;
}

static kf_err tell_uses(struct fault *f, const char *reference, const char *left)
{
	uint32_t key, n;
	if (!read_number(reference, &key) || key >= CARD_KEYS || !read_number(left, &n))
		return kf_fail(CONFIG, "uses takes a key reference and a number");
	f->has_uses[key] = true;
	f->uses[key] = n;
	return KF_OK;
}

static kf_err tell(struct fault *f, const char *line)
{
	char word[16], a[128], b[128], more[2];
	uint32_t n;
	int words = sscanf(line, "%15s %127s %127s %1s", word, a, b, more);
	if (words == 1)
		return tell_word(f, word);
	if (words == 2 && !strcmp(word, "slow"))
		return tell_slow(f, a);
	if (words == 2 && !strcmp(word, "time"))
		return pace_set(&f->pace, a);
	if (words == 2 && read_number(a, &n))
		return tell_number(f, word, n);
	if (words == 3 && !strcmp(word, "sw"))
		return tell_refusal(f, a, b);
	if (words == 3 && !strcmp(word, "uses"))
		return tell_uses(f, a, b);
	return kf_fail(CONFIG, "no such fault; `vhsm ctl --help` lists them");
}

kf_err fault_tell(struct fault *f, const char *line)
{
	pthread_mutex_lock(&f->lock);
	kf_err e = tell(f, line);
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return e;
}

/* What a fault does to the card itself, done by the thread that has the card. */
static void afflict(struct fault *f, struct card *c)
{
	if (f->forgets)
		card_reset(c);
	if (f->blocks_pin) {
		c->user.tries = 0;
		c->is_changed = true;
		card_reset(c);
	}
	for (size_t i = 0; i < CARD_KEYS; i++)
		if (f->has_uses[i] && c->keys[i]) {
			c->keys[i]->uses = f->uses[i];
			c->is_changed = true;
		}
	f->forgets = f->blocks_pin = false;
	memset(f->has_uses, 0, sizeof(f->has_uses));
}

static bool happens(struct fault *f, uint32_t *count)
{
	if (*count == 0)
		return false;
	f->n++;
	--*count;
	return true;
}

static kf_err begin(struct fault *f, struct card *c, uint64_t *interruptions)
{
	*interruptions = f->interruptions;
	if (!f->presence.is_in)
		return kf_fail(CLOSED, "the card is not in its reader");
	f->n += f->hangs;
	while (f->hangs && f->interruptions == *interruptions)
		pthread_cond_wait(&f->changed, &f->lock);
	if (f->interruptions != *interruptions)
		return kf_fail(CLOSED, "the card was pulled or reset");
	afflict(f, c);
	return KF_OK;
}

static sw_t refusal_of(struct fault *f, size_t command_size)
{
	if (f->apdu_max && command_size > f->apdu_max)
		return SW_LENGTH;
	return happens(f, &f->refusals) ? f->refusal : 0;
}

kf_err fault_begin(struct fault *f, struct card *c, size_t command_size,
	uint64_t *interruptions, sw_t *refusal)
{
	pthread_mutex_lock(&f->lock);
	kf_err e = begin(f, c, interruptions);
	if (kf_ok(e))
		*refusal = refusal_of(f, command_size);
	pthread_mutex_unlock(&f->lock);
	return e;
}

static void spoil(struct fault *f, bool is_private_operation, struct buf *answer)
{
	if (happens(f, &f->garbage))
		(void)RAND_bytes(answer->p, (int)answer->n);
	if (happens(f, &f->cuts))
		answer->n /= 2;
	if (is_private_operation && answer->n > 2 && happens(f, &f->wrong))
		answer->p[(answer->n - 2) / 2] ^= 1;
}

static struct timespec at(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000) };
}

static kf_err end(struct fault *f, enum pace_id pace, uint64_t began_ns,
	uint64_t interruptions, struct buf *answer)
{
	uint64_t until = began_ns + pace_ns(&f->pace, pace);
	struct timespec deadline = at(until);
	while (f->interruptions == interruptions && clock_monotonic_ns() < until)
		pthread_cond_timedwait(&f->changed, &f->lock, &deadline);
	if (f->interruptions != interruptions)
		return kf_fail(CLOSED, "the card was pulled or reset");
	spoil(f, pace <= PACE_AES, answer);
	return KF_OK;
}

kf_err fault_end(struct fault *f, enum pace_id pace, uint64_t began_ns,
	uint64_t interruptions, struct buf *answer)
{
	pthread_mutex_lock(&f->lock);
	kf_err e = end(f, pace, began_ns, interruptions, answer);
	pthread_mutex_unlock(&f->lock);
	return e;
}

static bool is_same(struct vhsm_presence a, struct vhsm_presence b)
{
	return a.is_in == b.is_in && a.pulls == b.pulls;
}

struct vhsm_presence fault_wait_presence(
	struct fault *f, struct vhsm_presence was, int timeout_ms)
{
	struct timespec deadline =
		at(clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000);
	pthread_mutex_lock(&f->lock);
	while (timeout_ms > 0 && is_same(f->presence, was))
		if (pthread_cond_timedwait(&f->changed, &f->lock, &deadline))
			break;
	struct vhsm_presence is = f->presence;
	pthread_mutex_unlock(&f->lock);
	return is;
}
