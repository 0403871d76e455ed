# SPDX-License-Identifier: Apache-2.0
"""lab: key servers, agents, PostgreSQL and stock web servers on 127.0.0.1, each a process of ours in one
temporary folder.  The demo, the scenario tests and the benchmarks of web servers are written with it.

Everything started is ended by PID when the lab closes, however the program ends.  Nothing sleeps for
synchronisation: whatever is waited for is a line, a file or a port, with a deadline.
"""
import concurrent.futures
import contextlib
import functools
import glob
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("KEYFLEET_BIN", os.path.join(ROOT, "build", "bin"))
LIB = os.environ.get("KEYFLEET_LIB", os.path.join(ROOT, "build", "lib"))
TICK = os.sysconf("SC_CLK_TCK")
SANITIZER_STATUS = 99  # as tools/test-tiers has it
LISTEN_FD = 3  # sd_listen_fds(3); kept open here, for a child is given only what its parent has open


def keep_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY)
        if null != fd:
            os.dup2(null, fd, inheritable=False)
            os.close(null)


keep_open(LISTEN_FD)


class LabError(Exception):
    """What went wrong, in one line for people."""


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, condition, seconds=20.0):
    """Looks every 10 ms; the condition is what synchronises, not the pause."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise LabError(f"waited {seconds:.0f} s in vain for {what}")


def accepts(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def as_user(name, argv):
    who = pwd.getpwnam(name)
    return ["setpriv", "--reuid", str(who.pw_uid), "--regid", str(who.pw_gid), "--init-groups", *argv]


class Process:
    """A child of ours with its output in a file."""

    def __init__(self, lab, name, argv, env=None, stdout=None, user=None, pass_fds=(), listener=None):
        self.lab, self.name, self.argv = lab, name, argv
        hand_over = None
        if listener:  # socket activation, as systemd does it
            argv = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *argv]
            env = {**(env or {}), "LISTEN_FDS": "1"}
            hand_over = functools.partial(os.dup2, listener.fileno(), LISTEN_FD)
        self.log = lab.path(name + ".log")
        if user and os.geteuid() == 0:
            argv = as_user(user, argv)
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                env={**os.environ, **(env or {})}, cwd=lab.dir, start_new_session=True,
                preexec_fn=hand_over, pass_fds=[LISTEN_FD] if listener else pass_fds)
        lab.processes.append(self)

    @property
    def pid(self):
        return self.child.pid

    def family(self):
        """Its PID and those of all its descendants."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    stat = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
                    parents.setdefault(int(stat[1]), []).append(int(entry))
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += parents.get(pid, [])
        return found

    def cpu_seconds(self):
        total = 0
        for pid in self.family():
            with contextlib.suppress(OSError):
                stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                total += int(stat[11]) + int(stat[12])
        return total / TICK

    def is_running(self):
        return self.child.poll() is None

    def must_run(self):
        if not self.is_running():
            raise LabError(f"{self.name} ended with status {self.child.returncode}: {self.tail()}")
        return True

    def tail(self, lines=5):
        with contextlib.suppress(OSError):
            return " | ".join(open(self.log, errors="replace").read().strip().splitlines()[-lines:])
        return ""

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def has_crashed(self):
        """Or a sanitizer has found something, perhaps when it had nothing left to do but to end."""
        return self.child.poll() in (SANITIZER_STATUS, -signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT)

    def ending(self):
        found = [line.strip() for line in open(self.log, errors="replace") if line.startswith("SUMMARY: ")]
        return f"{self.name} ended with status {self.child.returncode}: {' | '.join(found) or self.tail()}"

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()

    def stop(self, seconds=15):
        """SIGTERM, and SIGKILL to the whole group of those who do not listen."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()


class Lab:
    def __init__(self, name="keyfleet", keep=False):
        self.dir = tempfile.mkdtemp(prefix=name + "-")
        os.chmod(self.dir, 0o755)  # web servers give up root and still read their references
        self.processes, self.crashed, self.keep = [], [], keep
        self.web_ca_made = False

    def __enter__(self):
        return self

    def __exit__(self, kind, why, trace):
        self.close()

    def close(self):
        for process in reversed(self.processes):
            with contextlib.suppress(Exception):
                process.stop(5)
        self.crashed += [p.ending() for p in self.processes if isinstance(p, Process) and p.has_crashed()]
        self.processes.clear()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def run(self, argv, check=True, env=None, timeout=120, stdin=None):
        done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(env or {})},
                              timeout=timeout, cwd=self.dir, input=stdin)
        if check and done.returncode:
            raise LabError(f"{' '.join(argv)}: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done

    def keyfleet(self, *args, check=True):
        return self.run([os.path.join(BIN, "keyfleet"), *args], check)

    # -- PostgreSQL ------------------------------------------------------------------------------
    def postgresql(self):
        return PostgreSQL(self)

    # -- certificates of the web servers -----------------------------------------------------------
    def web_ca(self):
        if not self.web_ca_made:
            self.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", "webca.key", "-out", "webca.pem", "-days", "30", "-subj", "/CN=demo web authority"])
            self.write("leaf.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
            self.web_ca_made = True
        return self.path("webca.pem")

    def certify(self, csr, out):
        self.web_ca()
        self.run(["openssl", "x509", "-req", "-in", csr, "-CA", "webca.pem", "-CAkey", "webca.key", "-days", "30",
                  "-extfile", "leaf.ext", "-out", out])
        return self.path(out)

    def local_key(self, name, kind):
        """A key on the web host, as everybody has it today, for comparison."""
        options = ["-newkey", "rsa:2048"] if kind == "rsa" else [
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self.run(["openssl", "req", "-new", *options, "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
                  "-subj", "/CN=localhost"])
        os.chmod(self.path(name + ".key"), 0o644)
        return Key(self.certify(name + ".csr", name + ".pem"), self.path(name + ".key"))

    def openssl_conf(self, socket_name):
        return self.write("openssl.cnf", f"""openssl_conf = openssl_init
[openssl_init]
providers = provider_sect
[provider_sect]
default = default_sect
keyfleet = keyfleet_sect
[default_sect]
activate = 1
[keyfleet_sect]
module = {LIB}/keyfleet.so
agent-socket = {socket_name}
activate = 1
""")


class Key:
    """What a web server is given: a certificate and a key file or key reference."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key


class PostgreSQL:
    """Debian's PostgreSQL with a cluster of its own, on a Unix socket only."""

    def __init__(self, lab):
        self.lab = lab
        binaries = sorted(e for e in os.listdir("/usr/lib/postgresql") if e.isdigit()) if os.path.isdir(
            "/usr/lib/postgresql") else []
        if not binaries:
            raise LabError("PostgreSQL is not installed")
        self.bin = f"/usr/lib/postgresql/{binaries[-1]}/bin"
        self.user = "postgres" if os.geteuid() == 0 else None
        self.base = lab.path("pg")
        os.mkdir(self.base)
        if self.user:
            who = pwd.getpwnam(self.user)
            os.chown(self.base, who.pw_uid, who.pw_gid)
        self._run([f"{self.bin}/initdb", "-D", f"{self.base}/data", "-A", "trust", "-U", "postgres", "--no-sync"])
        self.process = None
        self.start()

    def _run(self, argv):
        if self.user:
            argv = as_user(self.user, argv)
        return self.lab.run(argv)

    @property
    def conninfo(self):
        return f"host={self.base} dbname=postgres user=postgres"

    def start(self):
        self.process = Process(self.lab, "postgresql", [
            f"{self.bin}/postgres", "-D", f"{self.base}/data", "-k", self.base, "-c", "listen_addresses=",
            "-c", "max_connections=50"], user=self.user)
        wait_until("PostgreSQL", lambda: self.process.must_run() and subprocess.run(
            [f"{self.bin}/pg_isready", "-h", self.base, "-U", "postgres"], capture_output=True).returncode == 0)

    def stop(self):
        """Immediate: what a power failure leaves behind."""
        self.process.signal(signal.SIGQUIT)
        self.process.child.wait(20)


def set_option(path, section, key, value):
    """Sets an option of a configuration file, whether it is there or not."""
    lines, here, done = [], None, False
    for line in open(path).read().splitlines():
        if line.startswith("["):
            if here == section and not done:
                lines.append(f"{key} = {value}")
                done = True
            here = line[1:].split("]")[0]
        elif here == section and line.split("=")[0].strip() == key:
            line, done = f"{key} = {value}", True
        lines.append(line)
    if not done:
        lines += ([] if here == section else [f"[{section}]"]) + [f"{key} = {value}"]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")


class KeyServer:
    """keyfleetd with its own folder; `join` is another one of the same store; `options` is
    {(section, key): value} for its configuration; `cpu` pins it to a processor."""

    def __init__(self, lab, name, store="sqlite", join=None, port=None, options=None, cpu=None):
        self.lab, self.name, self.cpu = lab, name, cpu
        self.port = port or free_port()
        self.dir = lab.path(name)
        arguments = ["--listen", f"127.0.0.1:{self.port}", "--store", store]
        if join:
            arguments += ["--join", join.dir]
        lab.keyfleet("init", self.dir, *arguments)
        for (section, key), value in (options or {}).items():
            set_option(os.path.join(self.dir, "keyfleetd.conf"), section, key, value)
        self.process = None
        self.start()

    @property
    def conf(self):
        return os.path.join(self.dir, "client.conf")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def audit(self):
        """The lines of its audit log."""
        found = ""
        for path in sorted(glob.glob(os.path.join(self.dir, "audit", "audit-*"))):
            with open(path, "rb") as f:
                found += f.read().rstrip(b"\0").decode(errors="replace")
        return found.splitlines()

    def recorded(self, operation):
        """How often this operation stands there."""
        return len([line for line in self.audit() if f"operation={operation} " in line])

    def start(self, wait=True, env=None, prefix=()):
        """`prefix` is a command that runs the key server, elsewhere for instance."""
        read, write = os.pipe()
        pin = [] if self.cpu is None else ["taskset", "-c", str(self.cpu)]
        self.process = Process(self.lab, self.name, [*prefix, *pin,
            os.path.join(BIN, "keyfleetd"), "--config", os.path.join(self.dir, "keyfleetd.conf")], stdout=write,
            env=env)
        os.close(write)
        if wait:
            self._wait_ready(read)
        os.close(read)

    def _wait_ready(self, fd, seconds=30):
        os.set_blocking(fd, False)
        got = b""

        def ready():
            nonlocal got
            with contextlib.suppress(BlockingIOError):
                got += os.read(fd, 256)
            return got.startswith(b"ready ") and got.endswith(b"\n") or not self.process.must_run()
        wait_until(f"{self.name} to be ready", ready, seconds)

    def kill(self):
        self.process.kill()

    def keyfleet(self, *args, check=True):
        return self.lab.keyfleet("--config", self.conf, *args, check=check)

    def keyfleet_json(self, *args):
        return json.loads(self.keyfleet("--json", *args).stdout)

    def create_key(self, name, kind, *more):
        """A key in the key server, its reference and a certificate for it; `more` as `keyfleet key create` has it."""
        self.keyfleet("key", "create", name, "--type", kind, *more)
        reference = self.lab.write(name + ".ref", self.keyfleet("key", "ref", name).stdout)
        self.lab.write(name + ".csr", self.keyfleet("key", "csr", name, "--subject", "CN=localhost").stdout)
        return Key(self.lab.certify(name + ".csr", name + ".pem"), reference)


class Agent:
    """keyfleet-agent of a web host, enrolled at the first of its key servers."""

    def __init__(self, lab, name, servers, addresses=None, operations="sign", grant="sign"):
        """`operations` is what it lets this host's users do, `grant` what the key servers let it do."""
        self.lab, self.name = lab, name
        self.socket = f"@{os.path.basename(lab.dir)}-{name}"
        first = servers[0]
        first.keyfleet("client", "add", name, "--out", lab.dir)
        first.keyfleet("grant", "add", name, "*", grant, "--tls-only")
        addresses = addresses or [s.address for s in servers]
        users = ", ".join(sorted({"root", "www-data", "haproxy", "nobody", pwd.getpwuid(os.geteuid()).pw_name}))
        self.conf = lab.write(name + ".conf", f"""[client]
servers = {", ".join(addresses)}
server_name = keyfleetd
certificate = {lab.path(name + ".pem")}
key = {lab.path(name + ".key")}
ca = {first.dir}/ca.pem
[agent]
sockets = unix:{self.socket}
[allow *]
users = {users}
operations = {operations}
""")
        self.process = None
        # The lab owns the name, as systemd would: an agent that restarts leaves nobody at a closed door.
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("\0" + self.socket[1:])
        self.listener.listen(4096)
        self.start()

    def start(self, env=None):
        before = self._times_ready() if self.process else 0
        self.process = Process(self.lab, self.name, [os.path.join(BIN, "keyfleet-agent"), "--config", self.conf],
                               env=env, listener=self.listener)
        wait_until(f"{self.name} to be ready", lambda: self.process.must_run() and self._times_ready() > before)

    def _times_ready(self):
        with open(self.process.log, errors="replace") as log:
            return log.read().count("event=ready")


# -- stock web servers -------------------------------------------------------------------------------


class WebServer:
    """One of Debian's web servers; `keys` are served on self.port, and `beside` on self.beside_port by the same workers."""

    def __init__(self, lab, name, keys, conf, beside=()):
        self.lab, self.name, self.keys, self.env = lab, name, keys, {"OPENSSL_CONF": conf} if conf else {}
        self.port = free_port()
        self.beside = list(beside)
        self.beside_port = free_port() if beside else None
        self.process = None

    def start_process(self, argv):
        self.process = Process(self.lab, self.name, argv, env=self.env)
        wait_until(f"{self.name} to listen", lambda: self.process.must_run() and accepts(self.port))
        return self

    def url(self):
        return f"https://localhost:{self.port}/"


class Nginx(WebServer):
    def __init__(self, lab, name, keys, conf, workers=1, is_plain_too=False, beside=(), listen=""):
        """`is_plain_too`: the same pages without TLS on self.plain_port; `listen`: more words of listen."""
        super().__init__(lab, name, keys, conf, beside)
        self.plain_port = free_port() if is_plain_too else None
        plain = f"listen 127.0.0.1:{self.plain_port};" if is_plain_too else ""
        servers = ""
        for port, more, pairs in ((self.port, plain, keys), (self.beside_port, "", self.beside)):
            lines = "".join(f"ssl_certificate {k.certificate};\nssl_certificate_key {k.key};\n" for k in pairs)
            servers += f"""server {{ listen 127.0.0.1:{port} ssl backlog=4096 {listen}; {more} {lines}
location / {{ return 200 "nginx $ssl_protocol $ssl_cipher\\n"; }} }}
""" if pairs else ""
        temp = "".join(f"{kind}_temp_path {lab.path(name + '-' + kind)};\n" for kind in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user www-data;" if os.geteuid() == 0 else ""
        self.file = lab.write(name + ".nginx.conf", f"""env OPENSSL_CONF;
{user} worker_processes {workers}; daemon off; pid {lab.path(name + ".pid")}; error_log {lab.path(name + ".error")} warn;
events {{ worker_connections 4096; }}
http {{ access_log off; {temp} ssl_session_tickets off; ssl_session_cache off; ssl_protocols TLSv1.2 TLSv1.3;
keepalive_requests 1000000;
{servers}}}
""")
        self.start_process(["nginx", "-c", self.file])


class Apache(WebServer):
    def __init__(self, lab, name, keys, conf, mpm="event", beside=()):
        super().__init__(lab, name, keys, conf, beside)
        root = lab.path(name + "-root")
        os.makedirs(root)
        with open(os.path.join(root, "index.html"), "w") as f:
            f.write("apache\n")
        hosts = ""
        for port, pairs in ((self.port, keys), (self.beside_port, self.beside)):
            lines = "".join(f"SSLCertificateFile {k.certificate}\nSSLCertificateKeyFile {k.key}\n" for k in pairs)
            hosts += f"""Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
SSLEngine on
{lines}</VirtualHost>
""" if pairs else ""
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        self.file = lab.write(name + ".apache.conf", f"""ServerRoot /etc/apache2
ServerName localhost
PidFile {lab.path(name + ".pid")}
DefaultRuntimeDir {lab.dir}
Mutex file:{lab.dir} default
ErrorLog {lab.path(name + ".error")}
LogLevel warn
{user}
LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
TypesConfig /etc/mime.types
SSLSessionCache none
SSLSessionTickets off
SSLRandomSeed startup builtin
SSLProtocol +TLSv1.2 +TLSv1.3
ListenBacklog 4096
MaxKeepAliveRequests 0
DocumentRoot {root}
DirectoryIndex index.html
<Directory {root}>
Require all granted
</Directory>
{hosts}""")
        self.start_process(["apache2", "-f", self.file, "-D", "FOREGROUND"])


class HAProxy(WebServer):
    """Needs no openssl.cnf: its own keywords load the provider."""

    def __init__(self, lab, name, keys, provider_conf, threads=1, is_async=True, chroot=True, is_plain_too=False,
                 beside=()):
        """`is_plain_too`: the same pages without TLS on self.plain_port."""
        super().__init__(lab, name, keys, provider_conf, beside)
        self.plain_port = free_port() if is_plain_too else None
        plain = f"bind 127.0.0.1:{self.plain_port}" if is_plain_too else ""
        crts = {self.port: "", self.beside_port: ""}
        for i, k in enumerate([*keys, *self.beside]):
            bundle = lab.write(f"{name}-{i}.pem", open(k.certificate).read() + open(k.key).read(), 0o600)
            crts[self.port if i < len(keys) else self.beside_port] += f" crt {bundle}"
        beside = f"bind 127.0.0.1:{self.beside_port} ssl{crts[self.beside_port]} no-tls-tickets" if beside else ""
        root = os.geteuid() == 0
        self.socket = lab.path(name + ".sock")
        self.file = lab.write(name + ".haproxy.cfg", f"""global
    {"user haproxy" if root else ""}
    {"group haproxy" if root else ""}
    {"chroot /var/lib/haproxy" if root and chroot else ""}
    nbthread {threads}
    maxconn 4000
    tune.ssl.cachesize 0
    stats socket {self.socket} mode 600 level admin
    {"ssl-mode-async" if is_async else ""}
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend www
    bind 127.0.0.1:{self.port} ssl{crts[self.port]} no-tls-tickets
    {beside}
    {plain}
    http-request return status 200 content-type text/plain string "haproxy\\n"
""")
        self.start_process(["haproxy", "-db", "-f", self.file])


class TcpBalancer(WebServer):
    """HAProxy in TCP mode or nginx's stream module in front of key servers."""

    def __init__(self, lab, name, kind, addresses):
        super().__init__(lab, name, [], None)
        if kind == "haproxy":
            servers = "\n".join(f"    server s{i} {a} check" for i, a in enumerate(addresses))
            self.file = lab.write(name + ".cfg", f"""global
    maxconn 1000
defaults
    mode tcp
    timeout client 60s
    timeout server 60s
    timeout connect 2s
listen keyservers
    bind 127.0.0.1:{self.port}
    balance roundrobin
{servers}
""")
            self.start_process(["haproxy", "-db", "-f", self.file])
        else:
            servers = " ".join(f"server {a};" for a in addresses)
            self.file = lab.write(name + ".conf", f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; pid {lab.path(name + ".pid")}; error_log {lab.path(name + ".error")} warn;
events {{ worker_connections 1024; }}
stream {{ upstream keyservers {{ {servers} }} server {{ listen 127.0.0.1:{self.port}; proxy_pass keyservers; }} }}
""")
            self.start_process(["nginx", "-c", self.file])


class Relay:
    """A network of 127.0.0.1 in front of `port`: with a delay (each way), a black hole, or cut.  Connect to self.port."""

    def __init__(self, lab, name, port, delay_ms=0.0):
        self.lab, self.name = lab, name
        self.process = subprocess.Popen([os.path.join(BIN, "..", "tests", "relay"), "0", str(port)], text=True,
                                        bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        lab.processes.append(self)
        self.port = int(self.process.stdout.readline().split()[1])
        self.address = f"127.0.0.1:{self.port}"
        self.delay(delay_ms)

    def _tell(self, command):
        self.process.stdin.write(command + "\n")
        if self.process.stdout.readline() != "ok\n":
            raise LabError(f"relay {self.name} did not take {command!r}")

    def delay(self, ms):
        """Added to each direction; the round trip grows by twice as much."""
        self._tell(f"delay {round(ms * 1000)}")

    def hole(self):
        """Nothing arrives any more; connections stay open."""
        self._tell("hole")

    def heal(self):
        """Everything arrives again, what was held up too."""
        self._tell("pass")

    def cut(self):
        self._tell("cut")

    def tail(self, lines=5):
        return ""

    def stop(self, seconds=5):
        self.process.stdin.close()
        self.process.wait(seconds)


# -- clients -------------------------------------------------------------------------------------------


def fetch(port, ca, version=None, sigalgs=None, ciphers=None, timeout=10):
    """One page over a new TLS connection with curl; returns what the server said."""
    env, argv = {}, ["curl", "-sS", "--fail", "--cacert", ca, "--max-time", str(timeout)]
    if version == "1.2":
        argv += ["--tlsv1.2", "--tls-max", "1.2"]
    elif version == "1.3":
        argv += ["--tlsv1.3"]
    if ciphers:
        argv += ["--ciphers", ciphers]
    with tempfile.NamedTemporaryFile("w", suffix=".cnf") as conf:
        if sigalgs:
            conf.write(f"openssl_conf = i\n[i]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n"
                       f"SignatureAlgorithms = {sigalgs}\n")
            conf.flush()
            env["OPENSSL_CONF"] = conf.name
        done = subprocess.run([*argv, f"https://localhost:{port}/"], capture_output=True, text=True,
                              env={**os.environ, **env}, timeout=timeout + 5)
    if done.returncode:
        raise LabError(f"curl, port {port}, TLS {version}: {done.stderr.strip()}")
    return done.stdout


def handshake(port, ca, timeout=10):
    """One full handshake with Python's ssl; seconds."""
    context = ssl.create_default_context(cafile=ca)
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout) as raw:
        with context.wrap_socket(raw, server_hostname="localhost"):
            return time.monotonic() - start


class Load:
    """Handshakes, one after the other in each of a few threads, until it is left; every failure counts."""

    def __init__(self, lab, port, threads=2):
        self.lab, self.port, self.threads = lab, port, threads
        self.done, self.failures, self.slowest = 0, [], 0.0

    def _one(self):
        while not self.stop.is_set():
            try:
                self.slowest = max(self.slowest, handshake(self.port, self.lab.web_ca(), 15))
                self.done += 1
            except OSError as why:
                self.failures.append(str(why))

    def __enter__(self):
        self.stop = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(self.threads)
        self.running = [self.pool.submit(self._one) for _ in range(self.threads)]
        return self

    def __exit__(self, *_):
        self.stop.set()
        for running in self.running:
            running.result()
        self.pool.shutdown()

    def goes_on(self, handshakes=20):
        """Waits until that many more have succeeded."""
        target = self.done + handshakes
        wait_until("more handshakes", lambda: self.done >= target or self.failures, 30)
        self.fails_nothing()

    def fails_nothing(self):
        if self.failures:
            raise LabError(f"{len(self.failures)} handshakes failed: {self.failures[:3]}")


def wrk(lab, url, seconds, clients):
    """A new connection for each request: (requests done, requests failed)."""
    done = lab.run(["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds}s", "--timeout", "10s", "-H",
                    "Connection: close", url], timeout=seconds + 60)
    requests = re.search(r"(\d+) requests in", done.stdout)
    if not requests:
        raise LabError("wrk printed no figure: " + done.stdout + done.stderr)
    failed = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", done.stdout))
    failed += sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", done.stdout))
    return int(requests[1]) - failed, failed
