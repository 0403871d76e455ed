/* SPDX-License-Identifier: Apache-2.0 */
#include "keyfleetd/hasher.h"
#include <openssl/evp.h>

kf_err hasher_init(struct hasher *d)
{
	d->md = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	d->context = EVP_MD_CTX_new();
	return d->md && d->context ? KF_OK : kf_fail(NOMEM, "SHA-256");
}

void hasher_clear(struct hasher *d)
{
	EVP_MD_CTX_free(d->context);
	EVP_MD_free(d->md);
	*d = (struct hasher){ 0 };
}

static bool compute(struct hasher *d, struct slice data, uint8_t ret[32])
{
	return EVP_DigestInit_ex2(d->context, d->md, NULL) &&
	       EVP_DigestUpdate(d->context, data.p, data.n) &&
	       EVP_DigestFinal_ex(d->context, ret, NULL);
}

struct slice hasher_job(struct hasher *d, const struct sign_job *job, uint8_t room[32])
{
	struct slice data = { job->data, job->n };
	if (job->outside.p)
		data = job->outside;
	if (job->is_digest)
		return data;
	if (!compute(d, data, room))
		return (struct slice){ 0 };
	return (struct slice){ room, 32 };
}
