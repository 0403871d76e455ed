# SPDX-License-Identifier: Apache-2.0
"""host: a web host of one's own: /etc, /run and /var are private, so are the network and the processes.

    enter()                 first thing in a test: goes on inside, or says why not and ends
    with Host("name") ...   key server, agent and provider where an installation has them

All of it is gone with the test: the kernel ends what is left in the namespace.
"""
import os
import shutil
import subprocess
import sys

from scenario import expect
from lab import BIN, LIB, KeyServer, Lab, Process, accepts, wait_until

INSIDE = "KEYFLEET_TEST_HOST"


def enter():
    if os.environ.get(INSIDE):
        return
    wall = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() or subprocess.run([*wall, "true"], capture_output=True).returncode:
        print("1..0 # SKIP needs root and namespaces")
        sys.exit(0)
    # The shell is the first process in there: it takes in orphans.
    os.execvpe(wall[0], [*wall, "sh", "-c", '"$@"; exit $?', "sh", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def private_folders(base):
    """Copies of what the host has, over what the host has."""
    mount("--make-rprivate", "/")
    etc = os.path.join(base, "etc")
    subprocess.run(["cp", "-a", "/etc", etc], check=True)
    mount("--bind", etc, "/etc")
    for path, mode in (("/run", "755"), ("/var/log", "755"), ("/var/lib", "755")):
        mount("-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", path)
    for path in ("/var/log/nginx", "/var/log/apache2", "/var/lib/nginx", "/var/lib/haproxy", "/run/haproxy", "/run/apache2",
                 "/run/lock"):
        os.makedirs(path, exist_ok=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Host(Lab):
    def __enter__(self):
        super().__enter__()
        private_folders(self.dir)
        self.server = KeyServer(self, "kms")
        os.makedirs("/etc/keyfleet", exist_ok=True)
        self.server.keyfleet("client", "add", "web1", "--out", "/etc/keyfleet")
        shutil.copy(os.path.join(self.server.dir, "ca.pem"), "/etc/keyfleet/ca.pem")
        self.put("/etc/keyfleet/agent.conf", f"""[client]
servers = {self.server.address}
server_name = keyfleetd
certificate = web1.pem
key = web1.key
ca = ca.pem
[allow *]
users = root, www-data, haproxy, nobody
operations = sign
""")
        snippet = self.keyfleet("snippet", "openssl").stdout
        self.provider_conf = snippet.replace("# module = /path/to/keyfleet.so       when", f"module = {LIB}/keyfleet.so\n# when")
        expect("\nmodule = " in self.provider_conf, "the snippet has no line for the module")
        self.put("/etc/keyfleet/openssl.cnf", self.provider_conf)
        self.agent = None
        self.start_agent()
        return self

    def start_agent(self):
        self.agent = Process(self, "agent", [os.path.join(BIN, "keyfleet-agent"), "--config", "/etc/keyfleet/agent.conf"])
        wait_until("the agent", lambda: self.agent.must_run() and "event=ready" in open(self.agent.log).read())

    def put(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def key_pair(self, name, kind, folder="/etc/ssl/private"):
        """As most hosts have it today."""
        key = self.local_key(name, kind)
        os.makedirs(folder, exist_ok=True)
        shutil.copy(key.certificate, f"{folder}/{name}.pem")
        shutil.copy(key.key, f"{folder}/{name}.key")
        os.chmod(f"{folder}/{name}.key", 0o640)

    def adopt(self, *args, check=True):
        return self.server.keyfleet("adopt", *args, check=check)

    def signatures(self):
        """Signatures that the key server has made for this host."""
        log = subprocess.run(["sh", "-c", f"cat {self.server.dir}/audit/*.log | grep -ac 'client=web1 operation=Sign '"],
                             capture_output=True, text=True)
        return int(log.stdout.strip() or 0)

    def wait_for_port(self, port):
        wait_until(f"port {port}", lambda: accepts(port))


def read(path):
    with open(path, "rb") as f:
        return f.read()

