#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock Apache httpd, event and prefork, with an RSA and an ECDSA certificate whose keys are references.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/guests.sh"

skip_without apache2 openssl curl
skip_unless_root # its modules want to be started so
make_keys
modules=/usr/lib/apache2/modules
mkdir "$T/www" && echo "served by apache" >"$T/www/index.html"
chmod 755 "$T/www"

write_conf() {
	mkdir -p "$T/$1"
	cat >"$T/$1.conf" <<-CONF
		ServerRoot $T/$1
		ServerName localhost
		PidFile $T/$1/pid
		DefaultRuntimeDir $T/$1
		Mutex file:$T/$1 default
		ErrorLog $T/$1.error
		LogLevel info
		User www-data
		Group www-data
		LoadModule mpm_$1_module $modules/mod_mpm_$1.so
		LoadModule authz_core_module $modules/mod_authz_core.so
		LoadModule dir_module $modules/mod_dir.so
		LoadModule mime_module $modules/mod_mime.so
		TypesConfig /etc/mime.types
		LoadModule socache_shmcb_module $modules/mod_socache_shmcb.so
		LoadModule ssl_module $modules/mod_ssl.so
		SSLSessionCache none
		SSLSessionTickets off
		SSLRandomSeed startup builtin
		SSLProtocol +TLSv1.2 +TLSv1.3
		SSLCipherSuite DEFAULT:AES128-GCM-SHA256
		Listen 127.0.0.1:$PORT
		StartServers 2
		DocumentRoot $T/www
		<Directory $T/www>
		Require all granted
		</Directory>
		<VirtualHost 127.0.0.1:$PORT>
		SSLEngine on
		SSLCertificateFile $T/rsa.crt
		SSLCertificateKeyFile $T/rsa.ref
		SSLCertificateFile $T/ec.crt
		SSLCertificateKeyFile $T/ec.ref
		</VirtualHost>
	CONF
}

restarts() { grep -c "resuming normal operations" "$T/$1.error"; }
has_restarted() { [ "$(restarts "$1")" -gt "$2" ]; }

for mpm in event prefork; do
	pick_port PORT
	write_conf $mpm
	ok "$mpm: the configuration test passes without an agent" apache2 -f "$T/$mpm.conf" -t
	start $mpm apache2 -f "$T/$mpm.conf" -D FOREGROUND
	ok "$mpm: starts without an agent" wait_for 20 is_open "$PORT"
	start_agent
	check_handshakes $mpm "$PORT"
	ok "$mpm: a page is served" fetch_shows "served by apache" "$PORT"
	ok "$mpm: eight at once" eight_at_once "$PORT"

	variable=PID_$mpm
	count=$(restarts $mpm)
	kill -USR1 "${!variable}"
	ok "$mpm: restarts gracefully" wait_for 20 has_restarted $mpm "$count"
	check_handshakes "$mpm after a graceful restart" "$PORT"
	stop $mpm
	stop agent
done
done_testing
