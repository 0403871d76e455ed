/* SPDX-License-Identifier: Apache-2.0
 *
 * test-agent: stands in for keyfleet-agent where a test wants to see what a guest sends, or needs
 * answers that are slow or wrong.  Speaks the local protocol, signs with key files.
 *
 *     test-agent SOCKET KEY...
 *
 * SOCKET is "@abstract" or a path; KEY is ID=FILE[,DELAY-MS[,DEED]], where DEED is one of
 *     deny      refuse with Permission Denied        garbage   answer bytes that are no KMIP
 *     hangup    close the connection                 short     answer a signature that is too short
 *
 * Prints "ready", then one line for every request, as it begins:
 *     sign ID data|digest BYTES hash HASH padding PADDING salt SALT pid PID
 *     decrypt ID BYTES padding PADDING tls CLIENT NEGOTIATED pid PID
 */
#include "crypt/alg.h"
#include "kmip/decrypt.h"
#include "kmip/sign.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { KEYS_MAX = 32, MESSAGE_MAX = 65536, RESULT_MAX = 1024 };

struct test_key {
	char id[128];
	char deed[16];
	int delay_ms;
	EVP_PKEY *pkey;
};

static struct test_key keys[KEYS_MAX];

struct answer {
	uint8_t bytes[RESULT_MAX];
	size_t n;
};

static const struct test_key *find_key(struct slice id)
{
	for (int i = 0; i < KEYS_MAX && keys[i].pkey; i++)
		if (slice_is(id, keys[i].id))
			return &keys[i];
	return NULL;
}

/* ---- operations ---- */

static bool set_padding(EVP_PKEY_CTX *c, const struct cryptographic_parameters *p)
{
	if (p->padding_method == KMIP_PADDING_METHOD_PSS)
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_rsa_pss_saltlen(
			       c, p->has_salt_length ? p->salt_length
						     : RSA_PSS_SALTLEN_DIGEST) > 0;
	return p->padding_method != KMIP_PADDING_METHOD_PKCS1_V1_5 ||
	       EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) > 0;
}

static const struct hash *hash_of(const struct cryptographic_parameters *p)
{
	for (unsigned id = HASH_SHA1; id < HASH_COUNT; id++) {
		const struct mech *m = mech_find(SCHEME_ECDSA, (enum hash_id)id);
		if (p->digital_signature_algorithm &&
			p->digital_signature_algorithm == m->kmip_signature)
			return hash_get((enum hash_id)id);
	}
	return hash_by_kmip(p->hashing_algorithm);
}

static bool sign_data(
	const struct test_key *key, const struct sign_request *q, struct answer *ret)
{
	const struct hash *hash = hash_of(&q->parameters);
	EVP_PKEY_CTX *c = NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = EVP_DigestSignInit_ex(md, &c, hash ? hash->openssl_name : NULL, NULL,
			  "provider=default", key->pkey, NULL) > 0 &&
		  set_padding(c, &q->parameters) &&
		  EVP_DigestSign(md, ret->bytes, &ret->n, q->data.p, q->data.n) > 0;
	EVP_MD_CTX_free(md);
	return ok;
}

static bool sign_digest(
	const struct test_key *key, const struct sign_request *q, struct answer *ret)
{
	const struct hash *hash = hash_of(&q->parameters);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	bool ok = EVP_PKEY_sign_init(c) > 0 && set_padding(c, &q->parameters) && hash &&
		  EVP_PKEY_CTX_set_signature_md(
			  c, EVP_get_digestbyname(hash->openssl_name)) > 0 &&
		  EVP_PKEY_sign(c, ret->bytes, &ret->n, q->digested_data.p,
			  q->digested_data.n) > 0;
	EVP_PKEY_CTX_free(c);
	return ok;
}

static bool set_decryption(
	EVP_PKEY_CTX *c, const struct decrypt_request *q, const struct kmip_extension *x)
{
	unsigned client = x->tls_client_version, negotiated = x->tls_negotiated_version;
	OSSL_PARAM versions[] = {
		OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &client),
		OSSL_PARAM_uint(
			OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, &negotiated),
		OSSL_PARAM_END,
	};
	const struct hash *hash = hash_by_kmip(q->parameters.hashing_algorithm);
	if (client)
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_WITH_TLS_PADDING) > 0 &&
		       EVP_PKEY_CTX_set_params(c, versions) > 0;
	if (q->parameters.padding_method == KMIP_PADDING_METHOD_OAEP)
		return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) > 0 &&
		       hash &&
		       EVP_PKEY_CTX_set_rsa_oaep_md_name(c, hash->openssl_name, NULL) > 0;
	return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) > 0;
}

static bool decrypt_data(const struct test_key *key, const struct decrypt_request *q,
	const struct kmip_extension *x, struct answer *ret)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	bool ok = EVP_PKEY_decrypt_init(c) > 0 && set_decryption(c, q, x) &&
		  EVP_PKEY_decrypt(c, ret->bytes, &ret->n, q->data.p, q->data.n) > 0;
	EVP_PKEY_CTX_free(c);
	return ok;
}

/* ---- one connection ---- */

static int peer_pid(int fd)
{
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	return peer.pid;
}

static const struct test_key *begin_work(struct slice id)
{
	const struct test_key *key = find_key(id);
	if (!key)
		return NULL;
	struct timespec delay = { key->delay_ms / 1000, key->delay_ms % 1000 * 1000000L };
	nanosleep(&delay, NULL);
	return key;
}

static const struct test_key *do_sign(
	int fd, const struct sign_request *q, struct answer *ret)
{
	const struct cryptographic_parameters *p = &q->parameters;
	const struct hash *hash = hash_of(p);
	printf("sign %.*s %s %zu hash %s padding %u salt %d pid %d\n", (int)q->uid.text.n,
		(const char *)q->uid.text.p, q->has_data ? "data" : "digest",
		q->has_data ? q->data.n : q->digested_data.n,
		hash ? hash->openssl_name : "none", p->padding_method,
		p->has_salt_length ? p->salt_length : -1, peer_pid(fd));
	const struct test_key *key = begin_work(q->uid.text);
	if (!key)
		return NULL;
	if (!(q->has_data ? sign_data(key, q, ret) : sign_digest(key, q, ret)))
		return NULL;
	if (!strcmp(key->deed, "short"))
		ret->n -= 20;
	return key;
}

static const struct test_key *do_decrypt(int fd, const struct decrypt_request *q,
	const struct kmip_extension *x, struct answer *ret)
{
	printf("decrypt %.*s %zu padding %u tls %04x %04x pid %d\n", (int)q->uid.text.n,
		(const char *)q->uid.text.p, q->data.n, q->parameters.padding_method,
		x->tls_client_version, x->tls_negotiated_version, peer_pid(fd));
	const struct test_key *key = begin_work(q->uid.text);
	return key && decrypt_data(key, q, x, ret) ? key : NULL;
}

static void put_success(struct ttlv_writer *w, uint32_t operation, struct kmip_uid uid,
	const struct answer *a)
{
	struct slice bytes = { a->bytes, a->n };
	kmip_put_response_item_begin(w, operation, (struct slice){ 0 });
	if (operation == KMIP_OPERATION_SIGN)
		sign_put_response(
			w, &(struct sign_response){ .uid = uid, .signature = bytes });
	else
		decrypt_put_response(
			w, &(struct decrypt_response){
				   .uid = uid, .has_data = true, .data = bytes });
	kmip_put_response_item_end(w, NULL);
}

/* False: hang up. */
static bool answer_item(int fd, struct ttlv_reader *r,
	const struct kmip_request_item *item, struct buf *out)
{
	struct ttlv_reader payload = kmip_payload(r, item->payload);
	struct ttlv_writer w = ttlv_write(out, KMIP_2_1);
	struct sign_request s = { 0 };
	struct decrypt_request d = { 0 };
	struct answer a = { .n = sizeof(a.bytes) };
	const struct test_key *key = NULL;
	bool is_sign = item->operation == KMIP_OPERATION_SIGN;

	if (is_sign && kf_ok(sign_get_request(&payload, &s)))
		key = do_sign(fd, &s, &a);
	else if (kf_ok(decrypt_get_request(&payload, &d)))
		key = do_decrypt(fd, &d, &item->extension, &a);
	kmip_put_response_header(&w,
		&(struct kmip_response_header){
			.version = KMIP_2_1, .time_stamp = time(NULL), .batch_count = 1 },
		NULL);
	if (key && strcmp(key->deed, "deny") != 0)
		put_success(&w, item->operation, is_sign ? s.uid : d.uid, &a);
	else
		kmip_put_response_failure(&w, item->operation, (struct slice){ 0 },
			key ? KF_E_DENIED : KF_E_NOT_FOUND, NULL);
	if (key && !strcmp(key->deed, "garbage")) {
		buf_clear(out);
		buf_add(out, "\x42\x00\x7b\x01\x00\x00\x00\x08not KMIP", 16);
		return true;
	}
	return kf_ok(kmip_put_response_end(&w)) && !(key && !strcmp(key->deed, "hangup"));
}

static bool serve_one(int fd, struct slice message)
{
	struct ttlv_reader r = ttlv_read(message);
	struct kmip_request_header header;
	struct kmip_request_item item;
	if (!kf_ok(kmip_get_request_header(&r, &header)) ||
		!kf_ok(kmip_get_request_item(&r, &item)) ||
		!kf_ok(kmip_get_request_end(&r)))
		return false;
	autobuf out = buf_new(MESSAGE_MAX);
	return answer_item(fd, &r, &item, &out) &&
	       send(fd, out.p, out.n, MSG_NOSIGNAL) == (ssize_t)out.n;
}

static bool read_all(int fd, uint8_t *p, size_t n)
{
	return n == 0 || recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint8_t *message = malloc(MESSAGE_MAX);
	size_t n = 0;
	while (message && read_all(fd, message, KMIP_HEAD) &&
		kf_ok(kmip_message_length(message, MESSAGE_MAX, &n)) &&
		read_all(fd, message + KMIP_HEAD, n - KMIP_HEAD) &&
		serve_one(fd, (struct slice){ message, n }))
		continue;
	free(message);
	close(fd);
	return NULL;
}

/* ---- the program ---- */

static int listen_at(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	strncpy(a.sun_path, name, sizeof(a.sun_path) - 1);
	if (name[0] == '@')
		a.sun_path[0] = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	return bind(fd, (struct sockaddr *)&a, size) || listen(fd, 512) ? -1 : fd;
}

static bool load_key(char *text, struct test_key *ret)
{
	char *file = strchr(text, '='), *end = NULL;
	if (!file)
		return false;
	*file++ = 0;
	char *delay = strchr(file, ',');
	if (delay) {
		*delay++ = 0;
		ret->delay_ms = (int)strtol(delay, &end, 10);
		if (*end == ',')
			strncpy(ret->deed, end + 1, sizeof(ret->deed) - 1);
	}
	strncpy(ret->id, text, sizeof(ret->id) - 1);
	FILE *f = fopen(file, "r");
	if (!f)
		return false;
	ret->pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	return ret->pkey != NULL;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc - 2 > KEYS_MAX - 1) {
		fprintf(stderr,
			"usage: test-agent SOCKET ID=FILE[,DELAY-MS[,DEED]]...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		if (!load_key(argv[i], &keys[i - 2])) {
			fprintf(stderr, "test-agent: cannot load %s\n", argv[i]);
			return 1;
		}
	}
	int listener = listen_at(argv[1]);
	if (listener < 0) {
		perror(argv[1]);
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pthread_t thread;
		if (fd < 0 || pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd))
			return 1;
		pthread_detach(thread);
	}
}
