/* SPDX-License-Identifier: Apache-2.0
 *
 * bad_state: objects and faults of bad_pkcs11, and the tests' side of it.
 */
#include "../unit/crypt/keys.h"
#include "bad_inside.h"
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

struct bad_state bad = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.moved = PTHREAD_COND_INITIALIZER };

/* ---- faults ---- */

struct fault *bad_fault(const char *function)
{
	for (size_t i = 0; i < bad.faults_n; i++)
		if (!strcmp(bad.fault[i].function, function))
			return &bad.fault[i];
	struct fault *f = &bad.fault[bad.faults_n++];
	*f = (struct fault){ 0 };
	strncpy(f->function, function, sizeof(f->function) - 1);
	return f;
}

/* True: the function answers *rv at once. */
bool bad_enter(const char *function, CK_RV *rv)
{
	if (atomic_fetch_add(&bad.inside, 1) > 0)
		atomic_fetch_add(&bad.overlaps, 1);
	pthread_mutex_lock(&bad.lock);
	struct fault *f = bad_fault(function);
	f->calls++;
	while (f->hangs)
		pthread_cond_wait(&bad.moved, &bad.lock);
	*rv = f->rv;
	return f->answers;
}

CK_RV bad_leave(CK_RV rv)
{
	pthread_mutex_unlock(&bad.lock);
	atomic_fetch_sub(&bad.inside, 1);
	return rv;
}

CK_ULONG bad_told(const char *function, CK_ULONG truth)
{
	const struct fault *f = bad_fault(function);
	return f->lies ? f->length : truth;
}

/* ---- objects ---- */

struct attribute *bad_attribute(struct object *o, CK_ATTRIBUTE_TYPE type)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->attribute[i].type == type)
			return &o->attribute[i];
	return NULL;
}

static void put(struct object *o, CK_ATTRIBUTE_TYPE type, const void *p, size_t n)
{
	struct attribute *a = bad_attribute(o, type);
	if (!a && o->n == ATTRIBUTES_MAX)
		abort();
	if (!a)
		a = &o->attribute[o->n++];
	*a = (struct attribute){ .type = type, .n = n };
	if (n)
		memcpy(a->value, p, n);
}

void bad_put_number(struct object *o, CK_ATTRIBUTE_TYPE type, CK_ULONG v)
{
	put(o, type, &v, sizeof(v));
}

static void put_bool(struct object *o, CK_ATTRIBUTE_TYPE type, bool v)
{
	CK_BBOOL b = v;
	put(o, type, &b, sizeof(b));
}

void bad_put_template(struct object *o, const CK_ATTRIBUTE *t, CK_ULONG n)
{
	for (CK_ULONG i = 0; i < n; i++)
		put(o, t[i].type, t[i].pValue, t[i].ulValueLen);
}

struct object *bad_new_object(CK_OBJECT_HANDLE *handle)
{
	for (CK_OBJECT_HANDLE i = 0; i < OBJECTS_MAX; i++) {
		if (bad.object[i].is_used)
			continue;
		bad.object[i] = (struct object){ .is_used = true };
		*handle = i + 1;
		return &bad.object[i];
	}
	abort();
}

struct object *bad_object(CK_OBJECT_HANDLE h)
{
	return h >= 1 && h <= OBJECTS_MAX && bad.object[h - 1].is_used
		       ? &bad.object[h - 1]
		       : NULL;
}

static void put_bn(
	struct object *o, CK_ATTRIBUTE_TYPE type, EVP_PKEY *pkey, const char *name)
{
	uint8_t bytes[VALUE_MAX];
	BIGNUM *bn = NULL;
	EVP_PKEY_get_bn_param(pkey, name, &bn);
	put(o, type, bytes, (size_t)BN_bn2bin(bn, bytes));
	BN_free(bn);
}

static void put_point(struct object *o, EVP_PKEY *pkey)
{
	static const uint8_t p256[] = { 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7 };
	uint8_t point[2 + 65] = { 4, 65 };
	size_t n = 0;
	put(o, CKA_EC_PARAMS, p256, sizeof(p256));
	EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point + 2, 65, &n);
	put(o, CKA_EC_POINT, point, sizeof(point));
}

void bad_put_public(struct object *o, EVP_PKEY *pkey)
{
	bool is_rsa = EVP_PKEY_is_a(pkey, "RSA");
	bad_put_number(o, CKA_KEY_TYPE, is_rsa ? CKK_RSA : CKK_EC);
	if (is_rsa) {
		put_bn(o, CKA_MODULUS, pkey, OSSL_PKEY_PARAM_RSA_N);
		put_bn(o, CKA_PUBLIC_EXPONENT, pkey, OSSL_PKEY_PARAM_RSA_E);
	} else {
		put_point(o, pkey);
	}
}

static void add_pair(EVP_PKEY *pkey, const char *name)
{
	CK_OBJECT_HANDLE h;
	struct object *private = bad_new_object(&h);
	private->pkey = pkey;
	bad_put_number(private, CKA_CLASS, CKO_PRIVATE_KEY);
	bad_put_number(
		private, CKA_KEY_TYPE, EVP_PKEY_is_a(pkey, "RSA") ? CKK_RSA : CKK_EC);
	put_bool(private, CKA_SIGN, true);
	put_bool(private, CKA_DECRYPT, true);
	put_bool(private, CKA_EXTRACTABLE, true);
	struct object *public = bad_new_object(&h);
	bad_put_number(public, CKA_CLASS, CKO_PUBLIC_KEY);
	bad_put_public(public, pkey);
	for (int i = 0; i < 2; i++) {
		struct object *o = i ? public : private;
		put_bool(o, CKA_TOKEN, true);
		put(o, CKA_ID, name, strlen(name));
		put(o, CKA_LABEL, name, strlen(name));
	}
}

/* Checking the numbers of a key takes long: once is enough. */
static EVP_PKEY *load(const char *pem, EVP_PKEY **kept)
{
	if (!*kept) {
		BIO *in = BIO_new_mem_buf(pem, -1);
		*kept = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
		BIO_free(in);
	}
	EVP_PKEY_up_ref(*kept);
	return *kept;
}

/* ---- the tests' side ---- */

void bad_reset(void)
{
	static EVP_PKEY *rsa, *ec;
	pthread_mutex_lock(&bad.lock);
	for (size_t i = 0; i < OBJECTS_MAX; i++) {
		EVP_PKEY_free(bad.object[i].pkey);
		bad.object[i] = (struct object){ 0 };
	}
	memset(bad.session, 0, sizeof(bad.session));
	bad.faults_n = 0;
	bad.overlaps = 0;
	bad.is_logged_in = bad.has_event = false;
	bad.is_present = true;
	bad.has_locks = 1;
	bad.tries = 3;
	bad.flags = 0;
	add_pair(load(rsa_pem, &rsa), "rsa");
	add_pair(load(ec_pem, &ec), "ec");
	pthread_mutex_unlock(&bad.lock);
}

static void answer(const char *function, CK_RV rv)
{
	pthread_mutex_lock(&bad.lock);
	struct fault *f = bad_fault(function);
	f->answers = rv != CKR_OK;
	f->rv = rv;
	pthread_mutex_unlock(&bad.lock);
}

static void lie(const char *function, CK_ULONG length)
{
	pthread_mutex_lock(&bad.lock);
	struct fault *f = bad_fault(function);
	f->lies = true;
	f->length = length;
	pthread_mutex_unlock(&bad.lock);
}

static void hang(const char *function)
{
	pthread_mutex_lock(&bad.lock);
	bad_fault(function)->hangs = true;
	pthread_mutex_unlock(&bad.lock);
}

static void release(void)
{
	pthread_mutex_lock(&bad.lock);
	for (size_t i = 0; i < bad.faults_n; i++)
		bad.fault[i].hangs = false;
	pthread_cond_broadcast(&bad.moved);
	pthread_mutex_unlock(&bad.lock);
}

static unsigned calls(const char *function)
{
	pthread_mutex_lock(&bad.lock);
	unsigned n = bad_fault(function)->calls;
	pthread_mutex_unlock(&bad.lock);
	return n;
}

static unsigned overlaps(void) { return bad.overlaps; }

static void plug(int is_present)
{
	pthread_mutex_lock(&bad.lock);
	bad.is_present = is_present;
	bad.has_event = true;
	bad.is_logged_in = false;
	memset(bad.session, 0, sizeof(bad.session));
	pthread_mutex_unlock(&bad.lock);
}

static void forget_login(void)
{
	pthread_mutex_lock(&bad.lock);
	bad.is_logged_in = false;
	pthread_mutex_unlock(&bad.lock);
}

static bool is_of(struct object *o, CK_OBJECT_CLASS class)
{
	struct attribute *a = o->is_used ? bad_attribute(o, CKA_CLASS) : NULL;
	return a && !memcmp(a->value, &class, sizeof(class));
}

static void set(CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE type, const void *p, size_t n)
{
	pthread_mutex_lock(&bad.lock);
	for (size_t i = 0; i < OBJECTS_MAX; i++)
		if (is_of(&bad.object[i], class))
			put(&bad.object[i], type, p, n);
	pthread_mutex_unlock(&bad.lock);
}

__attribute__((visibility("default"))) const struct bad_pkcs11 *bad_pkcs11_faults(void)
{
	static const struct bad_pkcs11 faults = { bad_reset, answer, lie, hang, release,
		calls, overlaps, plug, forget_login, &bad.flags, &bad.initialise_flags,
		&bad.has_locks, set };
	return &faults;
}
