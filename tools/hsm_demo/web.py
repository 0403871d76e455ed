# SPDX-License-Identifier: Apache-2.0
"""web: the web servers of the demo: Apache (event) as the cluster of 2016 had it, nginx and HAProxy beside it; all of
them serve a small static page and a page by PHP-FPM, and HAProxy in TCP mode stands in front."""
import os
import shutil

from cards import PIN, opensc_module
from lab import LabError, Process, WebServer, wait_until

PHP_FPM = next((p for v in ("8.4", "8.3", "8.2", "7.4", "") if (p := shutil.which("php-fpm" + v, path="/usr/sbin:/usr/bin"))),
               None)
STATIC = "Jeej it works!\n"  # what the cluster of 2016 served
# As large as its start page: 7 KiB in three requests.
PAGE = """<?php header('Cache-Control: no-store'); ?>
<!DOCTYPE html><html><head><title>keyfleet</title><link rel="stylesheet" href="/style.css"></head>
<body><h1><?= htmlspecialchars($_SERVER['SERVER_NAME']) ?></h1><img src="/logo.svg" alt="">
<?php for ($i = 0; $i < 40; $i++) { echo '<p>', hash('sha256', "paragraph $i"), "</p>\\n"; } ?>
</body></html>
"""
FILES = {"index.html": STATIC, "page.php": PAGE, "style.css": "p { color: #345; }\n" * 60,
         "logo.svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">' + '<path d="M0 0h9v9z"/>' * 100 + "</svg>\n"}
CIPHERS = "DEFAULT@SECLEVEL=0"  # RSA-1024 is refused otherwise


def is_root():
    return os.geteuid() == 0


class Site:
    """The files, and the PHP-FPM that all web servers share."""

    def __init__(self, lab):
        if not PHP_FPM:
            raise LabError("php-fpm is not installed (./dev setup)")
        self.root, self.socket = lab.path("site"), lab.path("php.sock")
        os.makedirs(self.root)
        for name, text in FILES.items():
            lab.write("site/" + name, text)
        user = "user = www-data\ngroup = www-data" if is_root() else ""
        conf = lab.write("php-fpm.conf", f"""[global]
error_log = {lab.path("php-fpm.error")}
[www]
{user}
listen = {self.socket}
listen.mode = 0666
listen.backlog = 511
pm = static
pm.max_children = 8
""")
        self.process = Process(lab, "php-fpm", [PHP_FPM, "--nodaemonize", "--fpm-config", conf,
                                                *([] if is_root() else ["-n"])])
        wait_until("PHP-FPM", lambda: self.process.must_run() and os.path.exists(self.socket))


def directives(template, keys):
    return "\n".join(template.format(c=k.certificate, k=k.key) for k in keys)


class Apache(WebServer):
    """Many threads, for each waits for its own key; few processes."""
    MODULES = ("mpm_event", "authz_core", "dir", "mime", "ssl", "proxy", "proxy_fcgi")

    def __init__(self, lab, name, keys, env, site):
        super().__init__(lab, name, keys, None)
        self.env = env
        user = "User www-data\nGroup www-data" if is_root() else ""
        modules = "\n".join(f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so" for m in self.MODULES)
        self.file = lab.write(name + ".apache.conf", f"""ServerRoot /etc/apache2
ServerName localhost
PidFile {lab.path(name + ".pid")}
DefaultRuntimeDir {lab.dir}
Mutex file:{lab.dir} default
ErrorLog {lab.path(name + ".error")}
LogLevel warn
{user}
{modules}
StartServers 3
ServerLimit 3
ThreadLimit 32
ThreadsPerChild 32
MinSpareThreads 32
MaxSpareThreads 96
MaxRequestWorkers 96
TypesConfig /etc/mime.types
SSLSessionCache none
SSLSessionTickets off
SSLRandomSeed startup builtin
SSLProtocol +TLSv1.2 +TLSv1.3
SSLCipherSuite {CIPHERS}
SSLHandshakeTimeout
Listen 127.0.0.1:{self.port}
Timeout 120
RequestReadTimeout
DocumentRoot {site.root}
DirectoryIndex index.html
<Directory {site.root}>
Require all granted
</Directory>
<FilesMatch "\\.php$">
SetHandler "proxy:unix:{site.socket}|fcgi://localhost"
</FilesMatch>
<VirtualHost 127.0.0.1:{self.port}>
SSLEngine on
{directives('SSLCertificateFile {c}' + chr(10) + 'SSLCertificateKeyFile "{k}"', keys)}
</VirtualHost>
""".replace("SSLHandshakeTimeout\n", "").replace("RequestReadTimeout\n", ""))
        self.start_process(["apache2", "-f", self.file, "-D", "FOREGROUND"])


class Nginx(WebServer):
    """A worker of stock nginx waits for its key: only more of them do more at a time."""

    def __init__(self, lab, name, keys, env, site, workers=16):
        super().__init__(lab, name, keys, None)
        self.env = env
        temp = "".join(f"{kind}_temp_path {lab.path(name + '-' + kind)};\n" for kind in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        passed = "".join(f"env {variable};\n" for variable in env)
        self.file = lab.write(name + ".nginx.conf", f"""{passed}
{"user www-data;" if is_root() else ""} worker_processes {workers}; daemon off; pid {lab.path(name + ".pid")};
error_log {lab.path(name + ".error")} warn;
events {{ worker_connections 1024; }}
http {{ access_log off; {temp} ssl_session_tickets off; ssl_session_cache off; ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers {CIPHERS}; root {site.root}; types {{ text/html html; text/css css; image/svg+xml svg; }}
server {{ listen 127.0.0.1:{self.port} ssl backlog=1024 reuseport; server_name localhost;
{directives("ssl_certificate {c};" + chr(10) + 'ssl_certificate_key "{k}";', keys)}
location ~ \\.php$ {{ include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
fastcgi_pass unix:{site.socket}; }} }} }}
""")
        self.start_process(["nginx", "-c", self.file])


class HAProxy(WebServer):
    """Waits for keys beside its work (ssl-mode-async), and speaks FastCGI itself."""

    def __init__(self, lab, name, keys, env, site):
        super().__init__(lab, name, keys, None)
        self.env = env
        crts = ""
        for i, k in enumerate(keys):
            bundle = lab.write(f"{name}-{i}.pem", open(k.certificate).read() + open(k.key).read(), 0o600)
            crts += f" crt {bundle}"
        page = lab.write(name + ".static", STATIC)
        self.file = lab.write(name + ".haproxy.cfg", f"""global
    {"user haproxy" if is_root() else ""}
    maxconn 1000
    tune.ssl.cachesize 0
    ssl-default-bind-ciphers {CIPHERS}
    ssl-mode-async
defaults
    mode http
    timeout client 120s
    timeout server 120s
    timeout connect 10s
    option http-server-close
fcgi-app php
    docroot {site.root}
frontend www
    bind 127.0.0.1:{self.port} ssl{crts} no-tls-tickets
    http-request return status 200 content-type text/plain file {page} if {{ path / }}
    default_backend php
backend php
    use-fcgi-app php
    server fpm unix@{site.socket} proto fcgi
""")
        self.start_process(["haproxy", "-db", "-f", self.file])


class Balancer(WebServer):
    """HAProxy in TCP mode, round robin: what stood in front of the Raspberry Pis."""

    def __init__(self, lab, name, servers):
        super().__init__(lab, name, [], None)
        lines = "\n".join(f"    server hsm{i} 127.0.0.1:{s.port}" for i, s in enumerate(servers, 1))
        self.file = lab.write(name + ".cfg", f"""global
    maxconn 2000
frontend hsm
    bind 127.0.0.1:{self.port}
    mode tcp
    default_backend hsm
    timeout client 2m
backend hsm
    mode tcp
    balance roundrobin
    timeout connect 10s
    timeout server 2m
{lines}
""")
        self.start_process(["haproxy", "-db", "-f", self.file])


# -- keys by OpenSC's module, the stock way ------------------------------------------------------------


def engine_environment(lab, cards):
    """OpenSSL's engine of libp11 with OpenSC's module, on these cards."""
    conf = lab.write(cards.name + "-engine.cnf", f"""openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11
[pkcs11]
engine_id = pkcs11
MODULE_PATH = {opensc_module()}
PIN = {PIN}
init = 1
""", 0o644)
    return {**cards.environment, "OPENSSL_CONF": conf}


def engine_uri(key_id):
    return f"pkcs11:id=%{key_id};type=private;pin-value={PIN}"
