/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor_cert.h"
#include "base/clock.h"
#include "base/conf.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PEM_MAX = 1 << 20, DAY_S = 86400, SOON_DAYS = 21 };

/* A file's text as a BIO over `text`. */
static BIO *open_bio(const char *path, struct buf *text, const char **ret_why)
{
	autobuf lines = buf_new(65536);
	kf_err e = conf_read_file(path, text, &lines);
	if (!kf_ok(e)) {
		*ret_why = e.site->text;
		return NULL;
	}
	return BIO_new_mem_buf(text->p, (int)text->n);
}

X509 *doctor_cert_open(const char *path, const char **ret_why)
{
	autobuf text = buf_new(PEM_MAX);
	BIO *in = open_bio(path, &text, ret_why);
	if (!in)
		return NULL;
	X509 *x = PEM_read_bio_X509(in, NULL, NULL, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (!x)
		*ret_why = "there is no PEM certificate in it";
	return x;
}

/* Nobody is asked for a pass phrase. */
static int no_passphrase(char *to, int size, int is_writing, void *arg)
{
	(void)to, (void)size, (void)is_writing, (void)arg;
	return -1;
}

EVP_PKEY *doctor_key_open(const char *path, const char **ret_why)
{
	autobuf text = buf_new(PEM_MAX);
	BIO *in = open_bio(path, &text, ret_why);
	if (!in)
		return NULL;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL);
	BIO_free(in);
	ERR_clear_error();
	if (!key)
		*ret_why = "there is no PEM private key in it that can be read";
	return key;
}

static int64_t seconds_of(const ASN1_TIME *t)
{
	struct tm tm = { 0 };
	return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

static void print_date(int64_t at, int64_t now, char *ret, size_t size)
{
	struct tm tm;
	time_t t = at;
	char date[32];
	long days = (long)((at - now) / DAY_S);
	if (!gmtime_r(&t, &tm) || !strftime(date, sizeof(date), "%Y-%m-%d", &tm))
		date[0] = 0;
	if (days > 0)
		snprintf(ret, size, "%s, in %ld days", date, days);
	else if (days < 0)
		snprintf(ret, size, "%s, %ld days ago", date, -days);
	else
		snprintf(ret, size, "%s, %s", date, at < now ? "hours ago" : "in hours");
}

static struct doctor_dates judge(int64_t from, int64_t to, bool is_soon)
{
	int64_t now = clock_wall_s();
	struct doctor_dates d = { .validity = is_soon ? CERT_SOON : CERT_FINE,
		.word = "expires on" };
	if (now > to)
		d = (struct doctor_dates){ CERT_EXPIRED, "has expired on", "" };
	else if (now < from)
		d = (struct doctor_dates){ CERT_FUTURE, "is not valid before", "" };
	print_date(d.validity == CERT_FUTURE ? from : to, now, d.date, sizeof(d.date));
	return d;
}

struct doctor_dates doctor_dates_between(int64_t from, int64_t to, int soon_days)
{
	return judge(from, to, to - clock_wall_s() < (int64_t)soon_days * DAY_S);
}

struct doctor_dates doctor_dates(const X509 *certificate)
{
	int64_t from = seconds_of(X509_get0_notBefore(certificate));
	int64_t to = seconds_of(X509_get0_notAfter(certificate));
	int64_t left = to - clock_wall_s();
	return judge(
		from, to, left < (int64_t)SOON_DAYS * DAY_S && left < (to - from) / 3);
}

void doctor_common_name(const X509 *certificate, char *ret, size_t size)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	if (X509_NAME_get_text_by_NID(name, NID_commonName, ret, (int)size) < 0)
		snprintf(ret, size, "NAME");
}

bool doctor_is_open(const char *path, bool may_group, char ret[8])
{
	struct stat st;
	unsigned forbidden = may_group ? S_IRWXO | S_IWGRP : S_IRWXG | S_IRWXO;
	if (stat(path, &st) || !(st.st_mode & forbidden))
		return false;
	snprintf(ret, 8, "%04o", st.st_mode & 07777u);
	return true;
}
