/* SPDX-License-Identifier: Apache-2.0 */
/* sign: signs its argument with a key of a key server.
 *
 *     cc sign.c $(pkg-config --cflags --libs keyfleet) -o sign
 *     ./sign KEY-ID 'some text'                     with /etc/keyfleet/client.conf
 */
#include <keyfleet.h>
#include <stdio.h>
#include <string.h>

static int print_signature(kf_client *client, const char *key, const char *text)
{
	unsigned char room[1024];
	kf_buffer signature = { room, sizeof(room), 0 };
	kf_sign_request request;
	kf_call call;
	size_t i;

	memset(&request, 0, sizeof(request));
	memset(&call, 0, sizeof(call));
	request.key = key;
	request.scheme = KF_ECDSA_SHA256;
	request.data = text;
	request.size = strlen(text);
	if (kf_sign(client, &request, &signature, &call) != KF_SUCCESS) {
		fprintf(stderr, "sign: %s\n", kf_error_text(&call));
		return 1;
	}
	for (i = 0; i < signature.used; i++)
		printf("%02x", room[i]);
	printf("\n");
	return 0;
}

int main(int argc, char **argv)
{
	kf_client *client;
	kf_call call;
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: sign KEY-ID TEXT\n");
		return 2;
	}
	memset(&call, 0, sizeof(call));
	if (kf_client_open(NULL, &client, &call) != KF_SUCCESS) {
		fprintf(stderr, "sign: %s\n", kf_error_text(&call));
		return 1;
	}
	status = print_signature(client, argv[1], argv[2]);
	kf_client_free(client);
	return status;
}
