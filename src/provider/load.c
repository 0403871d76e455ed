/* SPDX-License-Identifier: Apache-2.0
 *
 * keyfleet-load.so: brings the provider into a process that has started without it.
 *
 * A process reads openssl.cnf once.  Apache keeps its parent process over a graceful restart, so a provider that
 * was named there meanwhile would not be met before the next full restart, which closes the doors.  `LoadFile
 * keyfleet-load.so` in its configuration loads this library when the configuration is read, and its constructor
 * reads openssl.cnf again, as a program that starts does.  Where the provider is there already it does nothing.
 * A failure is not reported: whoever needs the provider finds that out and says so.
 */
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/provider.h>

__attribute__((constructor)) static void load(void)
{
	ERR_set_mark();
	if (!OSSL_PROVIDER_available(NULL, "keyfleet"))
		CONF_modules_load_file(NULL, NULL,
			CONF_MFLAGS_DEFAULT_SECTION | CONF_MFLAGS_IGNORE_MISSING_FILE |
				CONF_MFLAGS_IGNORE_RETURN_CODES);
	ERR_pop_to_mark();
}
