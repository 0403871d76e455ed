/* SPDX-License-Identifier: Apache-2.0 */
/* The public header is C++, and what it declares is in the library. */
#include <keyfleet.h>
#include <cstdio>
#include <cstring>

int main()
{
	kf_options options = {};
	kf_call call = {};
	kf_client *client = nullptr;
	options.agent = "@keyfleet-test";
	bool is_open = kf_client_new(&options, &client, &call) == KF_SUCCESS;
	bool is_refused = kf_activate(client, "", &call) == KF_INVALID_ARGUMENT &&
		std::strlen(kf_error_text(&call)) > 0;
	kf_client_free(client);
	std::printf("%s 1 - the header is C++\n1..1\n", is_open && is_refused ? "ok" : "not ok");
	return !(is_open && is_refused);
}
