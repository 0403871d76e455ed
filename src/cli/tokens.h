/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens: what the commands about tokens need of them, wherever they are: at a key server, or here
 * (`--local`: opened by this program, without any key server).  A command has one body; which of the two
 * answers it is chosen by its options.
 *
 * Tokens and keys are named as people name them; each side finds what is meant.
 */
#pragma once
#include "cli/cli.h"
#include "provision/provision.h"
#include <string.h>

/* One token, for people. */
struct token_line {
	char pool[POOL_NAME_SIZE], serial[TOKEN_SERIAL_SIZE], label[TOKEN_LABEL_SIZE],
		model[TOKEN_MODEL_SIZE], place[TOKEN_PLACE_SIZE], state[32], why[160],
		task[64];
	bool is_initialised, is_write_protected, has_kcv;
	int pin_tries, so_pin_tries; /* TOKEN_TRIES_ENOUGH: enough; -1: not known */
	enum token_wrapping wrapping;
	unsigned shares, shares_missing, keys, problems;
	uint8_t kcv[TOKEN_KCV_SIZE];
	uint64_t signatures, failures;
};

/* One key on tokens. */
struct key_line {
	char pool[POOL_NAME_SIZE], label[TOKEN_LABEL_SIZE], algorithm[32],
		key_id[2 * KEY_ID_SIZE + 1];
	char holders[POOL_TOKENS_MAX * 24]; /* serial numbers, blanks between; cut */
	char missing[POOL_TOKENS_MAX * 24];
	unsigned holders_n;
	char object[160];   /* name of its object at the key server; "" none, or local */
	char destroyed[64]; /* id of its object that was destroyed; "" */
};

struct token_names {
	const char *const *name; /* serial numbers or labels; none: all */
	size_t n;
};

struct key_wish {
	const char *name;
	const struct alg *alg;
	unsigned copies; /* 0: on every token */
	const char *token;
	uint32_t
		usage; /* what the key server lets it be used for; 0: what its type is for */
	bool is_inactive;
	bool wraps; /* AES: other keys, and nothing else */
};

struct tokens;

/* Every answer is appended to what the caller made; reports say what became of each token. */
struct tokens_ops {
	kf_err (*list)(
		struct tokens *t, struct token_line *ret, size_t max, size_t *ret_n);
	kf_err (*keys)(struct tokens *t, void (*see)(void *arg, const struct key_line *k),
		void *arg);
	kf_err (*init)(struct tokens *t, const char *name, const struct token_init *in,
		bool force);
	kf_err (*identify)(struct tokens *t, const char *name);
	kf_err (*drain)(struct tokens *t, const char *name, bool resume);
	kf_err (*change_pin)(struct tokens *t, const char *name,
		const struct token_pin *old, const struct token_pin *new);
	kf_err (*import_shares)(struct tokens *t, const struct token_names *to,
		const struct provision_shares *shares, struct provision_report *ret);
	kf_err (*clone)(struct tokens *t, const char *key, const struct token_names *to,
		struct provision_report *ret);
	kf_err (*erase)(struct tokens *t, const char *key, const struct token_names *from,
		bool force, struct provision_report *ret);
	kf_err (*backup)(struct tokens *t, const char *key, struct buf *ret);
	/* ret_id: the key's name for scripts: the object's id, or the key id. */
	kf_err (*restore)(struct tokens *t, const struct key_wish *wish,
		struct slice file, const struct token_names *to, struct buf *ret_id,
		struct provision_report *ret);
	kf_err (*create)(struct tokens *t, const struct key_wish *wish,
		struct buf *ret_id, struct provision_report *ret);
	kf_err (*certificate)(struct tokens *t, const char *key,
		enum token_certificate_kind kind, struct slice der,
		struct provision_report *ret);
	kf_err (*drift)(struct tokens *t, const struct provision_drift *in);
	void (*close)(struct tokens *t);
};

/* Options that every command about tokens takes. */
struct tokens_options {
	bool is_local;
	struct cli_list sockets;
	const char *driver, *module, *pool, *token, *pin_file, *so_pin_file;
};
#define TOKENS_OPTIONS(o)                                                                \
	{ "local", NULL, &(o).is_local }, { "driver", &(o).driver, NULL },               \
		{ "module", &(o).module, NULL },                                         \
		{ "socket", .list = &(o).sockets, .takes_one = true },                   \
		{ "pool", &(o).pool, NULL }, { "token", &(o).token, NULL },              \
		{ "pin-file", &(o).pin_file, NULL },                                     \
	{                                                                                \
		"so-pin-file", &(o).so_pin_file, NULL                                    \
	}
#define TOKENS_HELP                                                                      \
	"  --pool NAME         of the key server's pools: its section [pool NAME]\n"     \
	"  --local             tokens plugged in here, without any key server\n"         \
	"  --driver NAME       with --local: smartcard-hsm or pkcs11 [smartcard-hsm]\n"  \
	"  --module FILE       with --driver pkcs11: the module\n"                       \
	"  --socket FILE       with --local: another pcscd's; once for each of "         \
	"several\n"                                                                      \
	"  --token TOKEN       with --local: this one only, by serial number or label\n" \
	"  --pin-file FILE     user PIN, mode 0600; else it is asked for\n"

struct tokens {
	const struct tokens_ops *ops;
	struct cli *cli;
	struct tokens_options options;
};

/* Locked memory for PINs, shares and keys, before any of them is read. */
kf_err tokens_secrets(void);

/* `logs_in`: the PIN is asked for unless there is a file. */
kf_err tokens_open(
	struct cli *c, const struct tokens_options *o, bool logs_in, struct tokens **ret);
void tokens_close(struct tokens *t);
static inline void tokens_freep(struct tokens **t) { tokens_close(*t); }
/* The two sides; called by tokens_open(). */
kf_err tokens_open_local(
	struct cli *c, const struct tokens_options *o, bool logs_in, struct tokens **ret);
kf_err tokens_open_server(
	struct cli *c, const struct tokens_options *o, struct tokens **ret);

static inline bool tokens_are_pkcs11(const struct tokens_options *o)
{
	return o->driver ? !strcmp(o->driver, "pkcs11") : o->module != NULL;
}

/* A PIN in locked memory, from a file or the terminal (`twice`: a new one); secret_free(). */
kf_err tokens_read_pin(const struct cli *c, const char *file, const char *what,
	bool twice, struct token_pin **ret);
void token_pin_freep(struct token_pin **p);

/* The table of a report; an error if a token failed.  `id`: of the key that was made, for programs (--json). */
kf_err tokens_print_report(
	const struct cli *c, const struct provision_report *r, const char *id);
/* Notes what the error is about: "NAME: why". */
kf_err tokens_error(const struct cli *c, const char *name, kf_err e);

/* "TOKEN" and "DKEK" as tables show them. */
void token_line_dkek(const struct token_line *l, char *ret, size_t size);
void token_line_of_status(const struct pool_token_status *s, struct token_line *ret);
