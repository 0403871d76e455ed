/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/alg.h"
#include <ctype.h>
#include <string.h>

enum {
	KMIP_AES = 0x03,
	KMIP_RSA = 0x04,
	KMIP_ECDSA = 0x06,
	KMIP_EC = 0x1a,
	KMIP_ED25519 = 0x37,
	KMIP_PSS = 0x0a,
	KMIP_PKCS1 = 0x08,
};

#define TYPE_RSA            "RSA"
#define TYPE_EC             "EC"
#define TYPE_ED25519        "ED25519"
#define KEYGEN_COST_RSA     COST_WORKER
#define KEYGEN_COST_EC      COST_INLINE
#define KEYGEN_COST_ED25519 COST_INLINE
#define ADVICE_CURRENT      false
#define ADVICE_LEGACY       true

static const struct alg algs[] = {
#define X(                                                                               \
	id_, name_, family_, kmip_, curve_, bits_, group_, cost_, sig_, advice_, spell_) \
	[ALG_##id_] = {                                                                  \
		.id = ALG_##id_,                                                         \
		.family = FAMILY_##family_,                                              \
		.name = name_,                                                           \
		.kmip_algorithm = kmip_,                                                 \
		.kmip_curve = curve_,                                                    \
		.bits = bits_,                                                           \
		.openssl_type = TYPE_##family_,                                          \
		.openssl_group = group_,                                                 \
		.cost = COST_##cost_,                                                    \
		.keygen_cost = KEYGEN_COST_##family_,                                    \
		.sig_max = sig_,                                                         \
		.is_legacy = ADVICE_##advice_,                                           \
		.spellings = spell_,                                                     \
	},
#include "crypt/alg.def"
#undef X
};

static const struct hash hashes[] = {
#define X(id_, name_, kmip_, size_) [HASH_##id_] = { HASH_##id_, name_, kmip_, size_ },
#include "crypt/hash.def"
#undef X
};

static const struct mech mechs[] = {
#define X(id_, scheme_, hash_, family_, signature_, padding_)                            \
	[MECH_##id_] = { MECH_##id_, SCHEME_##scheme_, HASH_##hash_, FAMILY_##family_,   \
		signature_, padding_ },
#include "crypt/mech.def"
#undef X
};

static const struct alg secrets[] = {
#define SECRET(name_, bits_)                                                             \
	{                                                                                \
		.id = ALG_AES, .family = FAMILY_AES, .name = name_,                      \
		.kmip_algorithm = KMIP_AES, .bits = bits_, .openssl_type = "AES",        \
		.cost = COST_WORKER, .keygen_cost = COST_INLINE, .spellings = "",        \
	}
	SECRET("aes", 0),
	SECRET("aes:128", 128),
	SECRET("aes:192", 192),
	SECRET("aes:256", 256),
#undef SECRET
};

const struct alg *alg_aes(uint32_t bits)
{
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		if (secrets[i].bits == bits)
			return &secrets[i];
	return NULL;
}

const struct alg *alg_get(enum alg_id id)
{
	return (unsigned)id < ALG_COUNT ? &algs[id] : NULL;
}

const struct hash *hash_get(enum hash_id id)
{
	return id != HASH_NONE && (unsigned)id < HASH_COUNT ? &hashes[id] : NULL;
}

const struct mech *mech_get(enum mech_id id)
{
	return (unsigned)id < MECH_COUNT ? &mechs[id] : NULL;
}

/* Lower case without blanks and punctuation; false if it is too long for a name of ours. */
static bool squeeze(struct slice text, char *ret, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c && strchr(" -_:", c))
			continue;
		if (!isalnum(c) || n + 1 >= size)
			return false;
		ret[n++] = (char)tolower(c);
	}
	ret[n] = 0;
	return n > 0;
}

static bool lists(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *w = words; w; w = strchr(w, ' ')) {
		w += *w == ' ';
		if (!strncmp(w, word, n) && (w[n] == 0 || w[n] == ' '))
			return true;
	}
	return false;
}

const struct alg *alg_by_name(struct slice text)
{
	char word[32];
	if (!squeeze(text, word, sizeof(word)))
		return NULL;
	for (size_t i = 0; i < ALG_COUNT; i++) {
		bool is_ec = algs[i].family == FAMILY_EC && !strncmp(word, "ec", 2);
		if (lists(algs[i].spellings, word) ||
			(is_ec && lists(algs[i].spellings, word + 2)))
			return &algs[i];
	}
	return NULL;
}

static bool is_same_algorithm(const struct alg *a, uint32_t algorithm)
{
	if (algorithm == KMIP_EC)
		return a->family == FAMILY_EC;
	return a->kmip_algorithm == algorithm;
}

const struct alg *alg_by_kmip(uint32_t algorithm, uint32_t curve, uint32_t bits)
{
	const struct alg *found = NULL;
	for (size_t i = 0; i < ALG_COUNT && !(found && bits); i++) {
		if (!is_same_algorithm(&algs[i], algorithm) ||
			(curve && curve != algs[i].kmip_curve) ||
			(bits && bits != algs[i].bits))
			continue;
		if (found)
			return NULL; /* neither curve nor length says which one */
		found = &algs[i];
	}
	return found;
}

const struct hash *hash_by_kmip(uint32_t kmip)
{
	for (size_t i = HASH_NONE + 1; i < HASH_COUNT; i++)
		if (hashes[i].kmip == kmip)
			return &hashes[i];
	return NULL;
}

const struct hash *hash_by_name(const char *name)
{
	char want[32], have[32];
	if (!squeeze(slice_of(name), want, sizeof(want)))
		return NULL;
	for (size_t i = HASH_NONE + 1; i < HASH_COUNT; i++) {
		squeeze(slice_of(hashes[i].openssl_name), have, sizeof(have));
		bool is_sha2 = !strncmp(have, "sha2", 4);
		if (!strcmp(want, have) || (is_sha2 && !strncmp(want, "sha", 3) &&
						   !strcmp(want + 3, have + 4)))
			return &hashes[i];
	}
	return NULL;
}

const struct mech *mech_find(enum mech_scheme scheme, enum hash_id hash)
{
	for (size_t i = 0; i < MECH_COUNT; i++)
		if (mechs[i].scheme == scheme && mechs[i].hash == hash)
			return &mechs[i];
	return NULL;
}

static enum mech_scheme default_scheme(enum alg_family family, uint32_t padding)
{
	if (family == FAMILY_EC)
		return SCHEME_ECDSA;
	if (family == FAMILY_ED25519)
		return SCHEME_ED25519;
	return padding == KMIP_PSS ? SCHEME_RSA_PSS : SCHEME_RSA_PKCS1;
}

static bool contradicts(const struct mech *m, const struct mech_kmip *in)
{
	uint32_t hash = m->hash ? hashes[m->hash].kmip : 0;
	return (in->hash && in->hash != hash) ||
	       (in->padding && in->padding != m->kmip_padding) ||
	       (in->signature && in->signature != m->kmip_signature);
}

static const struct mech *named_mech(const struct mech_kmip *in, enum alg_family family)
{
	const struct hash *hash = hash_by_kmip(in->hash);
	enum hash_id id = hash ? hash->id : HASH_NONE;
	if (!in->signature)
		return mech_find(default_scheme(family, in->padding), id);
	for (size_t i = 0; i < MECH_COUNT; i++)
		if (mechs[i].family == family && !contradicts(&mechs[i], in) &&
			(mechs[i].scheme != SCHEME_RSA_PSS || mechs[i].hash == id))
			return &mechs[i];
	return NULL;
}

kf_err mech_by_kmip(const struct mech_kmip *in, enum alg_family family,
	const struct mech **ret, int *salt)
{
	const struct mech *m = named_mech(in, family);
	if (!m || m->family != family || contradicts(m, in))
		return kf_fail(
			BAD_PARAMETERS, "no such signature mechanism for this key");
	if (m->scheme == SCHEME_RSA_PSS) {
		if (in->mask_hash && in->mask_hash != hashes[m->hash].kmip)
			return kf_fail(
				BAD_PARAMETERS, "PSS needs the same hash in its mask");
		if (in->has_salt && (in->salt < 0 || in->salt > 512))
			return kf_fail(BAD_PARAMETERS, "PSS salt length");
		*salt = in->has_salt ? (int)in->salt : SALT_AS_DIGEST;
	}
	*ret = m;
	return KF_OK;
}
