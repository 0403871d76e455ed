/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/resolver.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Memory may be locked: then all of a stack is taken. */
enum { STACK_SIZE = 256 << 10 };

struct resolver {
	_Atomic int owners;
	_Atomic bool is_answered;
	struct settings settings;
	struct fleet_nodes found;
};

void resolver_free(struct resolver *r)
{
	if (!r || atomic_fetch_sub(&r->owners, 1) > 1)
		return;
	settings_free(&r->settings);
	free(r);
}

static void *ask(void *arg)
{
	struct resolver *r = arg;
	if (!kf_ok(fleet_look_up(&r->settings, &r->found)))
		r->found.n = 0;
	atomic_store(&r->is_answered, true);
	resolver_free(r);
	return NULL;
}

static kf_err start_thread(struct resolver *r)
{
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int status = pthread_create(&thread, &attributes, ask, r);
	pthread_attr_destroy(&attributes);
	return status ? kf_fail(NOMEM, "no thread to ask the name service") : KF_OK;
}

kf_err resolver_start(const struct settings *s, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof(*r));
	if (!r)
		return kf_fail(NOMEM, "asking the name service");
	atomic_init(&r->owners, 2);
	kf_err err = settings_clone(s, &r->settings);
	if (kf_ok(err))
		err = start_thread(r);
	if (!kf_ok(err)) {
		atomic_store(&r->owners, 1);
		resolver_free(r);
		return err;
	}
	*ret = r;
	return KF_OK;
}

struct fleet_nodes *resolver_answer(struct resolver *r)
{
	return atomic_load(&r->is_answered) ? &r->found : NULL;
}
