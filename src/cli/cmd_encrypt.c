/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet encrypt, decrypt: AES-GCM with a key that stays at the server.
 *
 * What is short is one message: the nonce (12 bytes), the ciphertext, the tag (16 bytes).  What is long is a header and
 * pieces, each of which is such a message.  Not one message in several requests: a server gives no plaintext away before
 * it has seen the tag, so it would have to hold all of it.  Each piece is bound to the header, with its random
 * number, to its place, and to whether it is the last: none can be left out, moved, cut off or taken from elsewhere.
 */
#include "cli/call.h"
#include "cli/data.h"
#include "kmip/decrypt.h"
#include <endian.h>
#include <string.h>
#include <sys/random.h>

enum {
	NONCE = 12,
	TAG = 16,
	AROUND = NONCE + TAG,
	PIECE = 256 << 10,
	PIECE_MAX = CALL_PAYLOAD_MAX - 8192,
	MAGIC = 16,
	FILE_ID = 16
};

struct header {
	uint8_t magic[MAGIC], file[FILE_ID];
	uint32_t piece; /* plaintext bytes of all but the last; big-endian */
} __attribute__((packed));

/* What a piece is bound to. */
struct place {
	struct header header;
	uint64_t number; /* big-endian */
	uint8_t is_last;
} __attribute__((packed));

static const char magic[MAGIC + 1] = "keyfleet-data-1\n";

struct sealing {
	struct cli *cli;
	struct key_ids key;
	struct data_in in;
	struct data_out out;
	struct place place;
	uint64_t pieces;
	const char *from, *to;
};

static void close_all(struct sealing *s)
{
	data_close(&s->in);
	data_drop(&s->out);
}

static kf_err begin(struct cli *c, const char *what, struct sealing *s)
{
	const struct cli_option options[] = { { "in", &s->from, NULL },
		{ "out", &s->to, NULL } };
	s->cli = c;
	KF_TRY(cli_options(c, options, 2));
	KF_TRY(cli_operands(c, 1, 1));
	KF_TRY(data_open(c, s->from, what, &s->in));
	KF_TRY(key_find(c, c->argv[0], &s->key));
	return data_create(c, s->to, &s->out);
}

static struct decrypt_request gcm(const struct sealing *s, struct slice place)
{
	return (struct decrypt_request){
		.uid = kmip_uid_text(slice_of(s->key.id)),
		.has_parameters = true,
		.parameters = { .block_cipher_mode = KMIP_BLOCK_CIPHER_MODE_GCM },
		.has_data = true,
		.additional_data = place,
	};
}

/* ---- one message ---- */

static kf_err seal(struct sealing *s, struct slice plain, struct slice place)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct decrypt_response a;

	payload_init(&p);
	struct decrypt_request q = gcm(s, place);
	q.data = plain;
	encrypt_put_request(&p.w, &q);
	KF_TRY(cli_call(s->cli, KMIP_OPERATION_ENCRYPT, &p, &answer));
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(encrypt_get_response(&r, &a));
	if (a.iv.n != NONCE || a.tag.n != TAG)
		return kf_fail(MALFORMED, "the server's nonce and tag");
	KF_TRY(data_write(&s->out, a.iv));
	KF_TRY(data_write(&s->out, a.data));
	return data_write(&s->out, a.tag);
}

static kf_err unseal(struct sealing *s, struct slice sealed, struct slice place)
{
	autobuf answer = buf_new(CALL_PAYLOAD_MAX);
	autopayload p;
	struct decrypt_response a;

	payload_init(&p);
	if (sealed.n < AROUND) {
		cli_note(s->cli,
			"%s is not what `keyfleet encrypt` writes, or not all of it",
			s->in.name);
		return kf_fail(SHORT, "no nonce and tag");
	}
	struct decrypt_request q = gcm(s, place);
	q.iv = (struct slice){ sealed.p, NONCE };
	q.data = (struct slice){ sealed.p + NONCE, sealed.n - AROUND };
	q.tag = (struct slice){ sealed.p + sealed.n - TAG, TAG };
	decrypt_put_request(&p.w, &q);
	kf_err e = cli_call(s->cli, KMIP_OPERATION_DECRYPT, &p, &answer);
	if (kf_is(e, KF_E_DATA))
		cli_note(s->cli,
			"%s: it is not genuine: changed, not whole, or encrypted by "
			"another key",
			s->in.name);
	KF_TRY(e);
	struct ttlv_reader r = answer_reader(&answer);
	KF_TRY(decrypt_get_response(&r, &a));
	return data_write(&s->out, a.data);
}

/* ---- many ---- */

typedef kf_err work_one(struct sealing *s, struct slice bytes, struct slice place);

static kf_err work_piece(
	struct sealing *s, work_one *work, const struct buf *bytes, bool is_last)
{
	s->place.number = htobe64(s->pieces++);
	s->place.is_last = is_last;
	return work(s, buf_slice(bytes),
		(struct slice){ (const uint8_t *)&s->place, sizeof(s->place) });
}

/* Two in turn, the first two are read: one is the last if nothing follows. */
static kf_err work_pieces(
	struct sealing *s, work_one *work, struct buf pair[2], size_t size)
{
	for (size_t i = 0;; i++) {
		struct buf *now = &pair[i % 2], *next = &pair[(i + 1) % 2];
		if (!next->n)
			return work_piece(s, work, now, true);
		KF_TRY(work_piece(s, work, now, false));
		buf_clear(now);
		KF_TRY(data_read(&s->in, size, now));
	}
}

struct pair {
	struct buf of[2];
};

static void pair_free(struct pair *p)
{
	buf_free(&p->of[0]);
	buf_free(&p->of[1]);
}

static kf_err pair_read(struct sealing *s, size_t size, struct pair *ret)
{
	ret->of[0] = buf_new(size);
	ret->of[1] = buf_new(size);
	KF_TRY(data_read(&s->in, size, &ret->of[0]));
	return data_read(&s->in, size, &ret->of[1]);
}

/* ---- encrypt ---- */

static kf_err write_header(struct sealing *s)
{
	struct header *h = &s->place.header;
	memcpy(h->magic, magic, MAGIC);
	h->piece = htobe32(PIECE);
	if (getrandom(h->file, sizeof(h->file), 0) != sizeof(h->file))
		return kf_fail(INTERNAL, "no random numbers");
	return data_write(&s->out, (struct slice){ (const uint8_t *)h, sizeof(*h) });
}

static kf_err encrypt(struct sealing *s)
{
	CLEANUP(pair_free) struct pair p = { 0 };
	KF_TRY(pair_read(s, PIECE, &p));
	if (!p.of[1].n)
		return seal(s, buf_slice(&p.of[0]), (struct slice){ 0 });
	KF_TRY(write_header(s));
	return work_pieces(s, seal, p.of, PIECE);
}

static kf_err run_encrypt(struct cli *c)
{
	CLEANUP(close_all)
	struct sealing s = { .in = { .fd = -1, .cli = c },
		.out = { .file = { .fd = -1 } } };
	KF_TRY(begin(c, "encrypt", &s));
	KF_TRY(encrypt(&s));
	return data_finish(&s.out);
}

/* ---- decrypt ---- */

static bool has_header(const struct buf *b)
{
	return b->n >= sizeof(struct header) && !memcmp(b->p, magic, MAGIC);
}

static kf_err decrypt_pieces(struct sealing *s, const struct buf *header)
{
	memcpy(&s->place.header, header->p, sizeof(s->place.header));
	size_t piece = be32toh(s->place.header.piece);
	if (piece < 1 || piece > PIECE_MAX)
		return cli_file_error(s->cli, s->in.name,
			kf_fail(MALFORMED, "its pieces have no size that there is"));
	CLEANUP(pair_free) struct pair p = { 0 };
	KF_TRY(pair_read(s, piece + AROUND, &p));
	return work_pieces(s, unseal, p.of, piece + AROUND);
}

static kf_err decrypt_whole(struct sealing *s, struct buf *sealed)
{
	KF_TRY(data_read(&s->in, PIECE_MAX + AROUND + 1 - sealed->n, sealed));
	if (sealed->n > PIECE_MAX + AROUND)
		return cli_file_error(s->cli, s->in.name,
			kf_fail(TOO_BIG, "is not what `keyfleet encrypt` writes"));
	return unseal(s, buf_slice(sealed), (struct slice){ 0 });
}

static kf_err run_decrypt(struct cli *c)
{
	CLEANUP(close_all)
	struct sealing s = { .in = { .fd = -1, .cli = c },
		.out = { .file = { .fd = -1 } } };
	autobuf first = buf_new(PIECE_MAX + AROUND + 1);
	KF_TRY(begin(c, "decrypt", &s));
	KF_TRY(data_read(&s.in, sizeof(struct header), &first));
	KF_TRY(has_header(&first) ? decrypt_pieces(&s, &first)
				  : decrypt_whole(&s, &first));
	return data_finish(&s.out);
}

const struct command command_encrypt = {
	.words = "encrypt",
	.args = "KEY [--in FILE] [--out FILE]",
	.summary = "encrypt data with an AES key that stays at the server",
	.help = "  --in FILE   what is encrypted [standard input]\n"
		"  --out FILE  appears when it is whole, mode 0600 [standard output]\n"
		"\nAES-GCM.  Up to 256 KiB are one message: the nonce (12 bytes), the "
		"ciphertext, the\ntag (16 bytes).  More become a file of such messages: "
		"the key "
		"server answers about\n4 of them a MiB, and each counts as one use.\n",
	.run = run_encrypt,
};

const struct command command_decrypt = {
	.words = "decrypt",
	.args = "KEY [--in FILE] [--out FILE]",
	.summary = "decrypt what encrypt has written",
	.help = "  --in FILE   what is decrypted [standard input]\n"
		"  --out FILE  appears when all of it is genuine, mode 0600 [standard "
		"output]\n"
		"\nNothing is written that is not genuine.  To standard output, long "
		"data come "
		"before\ntheir end was seen: use --out, or mind the exit status.\n",
	.run = run_decrypt,
};
