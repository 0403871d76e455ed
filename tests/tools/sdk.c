/* SPDX-License-Identifier: Apache-2.0 */
/* sdk CLIENT.CONF: a program of libkeyfleet's users, against a real key server.  TAP. */
#include <keyfleet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tests, failures;
static kf_client *client;

static void claim(int is_true, const char *what, const kf_call *call)
{
	printf("%sok %d - %s\n", is_true ? "" : "not ", ++tests, what);
	if (!is_true && call)
		printf("# %d (reason %u, %u attempts) %s\n", (int)call->result,
			call->reason, call->attempts, kf_error_text(call));
	failures += !is_true;
}

/* ---- bytes ---- */

struct octets {
	unsigned char p[512];
	size_t n;
};

static struct octets hex(const char *text)
{
	struct octets b = { { 0 }, strlen(text) / 2 };
	for (size_t i = 0; i < b.n; i++) {
		unsigned value = 0;
		sscanf(text + 2 * i, "%2x", &value);
		b.p[i] = (unsigned char)value;
	}
	return b;
}

static kf_bytes bytes_of(const struct octets *b)
{
	kf_bytes s = { b->p, b->n };
	return s;
}

static int is_same(const kf_buffer *b, const char *text)
{
	struct octets want = hex(text);
	return b->used == want.n && !memcmp(b->data, want.p, want.n);
}

static struct sealed {
	unsigned char data[512], iv[16], tag[16];
} room;

static kf_encrypted fresh(void)
{
	kf_encrypted e = { { room.data, sizeof(room.data), 0 },
		{ room.iv, sizeof(room.iv), 0 }, { room.tag, sizeof(room.tag), 0 } };
	return e;
}

/* ---- keys ---- */

static kf_id keep(const char *algorithm, const char *key)
{
	struct octets bytes = hex(key);
	kf_new_object q = { 0 };
	kf_call call = { 0 };
	kf_id id = { "" };
	q.algorithm = algorithm;
	q.is_active = 1;
	q.type = KF_SYMMETRIC_KEY;
	q.format = KF_FORMAT_RAW;
	q.bytes = bytes.p;
	q.size = bytes.n;
	if (!strcmp(algorithm, "aes:128"))
		q.usage =
			KF_MAY_ENCRYPT | KF_MAY_DECRYPT | KF_MAY_MAC | KF_MAY_VERIFY_MAC;
	claim(kf_register(client, &q, &id, &call) == KF_SUCCESS, "a key is stored",
		&call);
	return id;
}

static kf_id make(const char *algorithm)
{
	kf_new_object q = { 0 };
	kf_call call = { 0 };
	kf_id id = { "" };
	q.algorithm = algorithm;
	q.is_active = 1;
	claim(kf_create(client, &q, &id, &call) == KF_SUCCESS, algorithm, &call);
	return id;
}

/* ---- published vectors ---- */

#define GCM_KEY "feffe9928665731c6d6a8f9467308308"
#define GCM_IV  "cafebabefacedbaddecaf888"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define GCM_PLAIN                                                                        \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95"       \
	"956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_DATA                                                                         \
	"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b2"       \
	"5466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
#define GCM_TAG "5bc94fbc3221a5db94fae95ae7121a47"

static void gcm_is_what_its_authors_published(void)
{
	kf_id key = keep("aes:128", GCM_KEY);
	struct octets iv = hex(GCM_IV), aad = hex(GCM_AAD), plain = hex(GCM_PLAIN);
	kf_cipher_request q = { 0 };
	kf_encrypted e = fresh();
	kf_call call = { 0 };
	q.key = key.text;
	q.cipher = KF_AES_GCM;
	q.data = plain.p;
	q.size = plain.n;
	q.iv = bytes_of(&iv);
	q.additional_data = bytes_of(&aad);
	claim(kf_cipher_encrypt(client, &q, &e, &call) == KF_SUCCESS &&
			is_same(&e.data, GCM_DATA) && is_same(&e.tag, GCM_TAG) &&
			is_same(&e.iv, GCM_IV),
		"GCM is what its authors published", &call);
}

/* SP 800-38A, F.2.1 and F.5.1; RFC 4493 */
#define KEY_38A   "2b7e151628aed2a6abf7158809cf4f3c"
#define BLOCK_38A "6bc1bee22e409f96e93d7e117393172a"

static void mode_is_as_published(
	kf_cipher cipher, const char *key, const char *iv_text, const char *want)
{
	struct octets iv = hex(iv_text), plain = hex(BLOCK_38A);
	unsigned char back[64];
	kf_buffer out = { back, sizeof(back), 0 };
	kf_cipher_request q = { 0 };
	kf_encrypted e = fresh();
	kf_call call = { 0 };
	q.key = key;
	q.cipher = cipher;
	q.data = plain.p;
	q.size = plain.n;
	q.iv = bytes_of(&iv);
	claim(kf_cipher_encrypt(client, &q, &e, &call) == KF_SUCCESS &&
			is_same(&e.data, want) && e.tag.used == 0,
		"a mode is what SP 800-38A says", &call);
	q.data = room.data;
	q.size = e.data.used;
	claim(kf_cipher_decrypt(client, &q, &out, &call) == KF_SUCCESS &&
			is_same(&out, BLOCK_38A),
		"and back", &call);
}

static void code_is_as_published(
	kf_mac_algorithm algorithm, const char *key, const char *data, const char *want)
{
	struct octets bytes = hex(data);
	kf_buffer mac = { room.data, sizeof(room.data), 0 };
	kf_mac_request q = { 0 };
	kf_call call = { 0 };
	kf_bytes given;
	int is_valid = 0;
	q.key = key;
	q.algorithm = algorithm;
	q.data = bytes.p;
	q.size = bytes.n;
	claim(kf_mac(client, &q, &mac, &call) == KF_SUCCESS && is_same(&mac, want),
		"a code is as published", &call);
	given.data = room.data;
	given.size = mac.used;
	claim(kf_mac_verify(client, &q, &given, &is_valid, &call) == KF_SUCCESS &&
			is_valid,
		"and verified", &call);
	room.data[0] ^= 1;
	claim(kf_mac_verify(client, &q, &given, &is_valid, &call) == KF_SUCCESS &&
			!is_valid,
		"another one is not", &call);
}

static void published_vectors(void)
{
	kf_id aes = keep("aes:128", KEY_38A);
	kf_id hmac = keep("hmac-sha256:160", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	gcm_is_what_its_authors_published();
	mode_is_as_published(KF_AES_CBC, aes.text, "000102030405060708090a0b0c0d0e0f",
		"7649abac8119b246cee98e9b12e9197d");
	mode_is_as_published(KF_AES_CTR, aes.text, "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		"874d6191b620e3261bef6864990db6ce");
	code_is_as_published(
		KF_CMAC_AES, aes.text, BLOCK_38A, "070a16b46b4d4144f79bdd9dd04a287c");
	code_is_as_published(KF_HMAC_SHA256, hmac.text, "4869205468657265",
		"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

/* ---- there and back ---- */

static const char words[] = "words that nobody else shall read";

static kf_cipher_request request_for(const char *key, kf_cipher cipher)
{
	kf_cipher_request q = { 0 };
	q.key = key;
	q.cipher = cipher;
	q.data = words;
	q.size = sizeof(words);
	return q;
}

static kf_cipher_request back_from(const kf_cipher_request *there, const kf_encrypted *e)
{
	kf_cipher_request q = *there;
	q.data = e->data.data;
	q.size = e->data.used;
	q.iv.data = e->iv.data;
	q.iv.size = e->iv.used;
	q.tag.data = e->tag.data;
	q.tag.size = e->tag.used;
	return q;
}

static int comes_back(const kf_cipher_request *q, kf_call *call)
{
	char plain[64];
	kf_buffer out = { plain, sizeof(plain), 0 };
	return kf_cipher_decrypt(client, q, &out, call) == KF_SUCCESS &&
	       out.used == sizeof(words) && !memcmp(plain, words, sizeof(words));
}

static void there_and_back(const char *key, kf_cipher cipher, const char *what)
{
	kf_cipher_request q = request_for(key, cipher), back;
	kf_encrypted e = fresh();
	kf_call call = { 0 };
	claim(kf_cipher_encrypt(client, &q, &e, &call) == KF_SUCCESS, what, &call);
	back = back_from(&q, &e);
	claim(comes_back(&back, &call), what, &call);
}

static void forgeries(const char *key)
{
	kf_cipher_request q = request_for(key, KF_AES_GCM), back;
	kf_encrypted e = fresh();
	kf_call call = { 0 };
	q.additional_data.data = "mine";
	q.additional_data.size = 4;
	claim(kf_cipher_encrypt(client, &q, &e, &call) == KF_SUCCESS, "sealed", &call);
	back = back_from(&q, &e);
	back.additional_data.data = "your";
	claim(!comes_back(&back, &call) && call.result == KF_REFUSED,
		"additional data belong to it", &call);
	back.additional_data.data = "mine";
	room.tag[15] ^= 1;
	claim(!comes_back(&back, &call) && call.result == KF_REFUSED, "so does the tag",
		&call);
	room.tag[15] ^= 1;
	claim(comes_back(&back, &call), "what is genuine comes back", &call);
}

static void refusals(const char *aes, const char *hmac)
{
	kf_cipher_request q = request_for(hmac, KF_AES_GCM);
	kf_mac_request m = { 0 };
	kf_encrypted e = fresh();
	kf_buffer mac = { room.data, sizeof(room.data), 0 };
	kf_call call = { 0 };
	claim(kf_cipher_encrypt(client, &q, &e, &call) == KF_NOT_ALLOWED,
		"keys for codes encrypt nothing", &call);
	m.key = aes;
	m.algorithm = KF_HMAC_SHA256;
	claim(kf_mac(client, &m, &mac, &call) == KF_NOT_ALLOWED,
		"keys for encryption make no codes", &call);
	m.key = "00000000-0000-4000-8000-000000000000";
	claim(kf_mac(client, &m, &mac, &call) == KF_NOT_FOUND, "no key, no code", &call);
}

/* ---- event loops ---- */

enum { FDS_MAX = 16 };

static struct program {
	struct pollfd fd[FDS_MAX];
	nfds_t n;
	int timeout_ms, left;
	const char *aes;
	kf_async *async;
} program;

static void watch(void *arg, int fd, int events)
{
	struct program *p = arg;
	nfds_t i = 0;
	while (i < p->n && p->fd[i].fd != fd)
		i++;
	if (!events) {
		if (i < p->n)
			p->fd[i] = p->fd[--p->n];
		return;
	}
	if (i == FDS_MAX)
		abort();
	p->n += i == p->n;
	p->fd[i] = (struct pollfd){ .fd = fd,
		.events = (short)((events & KF_READABLE ? POLLIN : 0) |
				  (events & KF_WRITABLE ? POLLOUT : 0)) };
}

static void timer(void *arg, int64_t ms)
{
	((struct program *)arg)->timeout_ms = ms > 10000 ? 10000 : (int)ms;
}

static void run_round(struct program *p)
{
	struct pollfd ready[FDS_MAX];
	nfds_t n = p->n;
	int got = poll(p->fd, p->n, p->timeout_ms);
	memcpy(ready, p->fd, sizeof(ready));
	for (nfds_t i = 0; got > 0 && i < n; i++)
		if (ready[i].revents)
			kf_async_ready(p->async, ready[i].fd,
				(ready[i].revents & POLLOUT ? KF_WRITABLE : 0) |
					(ready[i].revents & ~POLLOUT ? KF_READABLE : 0));
	p->timeout_ms = -1;
	kf_async_timer(p->async);
}

static void decrypted(void *arg, const kf_call *outcome, const void *bytes, size_t size)
{
	struct program *p = arg;
	p->left--;
	claim(outcome->result == KF_SUCCESS && size == sizeof(words) &&
			!memcmp(bytes, words, size),
		"an event loop decrypts", outcome);
}

static void encrypted(void *arg, const kf_call *outcome, const kf_encrypted_bytes *e)
{
	struct program *p = arg;
	kf_cipher_request q = request_for(p->aes, KF_AES_GCM);
	claim(outcome->result == KF_SUCCESS && e && e->iv.size == 12 && e->tag.size == 16,
		"an event loop encrypts", outcome);
	p->left--;
	if (!e)
		return;
	q.data = e->data.data;
	q.size = e->data.size;
	q.iv = e->iv;
	q.tag = e->tag;
	p->left++;
	claim(kf_async_cipher_decrypt(p->async, &q, NULL, decrypted, p) == KF_SUCCESS,
		"a call begins another one", NULL);
}

static void not_encrypted(void *arg, const kf_call *outcome, const kf_encrypted_bytes *e)
{
	struct program *p = arg;
	p->left--;
	claim(outcome->result == KF_NOT_FOUND && !e, "a failure has no bytes", outcome);
}

static void coded(void *arg, const kf_call *outcome, const void *bytes, size_t size)
{
	struct program *p = arg;
	(void)bytes;
	p->left--;
	claim(outcome->result == KF_SUCCESS && size == 48, "an event loop makes codes",
		outcome);
}

static void event_loop(const char *conf, const char *aes, const char *hmac)
{
	kf_loop loop = { watch, timer, &program };
	kf_call call = { 0 };
	kf_cipher_request q = request_for(aes, KF_AES_GCM);
	kf_mac_request m = { 0 };
	program.aes = aes;
	program.left = 3;
	program.timeout_ms = -1;
	claim(kf_async_open(conf, &loop, &program.async, &call) == KF_SUCCESS, "a loop",
		&call);
	if (call.result)
		return;
	claim(kf_async_cipher_encrypt(program.async, &q, NULL, encrypted, &program) ==
			KF_SUCCESS,
		"begun", NULL);
	q.key = "00000000-0000-4000-8000-000000000000";
	claim(kf_async_cipher_encrypt(program.async, &q, NULL, not_encrypted, &program) ==
			KF_SUCCESS,
		"begun", NULL);
	m.key = hmac;
	m.algorithm = KF_HMAC_SHA384;
	m.data = words;
	m.size = sizeof(words);
	claim(kf_async_mac(program.async, &m, NULL, coded, &program) == KF_SUCCESS,
		"begun", NULL);
	while (program.left > 0)
		run_round(&program);
	q.size = 64u << 20;
	claim(kf_async_cipher_encrypt(program.async, &q, NULL, encrypted, &program) ==
			KF_INVALID_ARGUMENT,
		"more than a message holds is not begun", NULL);
	kf_async_free(program.async);
}

int main(int argc, char **argv)
{
	kf_call call = { 0 };
	kf_id aes, hmac, chacha;
	if (argc != 2 || kf_client_open(argv[1], &client, &call) != KF_SUCCESS) {
		fprintf(stderr, "sdk: %s\n", kf_error_text(&call));
		return 1;
	}
	aes = make("aes:256");
	hmac = make("hmac-sha384:384");
	chacha = make("chacha20:256");
	published_vectors();
	there_and_back(aes.text, KF_AES_GCM, "GCM");
	there_and_back(aes.text, KF_AES_CBC_PKCS5, "CBC with padding");
	there_and_back(aes.text, KF_AES_CTR, "CTR");
	there_and_back(chacha.text, KF_CHACHA20_POLY1305, "ChaCha20-Poly1305");
	forgeries(aes.text);
	refusals(aes.text, hmac.text);
	event_loop(argv[1], aes.text, hmac.text);
	kf_client_free(client);
	printf("1..%d\n", tests);
	return failures != 0;
}
