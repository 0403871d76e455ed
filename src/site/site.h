/* SPDX-License-Identifier: Apache-2.0
 *
 * site: what a stock web server is configured with, as far as its keys are concerned: which certificate
 * goes with which private key, in which line of which file, where it listens, for which names; and what
 * else decides whether a key reference will work there (user, chroot, workers, timeouts).
 *
 * The files are read as the server reads them: includes, inheritance, continued lines, quotes.  What the
 * server would only know at run time (variables, a pass phrase program, an engine) is reported and not
 * guessed.  Nothing here starts a program or changes a file; site_edit() makes the new text of one.
 *
 * A struct site is plain data, owned by the caller, freed by site_free(); all texts in it live as long
 * as it does.
 */
#pragma once
#include "base/buf.h"

enum site_kind { SITE_NGINX, SITE_APACHE, SITE_HAPROXY, SITE_STUNNEL };
enum { SITE_KINDS = 4 };

const char *site_kind_name(enum site_kind kind); /* "nginx", "apache", ... */
bool site_kind_find(const char *name, enum site_kind *ret);
/* Where the distribution keeps the configuration: "/etc/nginx/nginx.conf". */
const char *site_default_file(enum site_kind kind);

/* What a listener expects before TLS. */
enum site_opening {
	SITE_TLS,
	SITE_PROXY_LINE,     /* the PROXY protocol */
	SITE_OTHER_PROTOCOL, /* SMTP, ...: the client asks for TLS in it */
};

/* One argument of a directive and where it stands. */
struct site_value {
	const char *text; /* without quotes; paths are absolute; NULL: not given */
	const char *file; /* NULL: a default of the server, stands nowhere */
	size_t line;      /* from 1 */
	size_t at, n;     /* its bytes in the file, quotes included: for site_edit() */
	/* of a pair's listens */
	enum site_opening opening;
	const char *
		name; /* what a client could ask for here, perhaps "*.example.org"; NULL: nothing */
};

struct site_values {
	struct site_value *item;
	size_t n;
};

/* How a key lies beside its certificate. */
enum site_shape {
	SITE_SEPARATE, /* two directives name two files */
	SITE_BUNDLE, /* one file holds both; `key` has its path, and a file if a directive names it again */
	SITE_BESIDE, /* HAProxy: `key` is CERTIFICATE.key, found by itself; no directive names it */
};

/* How the server comes to the certificate's file. */
enum site_source {
	SITE_NAMED,  /* a directive names it: `certificate` is its argument */
	SITE_LISTED, /* HAProxy: a line of a crt-list, which is certificate.file */
	SITE_FOUND, /* HAProxy: in a folder, or as FILE.rsa, FILE.ecdsa: its name must stay;
		       certificate.at, n is what led there */
};

/* A certificate and its key.  Directives that several virtual servers inherit make one pair. */
struct site_pair {
	enum site_shape shape;
	enum site_source source;
	struct site_value certificate, key;
	struct site_values
		listens; /* "*:443", "127.0.0.1:8443", "[::]:443", "unix:/path" */
	struct site_values
		names; /* server_name, ServerName and ServerAlias, SNI filters, service */
	/* Why the key cannot be moved, a constant text: a variable in the path, a pass phrase, an engine or
	 * store; NULL: it can. */
	const char *why_not;
};

/* What else the configuration says.  A fact may be there several times; the last one rules. */
enum site_fact_id {
#define FACT(id, text) SITE_##id,
#include "site/fact.def"
#undef FACT
	SITE_FACTS
};
const char *site_fact_name(enum site_fact_id id);

struct site_fact {
	enum site_fact_id id;
	const char *directive; /* as the server calls it: "worker_processes" */
	struct site_value
		value; /* the arguments, joined by blanks; text is "" without any */
};

struct site {
	enum site_kind kind;
	const char *file;   /* the one that was asked for */
	const char **files; /* all that were read, in their order; [0] is `file` */
	size_t n_files;
	struct site_pair *pairs; /* in the order of the files */
	size_t n_pairs;
	struct site_fact *facts;
	size_t n_facts;
	void *memory; /* of all of it */
};

/* How files are reached.  NULL in site_read(): the file system as it is. */
struct site_files {
	void *arg;
	/* Appends the file.  NOT_FOUND, DENIED, IO, TOO_BIG. */
	kf_err (*read)(void *arg, const char *path, struct buf *ret);
	/* Calls each() for what the pattern matches, in order of the names; nothing matching is no error.
	 * A pattern without wildcards matches what exists. */
	kf_err (*glob)(void *arg, const char *pattern,
		kf_err (*each)(void *site, const char *path), void *site);
	bool (*is_dir)(void *arg, const char *path);
};

/* CONFIG: every mistake that was found stands in `why`, "FILE:LINE: what is wrong" and what to do, a line
 * each.  Other errors are those of reading; `why` names the file. */
kf_err site_read(enum site_kind kind, const char *file, const struct site_files *files,
	struct site *ret, struct buf *why);
void site_free(struct site *s);

/* The last fact of this id, or NULL. */
const struct site_fact *site_fact(const struct site *s, enum site_fact_id id);

/* What a client says before TLS, as a balancer that has nothing to say of its visitor; NULL: another
 * protocol, which we do not speak. */
const char *site_introduction(enum site_opening opening);

/* Files as the file system has them: for those who read certificates and keys. */
extern const struct site_files site_disk;

/* A change of a file's text: the n bytes at `at`, which must be `was`, become `now`.  n = 0 inserts. */
struct site_edit {
	size_t at, n;
	const char *was, *now;
};
/* All edits of one file, in any order; every other byte stays.  CONFLICT if the text is not what it was when
 * it was read, or if edits overlap. */
kf_err site_edit(
	struct slice text, const struct site_edit *edits, size_t n, struct buf *ret);
/* A path as an argument for this kind of server: quoted where it has to be.  INVALID_FIELD for bytes that the
 * server could not read back. */
kf_err site_quote(enum site_kind kind, const char *path, struct buf *ret);
