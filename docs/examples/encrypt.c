/* SPDX-License-Identifier: Apache-2.0 */
/* encrypt: encrypts its argument with an AES key of a key server, and decrypts it again.
 *
 *     cc encrypt.c $(pkg-config --cflags --libs keyfleet) -o encrypt
 *     ./encrypt KEY-ID 'some text'                  with /etc/keyfleet/client.conf
 */
#include <keyfleet.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 4096 };

struct sealed {
	unsigned char data[ROOM], iv[16], tag[16];
	kf_encrypted bytes;
};

/* Who may read it, for instance: decrypting it under another name fails. */
static const char purpose[] = "example";

static void describe(kf_cipher_request *request, const char *key)
{
	memset(request, 0, sizeof(*request));
	request->key = key;
	request->cipher = KF_AES_GCM;
	request->additional_data.data = purpose;
	request->additional_data.size = strlen(purpose);
}

static kf_result encrypt(kf_client *client, const char *key, const char *text,
	struct sealed *ret, kf_call *call)
{
	kf_cipher_request request;

	describe(&request, key);
	request.data = text;
	request.size = strlen(text);
	ret->bytes.data.data = ret->data;
	ret->bytes.data.size = sizeof(ret->data);
	ret->bytes.iv.data = ret->iv;
	ret->bytes.iv.size = sizeof(ret->iv);
	ret->bytes.tag.data = ret->tag;
	ret->bytes.tag.size = sizeof(ret->tag);
	return kf_cipher_encrypt(client, &request, &ret->bytes, call);
}

static kf_result decrypt(kf_client *client, const char *key, const struct sealed *sealed,
	kf_buffer *plain, kf_call *call)
{
	kf_cipher_request request;

	describe(&request, key);
	request.data = sealed->data;
	request.size = sealed->bytes.data.used;
	request.iv.data = sealed->iv;
	request.iv.size = sealed->bytes.iv.used;
	request.tag.data = sealed->tag;
	request.tag.size = sealed->bytes.tag.used;
	return kf_cipher_decrypt(client, &request, plain, call);
}

static int try_both(kf_client *client, const char *key, const char *text)
{
	static struct sealed sealed;
	unsigned char room[ROOM];
	kf_buffer plain = { room, sizeof(room), 0 };
	kf_call call;
	size_t i;

	memset(&call, 0, sizeof(call));
	if (encrypt(client, key, text, &sealed, &call) != KF_SUCCESS) {
		fprintf(stderr, "encrypt: %s\n", kf_error_text(&call));
		return 1;
	}
	for (i = 0; i < sealed.bytes.data.used; i++)
		printf("%02x", sealed.data[i]);
	printf("\n");
	if (decrypt(client, key, &sealed, &plain, &call) != KF_SUCCESS) {
		fprintf(stderr, "decrypt: %s\n", kf_error_text(&call));
		return 1;
	}
	printf("%.*s\n", (int)plain.used, (const char *)room);
	return 0;
}

int main(int argc, char **argv)
{
	kf_client *client;
	kf_call call;
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: encrypt KEY-ID TEXT\n");
		return 2;
	}
	memset(&call, 0, sizeof(call));
	if (kf_client_open(NULL, &client, &call) != KF_SUCCESS) {
		fprintf(stderr, "encrypt: %s\n", kf_error_text(&call));
		return 1;
	}
	status = try_both(client, argv[1], argv[2]);
	kf_client_free(client);
	return status;
}
