/* SPDX-License-Identifier: Apache-2.0
 *
 * bad_inside: what the two files of bad_pkcs11 share.  All of it is guarded by bad.lock.
 */
#pragma once
#include "bad_pkcs11.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	OBJECTS_MAX = 64,
	ATTRIBUTES_MAX = 20,
	VALUE_MAX = 1200,
	SESSIONS_MAX = 16,
	FAULTS_MAX = 64
};

struct attribute {
	CK_ATTRIBUTE_TYPE type;
	size_t n;
	uint8_t value[VALUE_MAX];
};
struct object {
	bool is_used;
	EVP_PKEY *pkey; /* of a private one */
	size_t secret_n;
	uint8_t secret[32]; /* of one of AES */
	size_t n;
	struct attribute attribute[ATTRIBUTES_MAX];
};
struct session {
	bool is_open, may_write;
	CK_MECHANISM_TYPE mechanism;
	uint8_t iv[16];
	struct object *key;
	size_t found_n, found_at;
	CK_OBJECT_HANDLE found[OBJECTS_MAX];
};
struct fault {
	char function[24];
	unsigned calls;
	bool answers, lies, hangs;
	CK_RV rv;
	CK_ULONG length;
};

struct bad_state {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool is_initialised, is_present, has_event, is_logged_in;
	int has_locks;
	unsigned tries;
	atomic_uint inside, overlaps;
	CK_FLAGS flags;
	CK_ULONG initialise_flags;
	size_t faults_n;
	struct fault fault[FAULTS_MAX];
	struct session session[SESSIONS_MAX];
	struct object object[OBJECTS_MAX];
};
extern struct bad_state bad;

void bad_reset(void);
/* Takes the lock and counts; true: the function answers *rv at once.  What it does is done under the lock,
 * and ends in bad_leave(). */
bool bad_enter(const char *function, CK_RV *rv);
CK_RV bad_leave(CK_RV rv);
struct fault *bad_fault(const char *function);
/* The truth, unless the function lies. */
CK_ULONG bad_told(const char *function, CK_ULONG truth);

struct object *bad_new_object(CK_OBJECT_HANDLE *handle);
struct object *bad_object(CK_OBJECT_HANDLE h); /* NULL if there is none */
struct attribute *bad_attribute(struct object *o, CK_ATTRIBUTE_TYPE type);
void bad_put_number(struct object *o, CK_ATTRIBUTE_TYPE type, CK_ULONG v);
void bad_put_template(struct object *o, const CK_ATTRIBUTE *t, CK_ULONG n);
void bad_put_public(struct object *o, EVP_PKEY *pkey);
