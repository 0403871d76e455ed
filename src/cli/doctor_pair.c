/* SPDX-License-Identifier: Apache-2.0
 *
 * Do the certificates and key references of a web server exist, belong together, and hold today?
 */
#include "base/conf.h"
#include "cli/doctor.h"
#include "cli/doctor_cert.h"
#include "client/keyref.h"
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAIR_FILE_MAX = 1 << 20 };

struct pair_check {
	struct doctor *d;
	struct doctor_web *w;
	const struct site_pair *pair;
	X509 *certificate; /* NULL: cannot be read */
	size_t local_keys;
};

static struct doctor_place at_certificate(const struct pair_check *c)
{
	return doctor_at(c->pair->certificate.file, c->pair->certificate.line);
}

static struct doctor_place at_key(const struct pair_check *c)
{
	const struct site_value *v =
		c->pair->key.file ? &c->pair->key : &c->pair->certificate;
	return doctor_at(v->file, v->line);
}

/* ---- the certificate ---- */

static void check_dates(struct pair_check *c)
{
	const char *path = c->pair->certificate.text;
	const struct doctor_place at = at_certificate(c);
	const struct doctor_dates dates = doctor_dates(c->certificate);
	switch (dates.validity) {
	case CERT_EXPIRED:
	case CERT_FUTURE:
		doctor_tell(
			c->d, PAIR_VALID, at.text, path, dates.word, dates.date, "NAME");
		break;
	case CERT_SOON:
		doctor_tell(c->d, PAIR_EXPIRES, at.text, path, dates.date, "NAME");
		break;
	case CERT_FINE: doctor_fine(c->d, CHECK_PAIR_VALID, at.text); break;
	}
}

static void check_certificate(struct pair_check *c)
{
	const char *why = NULL, *path = c->pair->certificate.text;
	c->certificate = doctor_cert_open(path, &why);
	if (!c->certificate)
		doctor_tell(c->d, CERTIFICATE_READ, at_certificate(c).text, path, why);
	else
		check_dates(c);
}

/* ---- the reference ---- */

static bool belongs(X509 *certificate, struct slice spki)
{
	const unsigned char *p = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	bool is_same = key && EVP_PKEY_eq(key, X509_get0_pubkey(certificate)) == 1;
	EVP_PKEY_free(key);
	return is_same;
}

static void check_match(struct pair_check *c, const struct keyref *ref)
{
	const struct doctor_place at = at_key(c);
	if (!c->certificate)
		return;
	if (belongs(c->certificate, ref->spki))
		doctor_fine(c->d, CHECK_PAIR_MATCHES, at.text);
	else
		doctor_tell(c->d, PAIR_MATCHES, at.text, c->pair->key.text,
			c->pair->certificate.text);
}

static void remember(struct pair_check *c, const struct keyref *ref)
{
	struct doctor *d = c->d;
	struct doctor_ref *grown = reallocarray(d->refs, d->n_refs + 1, sizeof(*grown));
	if (!grown)
		abort();
	d->refs = grown;
	struct doctor_ref *r = &d->refs[d->n_refs];
	*r = (struct doctor_ref){ .web = c->w, .pair = c->pair };
	if (kf_ok(slice_to_text(ref->id, r->id, sizeof(r->id))))
		d->n_refs++;
}

static void check_reference(struct pair_check *c, struct slice text)
{
	autobuf der = buf_new(KEYREF_DER_MAX);
	struct keyref ref;
	const char *path = c->pair->key.text;
	const struct doctor_place at = at_key(c);
	kf_err e = keyref_get_pem(text, &der, &ref);
	if (kf_is(e, KF_E_VERSION) || kf_is(e, KF_E_FEATURE))
		doctor_tell(c->d, REFERENCE_VERSION, at.text, path, e.site->text);
	else if (!kf_ok(e))
		doctor_tell(c->d, REFERENCE_READ, at.text, path, e.site->text);
	else {
		remember(c, &ref);
		check_match(c, &ref);
	}
}

static void check_local_key(struct pair_check *c)
{
	char mode[8];
	const char *path = c->pair->key.text;
	c->local_keys++;
	if (doctor_is_open(path, true, mode))
		doctor_tell(c->d, PRIVATE_KEY_MODE, at_key(c).text, path, mode,
			site_kind_name(c->w->site.kind));
}

/* ---- all pairs ---- */

static bool holds(struct slice text, const char *what)
{
	return text.n && memmem(text.p, text.n, what, strlen(what));
}

static void check_key(struct pair_check *c)
{
	autobuf text = buf_new(PAIR_FILE_MAX), why = buf_new(65536);
	kf_err e = conf_read_file(c->pair->key.text, &text, &why);
	const struct doctor_place at = at_key(c);
	if (kf_is(e, KF_E_DENIED))
		doctor_unseen(c->d, CHECK_REFERENCE_READ, at.text,
			"this user may not read the key file");
	else if (!kf_ok(e))
		doctor_tell(
			c->d, REFERENCE_READ, at.text, c->pair->key.text, e.site->text);
	else if (holds(buf_slice(&text), "PRIVATE KEY-----"))
		check_local_key(c);
	else {
		c->w->references++;
		check_reference(c, buf_slice(&text));
	}
}

/* In an engine, a variable or the text of the configuration itself, which may be a key: never shown. */
static bool is_elsewhere(const struct site_pair *p)
{
	return p->why_not && access(p->key.text, F_OK) != 0;
}

/* Returns how many keys it found on this host. */
static size_t check_pair(
	struct doctor *d, struct doctor_web *w, const struct site_pair *p)
{
	struct pair_check c = { .d = d, .w = w, .pair = p };
	if (!p->key.text || !p->certificate.text || is_elsewhere(p)) {
		if (p->why_not)
			doctor_unseen(d, CHECK_REFERENCE_READ, at_certificate(&c).text,
				p->why_not);
		return 0;
	}
	check_certificate(&c);
	check_key(&c);
	X509_free(c.certificate);
	return c.local_keys;
}

void doctor_pairs(struct doctor *d, struct doctor_web *w)
{
	size_t local_keys = 0;
	for (size_t i = 0; i < w->site.n_pairs; i++)
		local_keys += check_pair(d, w, &w->site.pairs[i]);
	const struct doctor_number n = doctor_number((int64_t)local_keys);
	if (!w->site.n_pairs)
		doctor_unseen(d, CHECK_KEY_REFERENCES, w->site.file,
			"no certificate is configured, or the module for TLS is not "
			"loaded");
	if (local_keys && !w->references)
		doctor_tell(d, KEY_REFERENCES, w->site.file, n.text,
			site_kind_name(w->site.kind));
}
