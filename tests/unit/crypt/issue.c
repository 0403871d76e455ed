/* SPDX-License-Identifier: Apache-2.0 */
#include "crypt/issue.h"
#include "pki.h"
#include "test.h"
#include <string.h>

/* A root, and an authority under it. */
struct rig {
	EVP_PKEY *root_key, *key;
	X509 *root, *cert;
	struct buf root_pem, pem, file;
};

struct shape {
	const char *root_basic, *root_constraints, *constraints;
};

static X509 *authority(
	const char *name, EVP_PKEY *key, X509 *above, EVP_PKEY *signer, const char *basic)
{
	X509 *x = pki_draft(name, key, 7, 86400);
	X509_set_issuer_name(x, X509_get_subject_name(above ? above : x));
	pki_extend(x, above ? above : x, NID_basic_constraints, basic);
	pki_extend(x, above ? above : x, NID_key_usage, "critical,keyCertSign,cRLSign");
	pki_extend(x, above ? above : x, NID_subject_key_identifier, "hash");
	X509_sign(x, signer, EVP_sha256());
	return x;
}

static void constrain(X509 *x, const char *constraints, EVP_PKEY *signer)
{
	if (!constraints)
		return;
	pki_extend(x, x, NID_name_constraints, constraints);
	X509_sign(x, signer, EVP_sha256());
}

static void rig_open(struct rig *r, const struct shape *s)
{
	*r = (struct rig){ .root_key = pki_key(), .key = pki_key() };
	r->root = authority("root", r->root_key, NULL, r->root_key,
		s->root_basic ? s->root_basic : "critical,CA:TRUE");
	constrain(r->root, s->root_constraints, r->root_key);
	r->cert = authority(
		"web", r->key, r->root, r->root_key, "critical,CA:TRUE,pathlen:0");
	constrain(r->cert, s->constraints, r->root_key);
	r->root_pem = pki_pem(r->root);
	r->pem = pki_pem(r->cert);
	r->file = buf_new(1 << 16);
	buf_add_slice(&r->file, buf_slice(&r->pem));
	buf_add_slice(&r->file, buf_slice(&r->root_pem));
}

static void rig_free(struct rig *r)
{
	EVP_PKEY_free(r->root_key);
	EVP_PKEY_free(r->key);
	X509_free(r->root);
	X509_free(r->cert);
	buf_free(&r->root_pem);
	buf_free(&r->pem);
	buf_free(&r->file);
}

#define RIG(r, ...)                                                                      \
	CLEANUP(rig_free) struct rig r;                                                  \
	rig_open(&r, &(struct shape){ __VA_ARGS__ })

static unsigned lines_in(struct slice s)
{
	unsigned n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

static kf_err read_file(struct slice pem, unsigned *ret_line)
{
	struct issue_ca *ca = NULL;
	kf_err err = issue_ca_new(pem, ret_line, &ca);
	issue_ca_free(ca);
	return err;
}

/* --- the file --- */

TEST(a_chain_is_what_stands_in_the_file_without_the_root)
{
	RIG(r, 0);
	struct issue_ca *ca = NULL;
	unsigned line = 7;
	OK(kf_ok(issue_ca_new(buf_slice(&r.file), &line, &ca)));
	EQ(line, 0);
	OK(slice_eq(issue_ca_chain(ca), buf_slice(&r.pem)));
	issue_ca_free(ca);
	OK(kf_ok(issue_ca_new(buf_slice(&r.root_pem), &line, &ca)));
	EQ(issue_ca_chain(ca).n, 0);
	issue_ca_free(ca);
}

TEST(a_file_that_is_cut_is_not_taken_for_a_shorter_one)
{
	RIG(r, 0);
	const unsigned second = lines_in(buf_slice(&r.pem)) + 1;
	unsigned line;
	/* Not fewer than five of the dashes: those may be anybody's text. */
	for (size_t n = r.pem.n + 5; n + 1 < r.file.n; n++) {
		const struct slice cut = { r.file.p, n };
		OK(kf_is(read_file(cut, &line), KF_E_MALFORMED));
		EQ(line, second);
	}
	for (size_t n = 0; n + 1 < r.pem.n; n++)
		OK(kf_is(
			read_file((struct slice){ r.file.p, n }, &line), KF_E_MALFORMED));
}

TEST(a_damaged_certificate_is_named_by_its_line)
{
	RIG(r, 0);
	const unsigned second = lines_in(buf_slice(&r.pem)) + 1;
	unsigned line;
	for (size_t at = r.pem.n + 30; at < r.file.n - 30; at += 41) {
		const uint8_t was = r.file.p[at];
		r.file.p[at] = '!';
		OK(!kf_ok(read_file(buf_slice(&r.file), &line)));
		EQ(line, second);
		r.file.p[at] = was;
	}
	OK(kf_ok(read_file(buf_slice(&r.file), &line)));
	r.file.p[0] = ' '; /* the first BEGIN is gone, its END is not */
	OK(kf_is(read_file(buf_slice(&r.file), &line), KF_E_MALFORMED));
	EQ(line, second - 1);
}

TEST(text_for_people_and_other_blocks_are_passed_over)
{
	RIG(r, 0);
	unsigned line;
	autobuf file = buf_new(1 << 16);
	buf_add_text(&file, "The authority\n---------------\n");
	buf_add_slice(&file, buf_slice(&r.pem));
	buf_add_text(&file,
		"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC "
		"PARAMETERS-----\nsubject=CN = root\n");
	buf_add_slice(&file, buf_slice(&r.root_pem));
	OK(kf_ok(read_file(buf_slice(&file), &line)));
	OK(kf_is(read_file(slice_of("nothing"), &line), KF_E_MALFORMED));
	EQ(line, 0);
}

TEST(certificates_that_do_not_belong_together_are_refused)
{
	RIG(r, 0);
	RIG(other, 0);
	unsigned line;
	autobuf file = buf_new(1 << 16);
	buf_add_slice(&file, buf_slice(&r.pem));
	buf_add_slice(&file, buf_slice(&other.root_pem));
	OK(kf_is(read_file(buf_slice(&file), &line), KF_E_DENIED));
	EQ(line, lines_in(buf_slice(&r.pem)) + 1);
}

TEST(path_lengths_hold)
{
	RIG(none, .root_basic = "critical,CA:TRUE,pathlen:0");
	RIG(one, .root_basic = "critical,CA:TRUE,pathlen:1");
	unsigned line;
	OK(kf_is(read_file(buf_slice(&none.file), &line), KF_E_DENIED));
	OK(kf_ok(read_file(buf_slice(&one.file), &line)));
}

/* --- name constraints --- */

static char refused[256]; /* which one */

static kf_err ask_names(const struct rig *r, const struct issue_names *names)
{
	autobuf which = buf_new(sizeof(refused) - 1);
	struct issue_ca *ca = NULL;
	struct issue_request *q = NULL;
	unsigned char *der = NULL;
	unsigned line;
	const int n = i2d_PUBKEY(r->key, &der);
	kf_err err = issue_ca_new(buf_slice(&r->file), &line, &ca);
	if (kf_ok(err))
		err = issue_request_new((struct slice){ der, (size_t)n }, names, &q);
	if (kf_ok(err))
		err = issue_check_constraints(ca, false, q, &which);
	(void)slice_to_text(buf_slice(&which), refused, sizeof(refused));
	OPENSSL_free(der);
	issue_request_free(q);
	issue_ca_free(ca);
	return err;
}

/* What of a server's certificate with this name? */
static kf_err ask(const struct rig *r, const char *name)
{
	const struct issue_part part = { NID_commonName, slice_of(name) };
	return ask_names(r, &(struct issue_names){ .parts = &part, .parts_n = 1 });
}

static void add_alternative(struct buf *der, const char *name)
{
	buf_add_u8(der, 0x82);
	buf_add_u8(der, (uint8_t)strlen(name));
	buf_add_text(der, name);
}

/* ... as its alternative name only? */
static kf_err ask_alternative(const struct rig *r, const char *name)
{
	autobuf der = buf_new(256);
	add_alternative(&der, name);
	const struct slice names[] = { buf_slice(&der) };
	return ask_names(r, &(struct issue_names){ .names = names, .n = 1 });
}

TEST(an_authority_without_name_constraints_permits_all_names)
{
	RIG(r, 0);
	OK(kf_ok(ask(&r, "www.example.org")));
}

TEST(what_the_authoritys_certificate_does_not_permit_is_refused)
{
	RIG(r, .constraints =
			"critical,permitted;DNS:example.com,excluded;DNS:no.example.com");
	OK(kf_ok(ask(&r, "www.example.com")));
	OK(kf_is(ask(&r, "www.example.org"), KF_E_NOT_ISSUED_NAME));
	OK(kf_is(ask(&r, "a.no.example.com"), KF_E_NOT_ISSUED_NAME));
}

TEST(alternative_names_alone_are_looked_at)
{
	RIG(r, .constraints =
			"critical,permitted;DNS:example.com,excluded;DNS:no.example.com");
	OK(kf_ok(ask_alternative(&r, "www.example.com")));
	OK(kf_is(ask_alternative(&r, "www.example.org"), KF_E_NOT_ISSUED_NAME));
	OK(kf_is(ask_alternative(&r, "no.example.com"), KF_E_NOT_ISSUED_NAME));
}

TEST(an_asterisk_does_not_stand_for_a_name_that_is_excluded)
{
	RIG(r, .constraints =
			"critical,permitted;DNS:example.com,excluded;DNS:No.example.com,"
			"excluded;DNS:.sub.other.example.com");
	OK(kf_is(ask_alternative(&r, "*.example.com"), KF_E_NOT_ISSUED_NAME));
	OK(kf_is(ask(&r, "*.EXAMPLE.com"), KF_E_NOT_ISSUED_NAME));
	OK(kf_is(ask_alternative(&r, "*.no.example.com"), KF_E_NOT_ISSUED_NAME));
	OK(kf_ok(ask_alternative(&r, "*.other.example.com")));
	OK(kf_ok(ask_alternative(&r, "*.yes.example.com")));
}

enum { MANY = 9 };

/* Of so many names the one at this place is another's. */
static kf_err ask_many(const struct rig *r, int place)
{
	struct buf der[MANY];
	struct slice names[MANY];
	char text[32];
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "w%d.example.%s", i,
			i == place ? "org" : "com");
		der[i] = buf_new(64);
		add_alternative(&der[i], text);
		names[i] = buf_slice(&der[i]);
	}
	const kf_err err =
		ask_names(r, &(struct issue_names){ .names = names, .n = MANY });
	for (int i = 0; i < MANY; i++)
		buf_free(&der[i]);
	return err;
}

TEST(the_first_name_that_is_not_permitted_is_told)
{
	RIG(r, .constraints = "critical,permitted;DNS:example.com");
	char want[32];
	OK(kf_ok(ask_many(&r, -1)) && !refused[0]);
	for (int i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), "w%d.example.org", i);
		OK(kf_is(ask_many(&r, i), KF_E_NOT_ISSUED_NAME));
		OK(!strcmp(refused, want));
	}
	OK(kf_is(ask(&r, "www.example.org"), KF_E_NOT_ISSUED_NAME));
	OK(!strcmp(refused, "www.example.org"));
}

TEST(the_constraints_of_those_above_it_hold_too)
{
	RIG(r, .root_constraints = "critical,permitted;DNS:example.com");
	OK(kf_ok(ask(&r, "www.example.com")));
	OK(kf_is(ask(&r, "www.example.org"), KF_E_NOT_ISSUED_NAME));
}

TEST_MAIN
