/* SPDX-License-Identifier: Apache-2.0 */
/* keyfleet.h: libkeyfleet, keys and signatures from key servers (KMIP over mutual TLS).
 *
 * Two handles, two ways of working:
 *   kf_client   blocking calls.  Thread-safe: share one among all threads of the process; each call
 *               has a connection of its own for as long as it lasts, from a pool that keeps them open.
 *   kf_async    many calls in flight on few connections, for event loops.  One thread at a time.
 *
 * Rules for both
 * - The library creates no threads, raises no signals (no SIGPIPE either), installs no handlers,
 *   changes no locale, umask or working directory, and writes to no standard stream.
 * - fork: a kf_client that is open when the process forks works in both processes.  The child closes
 *   its copies of the parent's connections without a word on them and makes its own.  A kf_async is
 *   the parent's alone: the child may only free it.
 * - Every call ends by its deadline.  A call that another server could answer is repeated there, as
 *   long as repeating cannot do harm: signatures and reads always; changes too, on keyfleet servers,
 *   because they carry a request id under which a server does the work once; on other KMIP servers
 *   only what is idempotent.
 * - A signature that is late, but not lost, is asked for at a second server by a kf_async and by the
 *   host's agent; a kf_client waits for its server, and goes to another one when that fails.
 * - Text is UTF-8 and ends with NUL.  Sizes are bytes, times milliseconds unless a name says otherwise.
 *   A structure is zeroed before use; a zero field means "the default"; `reserved` stays zero.
 * - Pointers in requests are borrowed until the function returns.  What the library allocates has a
 *   free function of its own, which accepts NULL.  Results are written on KF_SUCCESS only.
 *
 * Link with `pkg-config --cflags --libs keyfleet`.  References: OASIS KMIP 2.1.
 */
#ifndef KEYFLEET_H
#define KEYFLEET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KF_API __attribute__((visibility("default")))
#else
#define KF_API
#endif

#define KF_ID_SIZE    129 /* of a Unique Identifier with its NUL */
#define KF_TEXT_SIZE  240 /* of an error text with its NUL */
#define KF_REQUEST_ID 16  /* bytes of a request id */

/* ---- results ------------------------------------------------------------------------------- */

/* clang-format off */
typedef enum kf_result {
	KF_SUCCESS = 0,
	KF_INVALID_ARGUMENT = 1, /* the caller's mistake; nothing was sent */
	KF_NO_MEMORY = 2,
	KF_CONFIG = 3,           /* the configuration or a file that it names cannot be used */
	KF_BUFFER_TOO_SMALL = 4, /* the caller's buffer; its `used` says how much is needed */
	KF_UNAVAILABLE = 5,      /* no server can be reached */
	KF_TIMEOUT = 6,          /* deadline passed; the work was not done, or repeating it is harmless */
	KF_BUSY = 7,             /* servers are overloaded; try again later */
	KF_OUTCOME_UNKNOWN = 8,  /* sent, no answer: repeat with the same request id to find out */
	KF_PROTOCOL = 9,         /* the peer does not speak KMIP as the standard says */
	KF_DENIED = 10,          /* certificate or client not accepted */
	KF_NOT_FOUND = 11,       /* no such object, or not for this client */
	KF_UNSUPPORTED = 12,     /* operation or feature that the server does not have */
	KF_WRONG_STATE = 13,     /* object not active, destroyed, archived */
	KF_NOT_ALLOWED = 14,     /* usage mask, Sensitive, Extractable or a constraint forbids it */
	KF_REFUSED = 15,         /* any other refusal; see kf_call.reason */
	KF_EXISTS = 16,          /* name or object exists already */
	KF_SERVER_ERROR = 17,    /* the server failed */
	KF_INTERNAL = 18         /* a bug in this library; please report it */
} kf_result;
/* clang-format on */

/* A short text for people, constant, never NULL, also for values unknown to this version. */
KF_API const char *kf_result_text(kf_result result);

/* What a single call may say and learn; the caller's, on its stack.  Every `call` parameter may be
 * NULL.  Not shared between calls that run at the same time. */
typedef struct kf_call {
	/* in */
	uint32_t timeout_ms; /* 1..600000; 0: the client's `timeout` */
	/* KF_REQUEST_ID random bytes for a call that changes something, or NULL: the library makes one.
	 * Give your own to repeat a call after KF_OUTCOME_UNKNOWN, even from another process. */
	const uint8_t *request_id;
	/* out, written by every call */
	kf_result result;
	uint32_t reason;         /* KMIP Result Reason; 0: none */
	uint32_t attempts;       /* how many times something was sent */
	char text[KF_TEXT_SIZE]; /* what happened, for people; holds no secrets */
	uint32_t reserved[4];
} kf_call;

/* call->text, or a text for call == NULL. */
KF_API const char *kf_error_text(const kf_call *call);

/* A buffer of the caller. */
typedef struct kf_buffer {
	void *data;
	size_t size; /* in: room; at most SIZE_MAX */
	size_t used; /* out: bytes written, or needed after KF_BUFFER_TOO_SMALL */
} kf_buffer;

/* Bytes of the caller, only read. */
typedef struct kf_bytes {
	const void *data;
	size_t size;
} kf_bytes;

typedef struct kf_id {
	char text[KF_ID_SIZE];
} kf_id;

/* ---- the client ---------------------------------------------------------------------------- */

typedef struct kf_client kf_client;

/* What client.conf says, for programs that have no such file.  Files are read when the client is
 * opened; nothing is read later, so a program may give up its rights or change its root. */
typedef struct kf_options {
	const char *servers; /* "host:port host:port [v6]:port"; port 5696 when missing */
	const char *address_file; /* and, or instead: a file with one such address */
	const char *
		server_name; /* what the certificates must show; NULL: the host; "*": any */
	const char *ca;      /* PEM file: who may sign the servers' certificates */
	const char
		*certificate; /* PEM file with the client's certificate and its chain */
	const char *key;      /* PEM file with its private key */
	const char
		*agent; /* instead of all above: "@name" or "/path" of the host's agent */
	uint32_t timeout_ms; /* for a call, all attempts together; default 10000 */
	uint32_t connect_timeout_ms; /* TCP and TLS of one attempt; default 2000 */
	uint32_t idle_ms;     /* an idle connection is closed after; default 60000 */
	uint32_t pool_size;   /* idle connections kept per server, 0..1024; default 8 */
	uint32_t connections; /* kf_async: connections per server, 1..64; default 2 */
	uint32_t message_max; /* largest answer taken, bytes; default 1 MiB */
	uint32_t reserved[8];
} kf_options;

/* Opens a client with the configuration in `path`; NULL: $KEYFLEET_CONFIG, else
 * /etc/keyfleet/client.conf.  Connects to nobody yet.  Errors: KF_CONFIG with file and line in the
 * text, KF_NO_MEMORY. */
KF_API kf_result kf_client_open(const char *path, kf_client **ret, kf_call *call);
/* The same from options; strings are copied. */
KF_API kf_result kf_client_new(const kf_options *options, kf_client **ret, kf_call *call);
/* Closes its connections and frees it.  No call may be running. */
KF_API void kf_client_free(kf_client *client);

/* ---- signatures ---------------------------------------------------------------------------- */

typedef enum kf_scheme {
	KF_RSA_PKCS1_SHA256 = 1,
	KF_RSA_PKCS1_SHA384 = 2,
	KF_RSA_PKCS1_SHA512 = 3,
	KF_RSA_PSS_SHA256 = 4, /* MGF1 and salt length as the digest's, as TLS wants it */
	KF_RSA_PSS_SHA384 = 5,
	KF_RSA_PSS_SHA512 = 6,
	KF_ECDSA_SHA256 = 7, /* signatures are the DER SEQUENCE { r, s } */
	KF_ECDSA_SHA384 = 8,
	KF_ECDSA_SHA512 = 9,
	KF_ED25519 = 10 /* data always travel whole */
} kf_scheme;

typedef struct kf_sign_request {
	const char *key; /* Unique Identifier of the private key */
	kf_scheme scheme;
	int is_digest; /* 0: data are the message; 1: its digest (not for Ed25519) */
	const void *data;
	size_t size; /* messages above 1280 bytes are hashed here, except for Ed25519 */
	uint32_t reserved[4];
} kf_sign_request;

/* Signs (KMIP 2.1, Sign).  1 KiB of room fits every signature. */
KF_API kf_result kf_sign(kf_client *client, const kf_sign_request *request,
	kf_buffer *signature, kf_call *call);

/* Verifies with the public key `request->key` (KMIP 2.1, Signature Verify).  *is_valid is 1 or 0; an
 * invalid signature is a KF_SUCCESS with 0. */
KF_API kf_result kf_signature_verify(kf_client *client, const kf_sign_request *request,
	const kf_bytes *signature, int *is_valid, kf_call *call);

typedef enum kf_padding {
	KF_PKCS1_V15 = 1,
	KF_OAEP_SHA1 = 2,
	KF_OAEP_SHA256 = 3,
	KF_PKCS1_V15_TLS =
		4 /* the RSA key exchange of TLS 1.2: always gives 48 bytes (RFC 5246 7.4.7.1) */
} kf_padding;

typedef struct kf_decrypt_request {
	const char *key; /* Unique Identifier of the RSA private key */
	kf_padding padding;
	uint16_t tls_client_version; /* KF_PKCS1_V15_TLS: from the ClientHello, 0x0303 */
	uint16_t tls_negotiated_version; /* 0x0303, or 0: do not look for it */
	const void *data;
	size_t size;
	uint32_t reserved[4];
} kf_decrypt_request;

/* Decrypts (KMIP 2.1, Decrypt).  Wipe the buffer after use. */
KF_API kf_result kf_decrypt(kf_client *client, const kf_decrypt_request *request,
	kf_buffer *plain, kf_call *call);

/* ---- encryption and codes with symmetric keys ------------------------------------------------ */

typedef enum kf_cipher {
	KF_AES_GCM = 1,           /* encrypts and authenticates: what to use */
	KF_CHACHA20_POLY1305 = 2, /* the same with a key of ChaCha20 */
	/* These notice nothing of what somebody has changed: for data of other programs. */
	KF_AES_CBC_PKCS5 = 3,
	KF_AES_CBC = 4, /* whole blocks of 16 bytes */
	KF_AES_CTR = 5
} kf_cipher;

typedef struct kf_cipher_request {
	const char *key; /* Unique Identifier of the symmetric key */
	kf_cipher cipher;
	const void *data; /* travel in one message: see `message_max` */
	size_t size;
	/* 12 bytes for the first two ciphers, 16 for the others.  To encrypt: leave it empty, and the server
	 * makes a random one, good for 2^32 calls with one key; your own never twice with the same key.
	 * To decrypt: what the encryption gave. */
	kf_bytes iv;
	/* Authenticated with the data, and not part of them; the first two ciphers only. */
	kf_bytes additional_data;
	/* To decrypt with the first two ciphers: what the encryption gave.  12 to 16 bytes. */
	kf_bytes tag;
	uint32_t reserved[4];
} kf_cipher_request;

/* The caller's buffers.  When one is too small, all three say how much is needed, and none is written. */
typedef struct kf_encrypted {
	/* As long as the plain text; KF_AES_CBC_PKCS5: up to 16 bytes more. */
	kf_buffer data;
	kf_buffer iv;  /* 16 bytes of room fit every cipher */
	kf_buffer tag; /* 16 bytes, or none: the cipher does not authenticate */
} kf_encrypted;

/* Encrypts (KMIP 2.1, Encrypt).  A call that goes to a second server has an IV of its own there. */
KF_API kf_result kf_cipher_encrypt(kf_client *client, const kf_cipher_request *request,
	kf_encrypted *ret, kf_call *call);
/* Decrypts (KMIP 2.1, Decrypt).  KF_REFUSED for what is not genuine, whatever was changed.  Wipe the
 * buffer after use. */
KF_API kf_result kf_cipher_decrypt(kf_client *client, const kf_cipher_request *request,
	kf_buffer *plain, kf_call *call);

typedef enum kf_mac_algorithm {
	KF_HMAC_SHA256 = 1,
	KF_HMAC_SHA384 = 2,
	KF_HMAC_SHA512 = 3,
	KF_CMAC_AES = 4 /* with an AES key */
} kf_mac_algorithm;

typedef struct kf_mac_request {
	const char *key; /* Unique Identifier of a symmetric key or secret data */
	kf_mac_algorithm algorithm;
	const void *data; /* travel in one message: see `message_max` */
	size_t size;
	uint32_t reserved[4];
} kf_mac_request;

/* Computes a message authentication code (KMIP 2.1, MAC).  64 bytes of room fit every one. */
KF_API kf_result kf_mac(
	kf_client *client, const kf_mac_request *request, kf_buffer *mac, kf_call *call);
/* Verifies one (KMIP 2.1, MAC Verify).  *is_valid is 1 or 0; a wrong code is a KF_SUCCESS with 0. */
KF_API kf_result kf_mac_verify(kf_client *client, const kf_mac_request *request,
	const kf_bytes *mac, int *is_valid, kf_call *call);

/* ---- objects ------------------------------------------------------------------------------- */

typedef enum kf_object_type { /* KMIP Object Type */
	KF_CERTIFICATE = 1,
	KF_SYMMETRIC_KEY = 2,
	KF_PUBLIC_KEY = 3,
	KF_PRIVATE_KEY = 4,
	KF_SECRET_DATA = 7,
	KF_OPAQUE_OBJECT = 8
} kf_object_type;

typedef enum kf_key_format { /* KMIP Key Format Type; 0: what the server likes */
	KF_FORMAT_RAW = 1,
	KF_FORMAT_OPAQUE = 2,
	KF_FORMAT_PKCS1 = 3,
	KF_FORMAT_PKCS8 = 4,
	KF_FORMAT_X509 = 5 /* of a public key: SubjectPublicKeyInfo */
} kf_key_format;

enum { /* KMIP Cryptographic Usage Mask */
	KF_MAY_SIGN = 0x1,
	KF_MAY_VERIFY = 0x2,
	KF_MAY_ENCRYPT = 0x4,
	KF_MAY_DECRYPT = 0x8,
	KF_MAY_WRAP = 0x10,
	KF_MAY_UNWRAP = 0x20,
	KF_MAY_MAC = 0x80,
	KF_MAY_VERIFY_MAC = 0x100,
	KF_MAY_DERIVE = 0x200,
	KF_MAY_AGREE = 0x800,
	KF_MAY_SIGN_CERTIFICATES = 0x1000,
	KF_MAY_SIGN_CRLS = 0x2000
};

typedef struct kf_object kf_object;

/* Fetches an object's value (KMIP 2.1, Get).  Its memory is wiped by kf_object_free(). */
KF_API kf_result kf_get(kf_client *client, const char *id, kf_key_format format,
	kf_object **ret, kf_call *call);
KF_API kf_object_type kf_object_get_type(const kf_object *object);
/* 0 for objects without a key block (certificates). */
KF_API kf_key_format kf_object_get_format(const kf_object *object);
/* DER or raw bytes, as type and format say; valid until kf_object_free(). */
KF_API const void *kf_object_get_bytes(const kf_object *object, size_t *size);
KF_API void kf_object_free(kf_object *object);

typedef struct kf_new_object {
	/* "aes:256", "chacha20:256", "hmac-sha256:256" (also hmac-sha384, hmac-sha512) for kf_create();
	 * "rsa:2048", "ec:P-256" (also prime256v1, secp256r1), "ed25519" for kf_create_key_pair(); NULL for
	 * kf_register() unless the bytes do not tell. */
	const char *algorithm;
	const char *name; /* KMIP Name, or NULL */
	uint32_t
		usage; /* KF_MAY_..., of a pair: the private key's; 0: what its type is for */
	int is_active; /* 1: active at once; 0: kf_activate() makes it usable */
	/* kf_register() only */
	kf_object_type type;
	kf_key_format format;
	const void *bytes;
	size_t size;
	uint32_t reserved[4];
} kf_new_object;

/* Makes a symmetric key (KMIP 2.1, Create). */
KF_API kf_result kf_create(
	kf_client *client, const kf_new_object *request, kf_id *ret, kf_call *call);
/* Makes a key pair (KMIP 2.1, Create Key Pair). */
KF_API kf_result kf_create_key_pair(kf_client *client, const kf_new_object *request,
	kf_id *ret_private, kf_id *ret_public, kf_call *call);
/* Stores an object made elsewhere (KMIP 2.1, Register). */
KF_API kf_result kf_register(
	kf_client *client, const kf_new_object *request, kf_id *ret, kf_call *call);

/* Activate, Revoke (reason: KMIP Revocation Reason Code, 1 unspecified, 2 key compromise, ...; text
 * may be NULL), Destroy (KMIP 2.1). */
KF_API kf_result kf_activate(kf_client *client, const char *id, kf_call *call);
KF_API kf_result kf_revoke(kf_client *client, const char *id, uint32_t reason,
	const char *text, kf_call *call);
KF_API kf_result kf_destroy(kf_client *client, const char *id, kf_call *call);

typedef struct kf_locate_request {
	const char *name;    /* NULL: any */
	const char *group;   /* Object Group; NULL: any */
	kf_object_type type; /* 0: any */
	uint32_t state;      /* KMIP State, 2 = active; 0: any */
	uint32_t count_max;  /* 0: as many as the server gives */
	uint32_t offset;     /* objects to skip */
	uint32_t reserved[4];
} kf_locate_request;

typedef struct kf_list kf_list;

/* Finds objects (KMIP 2.1, Locate). */
KF_API kf_result kf_locate(kf_client *client, const kf_locate_request *request,
	kf_list **ret, kf_call *call);
KF_API size_t kf_list_size(const kf_list *list);
/* i < kf_list_size(), else NULL; valid until kf_list_free(). */
KF_API const char *kf_list_get(const kf_list *list, size_t i);
KF_API void kf_list_free(kf_list *list);

enum { /* KMIP tags of common attributes */
	KF_ATTRIBUTE_ALGORITHM = 0x420028,
	KF_ATTRIBUTE_LENGTH = 0x42002A,
	KF_ATTRIBUTE_USAGE = 0x42002C,
	KF_ATTRIBUTE_LINK = 0x42004A,
	KF_ATTRIBUTE_NAME = 0x420053,
	KF_ATTRIBUTE_OBJECT_GROUP = 0x420056,
	KF_ATTRIBUTE_OBJECT_TYPE = 0x420057,
	KF_ATTRIBUTE_STATE = 0x42008D,
	KF_ATTRIBUTE_UNIQUE_IDENTIFIER = 0x420094
};

typedef struct kf_attributes kf_attributes;

typedef struct kf_attributes_request {
	const char *id;
	const uint32_t *tags; /* n of them; n == 0: all attributes */
	size_t n;
	uint32_t reserved[4];
} kf_attributes_request;

/* Reads attributes (KMIP 2.1, Get Attributes). */
KF_API kf_result kf_get_attributes(kf_client *client,
	const kf_attributes_request *request, kf_attributes **ret, kf_call *call);
/* How many values there are in all, and the tag of each. */
KF_API size_t kf_attributes_size(const kf_attributes *attributes);
KF_API uint32_t kf_attributes_tag(const kf_attributes *attributes, size_t i);
/* Value i for people: "RSA", "2048", "active", a name.  Never NULL for i < size. */
KF_API const char *kf_attributes_text(const kf_attributes *attributes, size_t i);
/* Value i as a number (integers, enumerations, dates in s since 1970, booleans); returns 0 if it is none. */
KF_API int kf_attributes_number(const kf_attributes *attributes, size_t i, int64_t *ret);
KF_API void kf_attributes_free(kf_attributes *attributes);

/* ---- servers ------------------------------------------------------------------------------- */

/* Protocol versions of the server, best first: major << 8 | minor, 0x0201 (KMIP 2.1, Discover Versions).
 * *n in: room, out: how many were written. */
KF_API kf_result kf_discover_versions(
	kf_client *client, uint16_t *versions, size_t *n, kf_call *call);

typedef struct kf_server_info {
	char vendor[128];
	uint32_t operations[128]; /* KMIP Operation codes */
	size_t operation_count;
} kf_server_info;

/* What the server can do (KMIP 2.1, Query). */
KF_API kf_result kf_query(kf_client *client, kf_server_info *ret, kf_call *call);

/* ---- event loops --------------------------------------------------------------------------- */

typedef struct kf_async kf_async;

enum { KF_READABLE = 1, KF_WRITABLE = 2 };

/* What the library asks of an event loop.  Called from within the functions below; must not call them. */
typedef struct kf_loop {
	/* Tell me with kf_async_ready() when fd is ready for `events` (level-triggered); 0: forget fd, it is
	 * closed after this call. */
	void (*watch)(void *arg, int fd, int events);
	/* Call kf_async_timer() once, in `ms` from now, 0 = at the end of this round; -1: not any more.
	 * Replaces what was asked before. */
	void (*timer)(void *arg, int64_t ms);
	void *arg;
} kf_loop;

/* How a call ended.  signature or plain text is borrowed until the callback returns.  May start new
 * calls; must not free the kf_async. */
typedef void (*kf_done)(
	void *arg, const kf_call *outcome, const void *bytes, size_t size);

/* One owner thread.  Host names are resolved here and may block; addresses never do. */
KF_API kf_result kf_async_new(
	const kf_options *options, const kf_loop *loop, kf_async **ret, kf_call *call);
KF_API kf_result kf_async_open(
	const char *path, const kf_loop *loop, kf_async **ret, kf_call *call);
/* Calls that are still running end with KF_UNAVAILABLE, from within this function. */
KF_API void kf_async_free(kf_async *async);

/* Start a call.  `call` gives timeout only and is not kept.  On KF_SUCCESS `done` is called exactly
 * once, never from within; on any other result never.  What was started in one round leaves in
 * one TLS record, at kf_async_flush() or the timer that was asked for. */
KF_API kf_result kf_async_sign(kf_async *async, const kf_sign_request *request,
	const kf_call *call, kf_done done, void *arg);
KF_API kf_result kf_async_decrypt(kf_async *async, const kf_decrypt_request *request,
	const kf_call *call, kf_done done, void *arg);
/* `bytes` of the callback: the plain text; the code. */
KF_API kf_result kf_async_cipher_decrypt(kf_async *async,
	const kf_cipher_request *request, const kf_call *call, kf_done done, void *arg);
KF_API kf_result kf_async_mac(kf_async *async, const kf_mac_request *request,
	const kf_call *call, kf_done done, void *arg);

/* As kf_done; what was encrypted is borrowed until the callback returns, and NULL after a failure.  An IV
 * that the caller gave is not said again. */
typedef struct kf_encrypted_bytes {
	kf_bytes data, iv, tag;
} kf_encrypted_bytes;
typedef void (*kf_done_encrypted)(
	void *arg, const kf_call *outcome, const kf_encrypted_bytes *encrypted);
KF_API kf_result kf_async_cipher_encrypt(kf_async *async,
	const kf_cipher_request *request, const kf_call *call, kf_done_encrypted done,
	void *arg);
/* Sends what this round has started.  Optional: without it the timer does. */
KF_API void kf_async_flush(kf_async *async);

/* fd is ready; events of a descriptor that was forgotten meanwhile are ignored. */
KF_API void kf_async_ready(kf_async *async, int fd, int events);
/* The time that was asked for is over.  Calling it too early is harmless: it asks again. */
KF_API void kf_async_timer(kf_async *async);

#ifdef __cplusplus
}
#endif

#endif
