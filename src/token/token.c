/* SPDX-License-Identifier: Apache-2.0 */
#include "token/token.h"
#include <string.h>

struct token_key *token_key_get(struct token_key *key)
{
	if (key)
		atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
	return key;
}

void token_key_put(struct token_key *key)
{
	if (key && atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) == 1)
		key->ops->free_key(key);
}

/* Only what was used, for a job is two kilobytes and a signature fifteen microseconds. */
static void wipe(uint8_t *p, size_t n, size_t size)
{
	explicit_bzero(p, n < size ? n : size);
}

void sign_job_clear(struct sign_job *job)
{
	wipe(job->data, job->n, sizeof(job->data));
	wipe(job->sig, job->sig_n, sizeof(job->sig));
	memset(job, 0, offsetof(struct sign_job, data));
}

void decrypt_job_clear(struct decrypt_job *job)
{
	wipe(job->cipher, job->n, sizeof(job->cipher));
	wipe(job->label, job->label_n, sizeof(job->label));
	wipe(job->plain, job->plain_n, sizeof(job->plain));
	memset(job, 0, offsetof(struct decrypt_job, cipher));
}
