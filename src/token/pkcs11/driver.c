/* SPDX-License-Identifier: Apache-2.0
 *
 * driver: tokens behind a PKCS#11 module.  There is no call to interrupt one that hangs, and none to make it
 * blink.
 */
#include "token/pkcs11/private.h"

const struct token_driver pkcs11_driver = {
	.name = "pkcs11",
	.open_source = p11_source_open,
	.close_source = p11_source_close,
	.watch = p11_source_watch,
	.wake = p11_source_wake,
	.open = p11_open,
	.close = p11_close,
	.facts = p11_get_facts,
	.login = p11_login,
	.list_keys = p11_keys_list,
	.probe = p11_probe,
	.sign = p11_sign,
	.decrypt_raw = p11_decrypt_raw,
	.use = p11_use,
	.wrap_max = 4096,
	.blocks_max = USE_DATA_MAX,
	.initialise = p11_initialise,
	.change_pin = p11_change_pin,
	.import_share = p11_import_share,
	.generate = p11_generate,
	.delete_key = p11_delete,
	.wrap = p11_wrap,
	.unwrap = p11_unwrap,
	.store_certificate = p11_store_certificate,
	.random = p11_random,
};
