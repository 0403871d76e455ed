/* SPDX-License-Identifier: Apache-2.0
 *
 * provider-use DIR: a program that uses the provider as servers do.  DIR holds what make_keys of
 * tests/scenario/guests.sh leaves there; the test agent is running; OPENSSL_CONF loads the provider.
 */
#include "../unit/test.h"
#include <dirent.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *dir;
static const char data[] = "what is to be signed";

static BIO *open_file(const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return BIO_new_file(path, "r");
}

static EVP_PKEY *load_key(const char *name)
{
	BIO *b = open_file(name);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	BIO_free(b);
	return key;
}

static X509 *load_certificate(const char *name)
{
	BIO *b = open_file(name);
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	BIO_free(b);
	return x;
}

static bool sign_and_verify(EVP_PKEY *key, EVP_PKEY *pub)
{
	uint8_t sig[1024];
	size_t n = sizeof(sig);
	const char *hash = EVP_PKEY_is_a(key, "ED25519") ? NULL : "SHA256";
	EVP_MD_CTX *md = EVP_MD_CTX_new(), *check = EVP_MD_CTX_new();
	bool ok =
		EVP_DigestSignInit_ex(md, NULL, hash, NULL, NULL, key, NULL) > 0 &&
		EVP_DigestSign(md, sig, &n, (const uint8_t *)data, sizeof(data)) > 0 &&
		EVP_DigestVerifyInit_ex(check, NULL, hash, NULL, NULL, pub, NULL) > 0 &&
		EVP_DigestVerify(check, sig, n, (const uint8_t *)data, sizeof(data)) == 1;
	EVP_MD_CTX_free(md);
	EVP_MD_CTX_free(check);
	if (!ok)
		ERR_print_errors_fp(stdout);
	return ok;
}

static int count(const char *path)
{
	int n = 0;
	DIR *d = opendir(path);
	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

TEST(keys_of_every_type_sign_and_the_error_queue_stays_empty)
{
	static const char *const names[] = { "rsa", "ec", "ed" };
	for (int i = 0; i < 3; i++) {
		char ref[32], crt[32];
		snprintf(ref, sizeof(ref), "%s.ref", names[i]);
		snprintf(crt, sizeof(crt), "%s.crt", names[i]);
		EVP_PKEY *key = load_key(ref);
		X509 *x = load_certificate(crt);
		OK(key && x);
		OK(ERR_peek_error() == 0);
		OK(X509_check_private_key(x, key) == 1);
		OK(sign_and_verify(key, X509_get0_pubkey(x)));
		OK(ERR_peek_error() == 0);
		EVP_PKEY_free(key);
		X509_free(x);
	}
}

TEST(a_certificate_of_another_key_does_not_match)
{
	EVP_PKEY *key = load_key("rsa.ref");
	X509 *x = load_certificate("ec.crt");
	OK(X509_check_private_key(x, key) != 1);
	ERR_clear_error();
	EVP_PKEY_free(key);
	X509_free(x);
}

/* bundle.pem: certificate, public key, reference, certificate. */
TEST(other_blocks_of_a_bundle_are_read_as_ever)
{
	BIO *b = open_file("bundle.pem");
	X509 *first = PEM_read_bio_X509(b, NULL, NULL, NULL);
	EVP_PKEY *pub = PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	X509 *last = PEM_read_bio_X509(b, NULL, NULL, NULL);
	OK(first && pub && key && last);
	OK(ERR_peek_error() == 0);
	OK(EVP_PKEY_eq(pub, key) == 1);
	BIO_free(b);

	b = open_file("bundle.pem");
	EVP_PKEY *found = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	OK(found && ERR_peek_error() == 0);
	OK(EVP_PKEY_eq(found, key) == 1);
	BIO_free(b);
	X509_free(first);
	X509_free(last);
	EVP_PKEY_free(pub);
	EVP_PKEY_free(key);
	EVP_PKEY_free(found);
}

TEST(private_keys_are_refused_silently_to_whoever_wants_their_bytes)
{
	EVP_PKEY *key = load_key("rsa.ref");
	OSSL_PARAM *params = NULL;
	BIGNUM *d = NULL;
	unsigned char *der = NULL;
	OK(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params) != 1);
	OK(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_D, &d) != 1);
	OK(i2d_PrivateKey(key, &der) <= 0);
	ERR_clear_error();
	OK(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params) == 1);
	OK(!OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_RSA_D));
	OSSL_PARAM_free(params);
	EVP_PKEY_free(key);
}

TEST(a_duplicate_signs_too)
{
	EVP_PKEY *key = load_key("ec.ref"), *copy = EVP_PKEY_dup(key);
	EVP_PKEY_free(key);
	OK(copy && sign_and_verify(copy, copy));
	EVP_PKEY_free(copy);
}

TEST(what_a_key_says_about_itself_is_that_of_its_public_half)
{
	EVP_PKEY *rsa = load_key("rsa.ref"), *ec = load_key("ec.ref"),
		 *ed = load_key("ed.ref");
	char group[32], digest[32];
	EQ(EVP_PKEY_get_bits(rsa), 2048);
	EQ(EVP_PKEY_get_size(rsa), 256);
	EQ(EVP_PKEY_get_size(ed), 64);
	EQ(EVP_PKEY_get_security_bits(ec), 128);
	OK(EVP_PKEY_get_group_name(ec, group, sizeof(group), NULL) == 1);
	OK(strcmp(group, "prime256v1") == 0);
	OK(EVP_PKEY_get_default_digest_name(rsa, digest, sizeof(digest)) == 1);
	OK(strcmp(digest, "SHA256") == 0);
	EQ(EVP_PKEY_get_default_digest_name(ed, digest, sizeof(digest)), 2);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ed);
}

TEST(data_in_pieces_gives_the_same_signature_as_whole)
{
	EVP_PKEY *key = load_key("rsa.ref");
	static uint8_t big[5000];
	uint8_t whole[256], pieces[256];
	size_t n = sizeof(whole), m = sizeof(pieces);
	for (size_t size = 0; size <= sizeof(big); size += 1279) {
		EVP_MD_CTX *md = EVP_MD_CTX_new();
		OK(EVP_DigestSignInit_ex(md, NULL, "SHA384", NULL, NULL, key, NULL) > 0);
		OK(EVP_DigestSign(md, whole, &n, big, size) > 0);
		EVP_MD_CTX_free(md);
		md = EVP_MD_CTX_new();
		OK(EVP_DigestSignInit_ex(md, NULL, "sha-384", NULL, NULL, key, NULL) > 0);
		for (size_t at = 0; at < size; at += 100)
			OK(EVP_DigestSignUpdate(
				   md, big + at, size - at < 100 ? size - at : 100) > 0);
		OK(EVP_DigestSignFinal(md, pieces, &m) > 0);
		EVP_MD_CTX_free(md);
		OK(n == m && memcmp(whole, pieces, n) == 0);
	}
	EVP_PKEY_free(key);
}

static void *sign_many(void *arg)
{
	intptr_t good = 0;
	for (int i = 0; i < 50; i++)
		good += sign_and_verify(arg, arg);
	return (void *)good;
}

TEST(threads_share_a_key)
{
	EVP_PKEY *key = load_key("ec.ref");
	pthread_t threads[4];
	intptr_t all = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, sign_many, key);
	for (int i = 0; i < 4; i++) {
		void *good = NULL;
		pthread_join(threads[i], &good);
		all += (intptr_t)good;
	}
	EVP_PKEY_free(key);
	EQ(all, 200);
}

TEST(a_fork_signs_on_a_connection_of_its_own)
{
	EVP_PKEY *key = load_key("ec.ref");
	OK(sign_and_verify(key, key));
	pid_t pid = fork();
	if (pid == 0)
		_exit(sign_and_verify(key, key) ? 0 : 1);
	int status = -1;
	waitpid(pid, &status, 0);
	bool ok = sign_and_verify(key, key);
	EVP_PKEY_free(key);
	EQ(status, 0);
	OK(ok);
}

TEST(neither_threads_nor_descriptors_pile_up)
{
	EVP_PKEY *key = load_key("ec.ref");
	OK(sign_and_verify(key, key));
	int before = count("/proc/self/fd");
	for (int i = 0; i < 100; i++)
		OK(sign_and_verify(key, key));
	EQ(count("/proc/self/fd"), before);
	EQ(count("/proc/self/task"), 1);
	EVP_PKEY_free(key);
}

TEST(other_keys_are_made_and_used_as_ever)
{
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	EVP_PKEY *rsa = load_key("rsa.key");
	OK(ec && sign_and_verify(ec, ec));
	OK(rsa && sign_and_verify(rsa, rsa));
	OK(!strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(rsa)), "default"));
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	dir = argv[1];
	return test_main_();
}
