/* SPDX-License-Identifier: Apache-2.0
 *
 * bad_pkcs11: the module's side.
 */
#include "bad_inside.h"
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

static const CK_SLOT_ID the_slot = 7;
static const char the_pin[] = "1234";

#define ENTER(name)                                                                      \
	do {                                                                             \
		CK_RV rv_;                                                               \
		if (bad_enter(name, &rv_))                                               \
			return bad_leave(rv_);                                           \
	} while (0)

static CK_RV initialize(void *args)
{
	ENTER("Initialize");
	bad.initialise_flags = args ? ((CK_C_INITIALIZE_ARGS *)args)->flags : 0;
	if (bad.is_initialised)
		return bad_leave(CKR_CRYPTOKI_ALREADY_INITIALIZED);
	if (args && !bad.has_locks)
		return bad_leave(CKR_CANT_LOCK);
	bad.is_initialised = true;
	return bad_leave(CKR_OK);
}

static CK_RV finalize(void *reserved)
{
	(void)reserved;
	ENTER("Finalize");
	bad.is_initialised = false;
	return bad_leave(CKR_OK);
}

static CK_RV get_slot_list(unsigned char present, CK_SLOT_ID *list, CK_ULONG *n)
{
	ENTER("GetSlotList");
	if (!bad.is_initialised)
		return bad_leave(CKR_CRYPTOKI_NOT_INITIALIZED);
	CK_ULONG truth = bad.is_present || !present;
	if (list && truth)
		list[0] = the_slot;
	*n = bad_told("GetSlotList", truth);
	return bad_leave(CKR_OK);
}

static CK_RV get_slot_info(CK_SLOT_ID id, CK_SLOT_INFO *info)
{
	ENTER("GetSlotInfo");
	(void)id;
	memset(info->slotDescription, 0xff, sizeof(info->slotDescription));
	return bad_leave(CKR_OK);
}

static CK_FLAGS pin_flags(void)
{
	return bad.tries == 0   ? CKF_USER_PIN_LOCKED
	       : bad.tries == 1 ? CKF_USER_PIN_FINAL_TRY
	       : bad.tries == 2 ? CKF_USER_PIN_COUNT_LOW
				: 0;
}

static CK_RV get_token_info(CK_SLOT_ID id, CK_TOKEN_INFO *info)
{
	ENTER("GetTokenInfo");
	if (id != the_slot || !bad.is_present)
		return bad_leave(CKR_TOKEN_NOT_PRESENT);
	memset(info, 'x', sizeof(*info)); /* no end of a text anywhere */
	memcpy(info->label, "bad\n\xff\xc3 label\x1b[2J                 ", 32);
	info->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED |
		      CKF_USER_PIN_INITIALIZED | pin_flags() | bad.flags;
	return bad_leave(CKR_OK);
}

static CK_RV wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved)
{
	(void)flags, (void)reserved;
	ENTER("WaitForSlotEvent");
	if (!bad.has_event)
		return bad_leave(CKR_NO_EVENT);
	bad.has_event = false;
	*slot = the_slot;
	return bad_leave(CKR_OK);
}

static CK_RV get_mechanism_info(
	CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	ENTER("GetMechanismInfo");
	(void)id;
	if (type == CKM_RSA_PKCS_PSS || type == CKM_EDDSA || type == CKM_AES_ECB)
		return bad_leave(CKR_MECHANISM_INVALID);
	info->flags = ~0UL;
	return bad_leave(CKR_OK);
}

static CK_RV open_session(CK_SLOT_ID id, CK_FLAGS flags, void *application,
	CK_NOTIFY notify, CK_SESSION_HANDLE *ret)
{
	(void)application, (void)notify;
	ENTER("OpenSession");
	if (id != the_slot || !bad.is_present)
		return bad_leave(CKR_TOKEN_NOT_PRESENT);
	for (CK_SESSION_HANDLE i = 0; i < SESSIONS_MAX; i++) {
		if (bad.session[i].is_open)
			continue;
		bad.session[i] = (struct session){ .is_open = true,
			.may_write = flags & CKF_RW_SESSION };
		*ret = bad_told("OpenSession", i + 1);
		return bad_leave(CKR_OK);
	}
	return bad_leave(CKR_SESSION_COUNT);
}

static struct session *session_of(CK_SESSION_HANDLE h)
{
	return h >= 1 && h <= SESSIONS_MAX && bad.session[h - 1].is_open
		       ? &bad.session[h - 1]
		       : NULL;
}

static bool has_sessions(void)
{
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (bad.session[i].is_open)
			return true;
	return false;
}

static CK_RV close_session(CK_SESSION_HANDLE h)
{
	ENTER("CloseSession");
	struct session *s = session_of(h);
	if (!s)
		return bad_leave(CKR_SESSION_HANDLE_INVALID);
	s->is_open = false;
	bad.is_logged_in = bad.is_logged_in && has_sessions();
	return bad_leave(CKR_OK);
}

#define SESSION(name, h)                                                                 \
	ENTER(name);                                                                     \
	struct session *s = session_of(h);                                               \
	if (!s)                                                                          \
	return bad_leave(CKR_SESSION_HANDLE_INVALID)

static CK_RV get_session_info(CK_SESSION_HANDLE h, CK_SESSION_INFO *info)
{
	SESSION("GetSessionInfo", h);
	info->state = s->may_write;
	return bad_leave(CKR_OK);
}

static CK_RV login(CK_SESSION_HANDLE h, CK_USER_TYPE user, unsigned char *pin, CK_ULONG n)
{
	SESSION("Login", h);
	(void)s;
	if (bad.is_logged_in && user == CKU_USER)
		return bad_leave(CKR_USER_ALREADY_LOGGED_IN);
	if (bad.tries == 0)
		return bad_leave(CKR_PIN_LOCKED);
	if (n != sizeof(the_pin) - 1 || memcmp(pin, the_pin, n) != 0) {
		bad.tries--;
		return bad_leave(CKR_PIN_INCORRECT);
	}
	memset(pin, 0xee,
		n); /* a caller's PIN is not ours to keep; some think it is theirs to wipe */
	bad.tries = 3;
	bad.is_logged_in = true;
	return bad_leave(CKR_OK);
}

static CK_RV logout(CK_SESSION_HANDLE h)
{
	SESSION("Logout", h);
	(void)s;
	bad.is_logged_in = false;
	return bad_leave(CKR_OK);
}

static bool matches(struct object *o, const CK_ATTRIBUTE *t, CK_ULONG n)
{
	for (CK_ULONG i = 0; i < n; i++) {
		struct attribute *a = bad_attribute(o, t[i].type);
		if (!a || a->n != t[i].ulValueLen ||
			memcmp(a->value, t[i].pValue, a->n) != 0)
			return false;
	}
	return o->is_used;
}

static CK_RV find_objects_init(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
	SESSION("FindObjectsInit", h);
	s->found_n = s->found_at = 0;
	for (CK_OBJECT_HANDLE i = 0; i < OBJECTS_MAX; i++)
		if (matches(&bad.object[i], t, n))
			s->found[s->found_n++] = i + 1;
	return bad_leave(CKR_OK);
}

static CK_RV find_objects(
	CK_SESSION_HANDLE h, CK_OBJECT_HANDLE *ret, CK_ULONG max, CK_ULONG *n)
{
	SESSION("FindObjects", h);
	CK_ULONG count = 0;
	while (count < max && s->found_at < s->found_n)
		ret[count++] = s->found[s->found_at++];
	*n = bad_told("FindObjects", count);
	for (CK_ULONG i = count; i < *n && i < max; i++)
		ret[i] = 1; /* the same thing over and over */
	return bad_leave(CKR_OK);
}

static CK_RV find_objects_final(CK_SESSION_HANDLE h)
{
	SESSION("FindObjectsFinal", h);
	s->found_n = 0;
	return bad_leave(CKR_OK);
}

static CK_RV get_attribute_value(
	CK_SESSION_HANDLE h, CK_OBJECT_HANDLE oh, CK_ATTRIBUTE *t, CK_ULONG n)
{
	SESSION("GetAttributeValue", h);
	(void)s, (void)n;
	struct object *o = bad_object(oh);
	if (!o)
		return bad_leave(CKR_OBJECT_HANDLE_INVALID);
	struct attribute *a = bad_attribute(o, t->type);
	CK_ULONG room = t->ulValueLen;
	if (!a || !a->n) {
		t->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return bad_leave(CKR_ATTRIBUTE_TYPE_INVALID);
	}
	t->ulValueLen = bad_told("GetAttributeValue", a->n);
	if (!t->pValue)
		return bad_leave(CKR_OK);
	if (a->n > room && !bad_fault("GetAttributeValue")->lies)
		return bad_leave(CKR_BUFFER_TOO_SMALL);
	memcpy(t->pValue, a->value, a->n < room ? a->n : room);
	return bad_leave(CKR_OK);
}

static CK_RV set_attribute_value(
	CK_SESSION_HANDLE h, CK_OBJECT_HANDLE oh, CK_ATTRIBUTE *t, CK_ULONG n)
{
	SESSION("SetAttributeValue", h);
	struct object *o = bad_object(oh);
	if (!o || !s->may_write)
		return bad_leave(o ? CKR_SESSION_READ_ONLY : CKR_OBJECT_HANDLE_INVALID);
	bad_put_template(o, t, n);
	return bad_leave(CKR_OK);
}

static CK_RV create_object(
	CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
	SESSION("CreateObject", h);
	if (!s->may_write)
		return bad_leave(CKR_SESSION_READ_ONLY);
	bad_put_template(bad_new_object(ret), t, n);
	*ret = bad_told("CreateObject", *ret);
	return bad_leave(CKR_OK);
}

static CK_RV destroy_object(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE oh)
{
	SESSION("DestroyObject", h);
	struct object *o = bad_object(oh);
	if (!o || !s->may_write)
		return bad_leave(o ? CKR_SESSION_READ_ONLY : CKR_OBJECT_HANDLE_INVALID);
	EVP_PKEY_free(o->pkey);
	*o = (struct object){ 0 };
	return bad_leave(CKR_OK);
}

static CK_RV generate_key_pair(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_ATTRIBUTE *public,
	CK_ULONG public_n, CK_ATTRIBUTE *private, CK_ULONG private_n,
	CK_OBJECT_HANDLE *ret_public, CK_OBJECT_HANDLE *ret_private)
{
	SESSION("GenerateKeyPair", h);
	(void)m;
	if (!s->may_write)
		return bad_leave(CKR_SESSION_READ_ONLY);
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	struct object *a = bad_new_object(ret_public);
	bad_put_template(a, public, public_n);
	bad_put_number(a, CKA_CLASS, CKO_PUBLIC_KEY);
	bad_put_public(a, pkey);
	struct object *b = bad_new_object(ret_private);
	bad_put_template(b, private, private_n);
	bad_put_number(b, CKA_CLASS, CKO_PRIVATE_KEY);
	bad_put_number(b, CKA_KEY_TYPE, CKK_EC);
	b->pkey = pkey;
	*ret_private = bad_told("GenerateKeyPair", *ret_private);
	return bad_leave(CKR_OK);
}

static CK_RV generate_key(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_ATTRIBUTE *template,
	CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
	SESSION("GenerateKey", h);
	if (m->mechanism != CKM_AES_KEY_GEN)
		return bad_leave(CKR_MECHANISM_INVALID);
	if (!s->may_write)
		return bad_leave(CKR_SESSION_READ_ONLY);
	struct object *o = bad_new_object(ret);
	bad_put_template(o, template, n);
	CK_ULONG bytes = 0;
	memcpy(&bytes, bad_attribute(o, CKA_VALUE_LEN)->value, sizeof(bytes));
	o->secret_n = bytes;
	RAND_bytes(o->secret, (int)bytes);
	*ret = bad_told("GenerateKey", *ret);
	return bad_leave(CKR_OK);
}

/* It has this function, as the standard wants it, but nothing to do it with. */
static CK_RV derive_key(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE base,
	CK_ATTRIBUTE *template, CK_ULONG n, CK_OBJECT_HANDLE *ret)
{
	SESSION("DeriveKey", h);
	(void)s, (void)m, (void)base, (void)template, (void)n, (void)ret;
	return bad_leave(CKR_FUNCTION_NOT_SUPPORTED);
}

/* A wrapped key is the handle of its object and a byte. */
static CK_RV wrap_key(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE with,
	CK_OBJECT_HANDLE key, unsigned char *out, CK_ULONG *n)
{
	SESSION("WrapKey", h);
	(void)s, (void)m, (void)with;
	memcpy(out, &key, sizeof(key));
	*n = bad_told("WrapKey", sizeof(key) + 1);
	return bad_leave(CKR_OK);
}

static CK_RV unwrap_key(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE with,
	unsigned char *in, CK_ULONG n, CK_ATTRIBUTE *t, CK_ULONG count,
	CK_OBJECT_HANDLE *ret)
{
	SESSION("UnwrapKey", h);
	(void)m, (void)with, (void)n;
	CK_OBJECT_HANDLE key;
	memcpy(&key, in, sizeof(key));
	struct object *from = bad_object(key);
	if (!from || !from->pkey || !s->may_write)
		return bad_leave(CKR_WRAPPED_KEY_INVALID);
	struct object *o = bad_new_object(ret);
	bad_put_template(o, t, count);
	EVP_PKEY_up_ref(from->pkey);
	o->pkey = from->pkey;
	*ret = bad_told("UnwrapKey", *ret);
	return bad_leave(CKR_OK);
}

static CK_RV use_init(
	const char *name, CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	SESSION(name, h);
	struct object *o = bad_object(key);
	if (!bad.is_logged_in)
		return bad_leave(CKR_USER_NOT_LOGGED_IN);
	if (!o || (!o->pkey && !o->secret_n))
		return bad_leave(CKR_KEY_HANDLE_INVALID);
	if (o->secret_n && m->mechanism != CKM_AES_CMAC && m->mechanism != CKM_AES_CBC)
		return bad_leave(CKR_KEY_TYPE_INCONSISTENT);
	if (m->mechanism == CKM_AES_CBC)
		memcpy(s->iv, m->pParameter, sizeof(s->iv));
	s->mechanism = m->mechanism;
	s->key = o;
	return bad_leave(CKR_OK);
}

static CK_RV sign_init(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return use_init("SignInit", h, m, key);
}
static CK_RV decrypt_init(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return use_init("DecryptInit", h, m, key);
}
static CK_RV encrypt_init(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	return use_init("EncryptInit", h, m, key);
}

static size_t raw_ecdsa(const uint8_t *der, size_t n, uint8_t *ret)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
	BN_bn2binpad(ECDSA_SIG_get0_r(sig), ret, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(sig), ret + 32, 32);
	ECDSA_SIG_free(sig);
	return 64;
}

static size_t use_key(struct session *s, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t der[VALUE_MAX];
	size_t size = sizeof(der);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(s->key->pkey, NULL);
	bool is_good =
		EVP_PKEY_is_a(s->key->pkey, s->mechanism == CKM_ECDSA ? "EC" : "RSA") &&
		EVP_PKEY_sign_init(ctx) > 0;
	if (s->mechanism != CKM_ECDSA)
		is_good = is_good &&
			  EVP_PKEY_CTX_set_rsa_padding(ctx, s->mechanism == CKM_RSA_PKCS
								    ? RSA_PKCS1_PADDING
								    : RSA_NO_PADDING) > 0;
	is_good = is_good && EVP_PKEY_sign(ctx, der, &size, in, n) > 0;
	EVP_PKEY_CTX_free(ctx);
	if (!is_good)
		return 0;
	if (s->mechanism == CKM_ECDSA)
		return raw_ecdsa(der, size, out);
	memcpy(out, der, size);
	return size;
}

static size_t use_cmac(const struct session *s, const uint8_t *in, size_t n, uint8_t *out)
{
	static const char *const names[] = { "AES-128-CBC", "AES-192-CBC",
		"AES-256-CBC" };
	size_t size = 0;
	return EVP_Q_mac(NULL, "CMAC", NULL, names[s->key->secret_n / 8 - 2], NULL,
		       s->key->secret, s->key->secret_n, in, n, out, 16, &size)
		       ? size
		       : 0;
}

static size_t use_cbc(
	const struct session *s, bool encrypts, const uint8_t *in, size_t n, uint8_t *out)
{
	const EVP_CIPHER *const ciphers[] = { EVP_aes_128_cbc(), EVP_aes_192_cbc(),
		EVP_aes_256_cbc() };
	int size = 0;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool is_good = n % 16 == 0 &&
		       EVP_CipherInit_ex2(ctx, ciphers[s->key->secret_n / 8 - 2],
			       s->key->secret, s->iv, encrypts, NULL) == 1 &&
		       EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
		       EVP_CipherUpdate(ctx, out, &size, in, (int)n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return is_good ? (size_t)size : 0;
}

static size_t use_secret(
	struct session *s, const char *name, const uint8_t *in, size_t n, uint8_t *out)
{
	return s->mechanism == CKM_AES_CMAC
		       ? use_cmac(s, in, n, out)
		       : use_cbc(s, !strcmp(name, "Encrypt"), in, n, out);
}

static CK_RV use(const char *name, CK_SESSION_HANDLE h, const uint8_t *in, CK_ULONG n,
	uint8_t *out, CK_ULONG *ret)
{
	SESSION(name, h);
	if (!s->key)
		return bad_leave(CKR_OPERATION_NOT_INITIALIZED);
	size_t size = s->key->secret_n ? use_secret(s, name, in, n, out)
				       : use_key(s, in, n, out);
	s->key = NULL;
	*ret = bad_told(name, size);
	return bad_leave(size ? CKR_OK : CKR_DATA_INVALID);
}

static CK_RV sign(CK_SESSION_HANDLE h, unsigned char *in, CK_ULONG n, unsigned char *out,
	CK_ULONG *ret)
{
	return use("Sign", h, in, n, out, ret);
}
static CK_RV decrypt(CK_SESSION_HANDLE h, unsigned char *in, CK_ULONG n,
	unsigned char *out, CK_ULONG *ret)
{
	return use("Decrypt", h, in, n, out, ret);
}
static CK_RV encrypt(CK_SESSION_HANDLE h, unsigned char *in, CK_ULONG n,
	unsigned char *out, CK_ULONG *ret)
{
	return use("Encrypt", h, in, n, out, ret);
}

static CK_RV generate_random(CK_SESSION_HANDLE h, unsigned char *ret, CK_ULONG n)
{
	SESSION("GenerateRandom", h);
	(void)s;
	RAND_bytes(ret, (int)n);
	return bad_leave(CKR_OK);
}

static CK_RV init_token(
	CK_SLOT_ID id, unsigned char *pin, CK_ULONG n, unsigned char *label)
{
	(void)id, (void)pin, (void)n, (void)label;
	ENTER("InitToken");
	return bad_leave(has_sessions() ? CKR_SESSION_EXISTS : CKR_OK);
}
static CK_RV init_pin(CK_SESSION_HANDLE h, unsigned char *pin, CK_ULONG n)
{
	SESSION("InitPIN", h);
	(void)s, (void)pin, (void)n;
	return bad_leave(CKR_OK);
}
static CK_RV set_pin(CK_SESSION_HANDLE h, unsigned char *old, CK_ULONG old_n,
	unsigned char *new, CK_ULONG new_n)
{
	SESSION("SetPIN", h);
	(void)s, (void)old, (void)old_n, (void)new, (void)new_n;
	return bad_leave(CKR_OK);
}

static CK_FUNCTION_LIST functions = {
	.version = { 2, 40 },
	.C_Initialize = initialize,
	.C_Finalize = finalize,
	.C_GetSlotList = get_slot_list,
	.C_GetSlotInfo = get_slot_info,
	.C_GetTokenInfo = get_token_info,
	.C_WaitForSlotEvent = wait_for_slot_event,
	.C_GetMechanismInfo = get_mechanism_info,
	.C_InitToken = init_token,
	.C_InitPIN = init_pin,
	.C_SetPIN = set_pin,
	.C_OpenSession = open_session,
	.C_CloseSession = close_session,
	.C_GetSessionInfo = get_session_info,
	.C_Login = login,
	.C_Logout = logout,
	.C_CreateObject = create_object,
	.C_DestroyObject = destroy_object,
	.C_GetAttributeValue = get_attribute_value,
	.C_SetAttributeValue = set_attribute_value,
	.C_FindObjectsInit = find_objects_init,
	.C_FindObjects = find_objects,
	.C_FindObjectsFinal = find_objects_final,
	.C_EncryptInit = encrypt_init,
	.C_Encrypt = encrypt,
	.C_DecryptInit = decrypt_init,
	.C_Decrypt = decrypt,
	.C_SignInit = sign_init,
	.C_Sign = sign,
	.C_GenerateKey = generate_key,
	.C_GenerateKeyPair = generate_key_pair,
	.C_DeriveKey = derive_key,
	.C_WrapKey = wrap_key,
	.C_UnwrapKey = unwrap_key,
	.C_GenerateRandom = generate_random,
};

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	if (!bad.object[0].is_used)
		bad_reset();
	*list = getenv("BAD_PKCS11_NO_LIST") ? NULL : &functions;
	return CKR_OK;
}
