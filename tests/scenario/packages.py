#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages in bare Debians: installed, configured, upgraded under load, purged, installed again.

Takes what `./dev package` has left in build-package (or $KEYFLEET_PACKAGES) and makes the next version itself.
"""
import functools
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import time

from scenario import expect, run
from lab import Lab, Load, ROOT, handshake, wait_until

sys.path.insert(0, os.path.join(ROOT, "tests", "tools"))
import confine  # noqa: E402
from machine import Machine, debian, network_of_our_own  # noqa: E402

PACKAGES = os.environ.get("KEYFLEET_PACKAGES", os.path.join(ROOT, "build-package"))
NEXT = "+next1"
SECRETS = ["/etc/keyfleet/master.key", "/etc/keyfleet/ca/ca.key", "/etc/keyfleet/admin.key", "/etc/keyfleet/server.key",
           "/var/lib/keyfleet/keyfleet.db"]
NGINX = """server {
    listen 127.0.0.1:8443 ssl;
    ssl_certificate /etc/keyfleet/www.pem;
    ssl_certificate_key /etc/keyfleet/www.ref;
    return 200 "hello\\n";
}
"""


@functools.cache
def newest_source():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "src", "bin", "lib", "include", "packaging", "debian"],
                            capture_output=True, text=True, check=True).stdout
    return max(os.path.getmtime(os.path.join(ROOT, f)) for f in listed.split("\0") if f)


@functools.cache
def packages(suffix=""):
    """The .debs, made if they are not there or older than the tree."""
    folder = os.path.join(PACKAGES, "next") if suffix else PACKAGES
    found = [d for d in glob.glob(folder + "/*.deb") if "dbgsym" not in d]
    if not found or min(map(os.path.getmtime, found)) < newest_source():
        subprocess.run([os.path.join(ROOT, "dev"), "package", "--out", folder, *(["--suffix", suffix] if suffix else [])],
                       check=True, stdout=subprocess.DEVNULL)
        found = [d for d in glob.glob(folder + "/*.deb") if "dbgsym" not in d]
    return sorted(found)


class Fleet(Lab):
    suite = "bookworm"

    def __enter__(self):
        super().__enter__()
        if os.geteuid() or not all(map(shutil.which, ("debootstrap", "nsenter", "ip", "dpkg-buildpackage"))):
            print("1..0 # SKIP needs root, debootstrap and dpkg-dev")
            sys.exit(0)
        self.outside = network_of_our_own()
        self.machines = {}
        return self

    def debs(self):
        """Folders of a machine and what is in them."""
        return [("/debs", packages()), ("/next", packages(NEXT))]

    def bare(self, name):
        self.machines[name] = m = Machine(self, name, debian(self, self.suite, self.outside), self.outside)
        m.apt("update")
        return m

    def machine(self, name, *software):
        """A bare Debian with our packages beside it, and what else it runs."""
        if name not in self.machines:
            folders = self.debs()
            m = self.bare(name)
            if software:
                m.apt("install", "--no-install-recommends", *software)
            for folder, debs in folders:
                os.mkdir(m.root + folder)
                for deb in debs:
                    shutil.copy(deb, m.root + folder)
        return self.machines[name]

    def switch_off(self, name):
        """Others need the names of its sockets."""
        machine = self.machines.pop(name)
        machine.stop()
        self.processes.remove(machine)

    def share(self, m, folder):
        """A folder of the lab, at the same place inside the machine."""
        inside = self.path(m.name) + self.path(folder)
        os.makedirs(m.root + self.path(folder), exist_ok=True)
        self.run(["nsenter", f"--mount=/proc/{m.pid}/ns/mnt", "mount", "--bind", self.path(folder), inside])

    def key_server(self, name, port, postgresql, join=None):
        m = self.machine(name)
        m.apt("install", "/debs/keyfleet-server_*.deb", "/debs/keyfleet-tools_*.deb")
        self.share(m, "pg")
        store = f"--store 'postgresql:{postgresql.conninfo}' --listen 127.0.0.1:{port}"
        if join:
            shutil.copytree(join.root + "/etc/keyfleet", m.root + "/srv/other", symlinks=True)
            for path in glob.glob(m.root + "/srv/other/*"):
                os.lchown(path, 0, 0)
        m.run(f"keyfleet init /etc/keyfleet {store} {'--join /srv/other' if join else ''}")
        m.run("systemctl start keyfleetd")
        return m

    def web_host(self, key_server, ports):
        """nginx with a key that it does not have, by the way that an operator goes."""
        web = self.machine("web", "nginx")
        web.apt("install", "/debs/keyfleet-agent_*.deb", "/debs/keyfleet-provider_*.deb")
        key_server.run("keyfleet key create www --type ec:P-256 && keyfleet client add web1 --out /srv &&"
                       " keyfleet grant add web1 www sign --tls-only")
        csr = self.write("www.csr", key_server.run("keyfleet key csr www --subject CN=localhost").stdout)
        web.write("/etc/keyfleet/www.ref", key_server.run("keyfleet key ref www").stdout)
        web.write("/etc/keyfleet/www.pem", open(self.certify(csr, "www.pem")).read())
        web.write("/etc/keyfleet/ca.pem", key_server.read("/etc/keyfleet/ca.pem"))
        for ending, mode in ((".pem", 0o644), (".key", 0o600)):
            web.write("/etc/keyfleet/web1" + ending, key_server.read("/srv/web1" + ending), mode)
        web.write("/etc/keyfleet/agent.conf", f"""[client]
servers = {", ".join(f"127.0.0.1:{p}" for p in ports)}
server_name = keyfleetd
ca = ca.pem
certificate = web1.pem
key = web1.key
[allow *]
users = root, www-data
operations = sign
""")
        web.write("/etc/systemd/system/nginx.service.d/keyfleet.conf",
                  "[Service]\nEnvironment=OPENSSL_CONF=/etc/keyfleet/openssl.cnf\n")
        web.write("/etc/nginx/conf.d/www.conf", NGINX)
        web.run("chown keyfleet-agent: /etc/keyfleet/web1.key && systemctl start keyfleet-agent && systemctl restart nginx")
        return web


def digests(m):
    return {path: hashlib.sha256(open(m.root + path, "rb").read()).hexdigest() for path in SECRETS}


def is_active(m, unit):
    return m.run("systemctl is-active " + unit, check=False).stdout.strip() == "active"


def claim_installing_makes_users_and_folders_and_starts_nothing(lab):
    m = lab.machine("one", "openssl")
    m.apt("install", "/debs/*.deb")
    for unit in ("keyfleetd.service", "keyfleet-agent.service", "keyfleet-agent.socket"):
        expect(not is_active(m, unit), unit + " runs without a configuration")
        expect(m.run("systemctl is-enabled " + unit, check=False).stdout == "enabled\n", unit + " is not enabled")
    listed = m.run("stat -c '%n %U %a' /etc/keyfleet /var/lib/keyfleet").stdout.split("\n")
    expect(listed[:2] == ["/etc/keyfleet root 755", "/var/lib/keyfleet keyfleet 700"], str(listed))
    expect(not m.run("dpkg --verify $(dpkg-query -W -f '${Package} ' '*keyfleet*')").stdout, "files are not as packaged")
    expect("keyfleet" in m.run("OPENSSL_CONF=/etc/keyfleet/openssl.cnf openssl list -providers").stdout, "no provider")


def claim_a_set_up_serves_as_the_services_user_and_comes_back_after_a_crash(lab):
    m = lab.machine("one")
    m.run("keyfleet init /etc/keyfleet && systemctl start keyfleetd && keyfleet key create www --type ec:P-256")
    before = m.run("systemctl show -p MainPID --value keyfleetd").stdout.strip()
    expect(m.run(f"ps -o user= -p {before}").stdout.strip() == "keyfleet", "the daemon is not the user keyfleet")
    m.run("systemctl kill keyfleetd")
    wait_until("keyfleetd to come back", lambda: m.run("keyfleet key list", check=False).returncode == 0)
    expect(m.run("systemctl show -p MainPID --value keyfleetd").stdout.strip() != before, "it was not killed")


def claim_services_work_under_what_their_units_forbid(lab):
    """Everything in this file does: that the rules are in force is seen here."""
    m = lab.machine("one")
    pid = m.run("systemctl show -p MainPID --value keyfleetd").stdout.strip()
    inside = f"nsenter --mount=/proc/{pid}/ns/mnt --root=/proc/{pid}/root "
    for path, may in (("/etc/keyfleet", False), ("/usr", False), ("/var/lib/keyfleet", True), ("/run/keyfleetd", True)):
        done = m.run(f"{inside} touch {path}/new && {inside} rm {path}/new", check=False)
        expect((done.returncode == 0) == may, f"{path}: {done.stderr}")
    if confine.library():
        expect("Seccomp:\t2\n" in m.run(f"cat /proc/{pid}/status").stdout, "system calls are not filtered")


def claim_secrets_as_credentials_need_a_drop_in_and_two_lines(lab):
    """The example of keyfleet-doc, as it is."""
    m = lab.machine("one")
    m.run("""set -e
mkdir -p /etc/systemd/system/keyfleetd.service.d
cp /usr/share/doc/keyfleet/examples/credentials.conf /etc/systemd/system/keyfleetd.service.d/
chown root: /etc/keyfleet/server.key /etc/keyfleet/master.key
sed -i 's/^key = .*/key = credential:server.key/; s/^master_key = .*/master_key = credential:master.key/' \\
	/etc/keyfleet/keyfleetd.conf
systemctl daemon-reload
systemctl restart keyfleetd
keyfleet key list | grep -q www""")
    pid = m.run("systemctl show -p MainPID --value keyfleetd").stdout.strip()
    expect("CREDENTIALS_DIRECTORY" in m.run(f"tr '\\0' '\\n' </proc/{pid}/environ").stdout, "no credentials were given")


def claim_purging_leaves_the_keys_and_says_where(lab):
    m = lab.machine("one")
    m.run("systemctl stop keyfleetd")  # the store is written to its end
    before = digests(m)
    done = m.apt("purge", "'keyfleet-*'", "'libkeyfleet*'")
    said = done.stdout + done.stderr
    expect("/etc/keyfleet and /var/lib/keyfleet still hold keys" in said, said)
    expect(not m.run("ps -C keyfleetd -o pid=", check=False).stdout, "keyfleetd still runs")
    expect(digests(m) == before, "files have changed")
    for path in SECRETS:
        expect(os.stat(m.root + path).st_mode & 0o077 == 0, path + " is open to others")


def claim_installed_again_it_finds_its_keys(lab):
    m = lab.machine("one")
    before = m.run("ls -ln /var/lib/keyfleet/keyfleet.db").stdout
    m.apt("install", "/debs/*.deb")
    expect(before.split()[2] == m.run("id -u keyfleet").stdout.strip(), "the user is another one")
    m.run("systemctl start keyfleetd")
    expect("www" in m.run("keyfleet key list").stdout, "the key is gone")
    lab.switch_off("one")


def readme_commands():
    """The first block of commands below "Install"."""
    text = open(os.path.join(ROOT, "README.md")).read().split("\n## Install\n")[1].split("```")[1]
    return [line.split("#")[0].strip() for line in text.splitlines() if line.strip()]


def claim_from_a_bare_debian_to_remote_handshakes_by_the_readme(lab):
    """Under load, in less than five minutes and ten commands."""
    m = lab.machine("readme", "nginx", "openssl")
    site = lab.local_key("site", "ec")
    m.write("/etc/nginx/site.pem", open(site.certificate).read())
    m.write("/etc/nginx/site.key", open(site.key).read(), 0o600)
    m.write("/etc/nginx/conf.d/site.conf", """server {
    listen 8444 ssl;
    server_name localhost;
    ssl_certificate site.pem;
    ssl_certificate_key site.key;
    return 200 "hello\\n";
}
""")
    m.run("systemctl restart nginx")
    m.write("/etc/apt/apt.conf.d/91yes", 'APT::Get::Assume-Yes "true";\n')
    commands = readme_commands()
    expect(len(commands) <= 10, f"{len(commands)} commands")
    started = time.monotonic()
    with Load(lab, 8444) as load:
        load.goes_on()
        for command in commands:
            done = m.run("cd /debs && " + command, online=command.startswith("apt"), check="doctor" not in command)
        expect(" 0 failed" in "\n " + done.stdout.strip().splitlines()[-1], "the doctor found: " + done.stdout)
        before = load.done
        load.goes_on(50)
    load.fails_nothing()
    took = time.monotonic() - started
    expect(took < 300, f"it took {took:.0f} s")
    m.run("systemctl stop nginx && shred -u /etc/nginx/site.key && systemctl start nginx")  # nobody needs it
    expect(handshake(8444, lab.web_ca()) < 10, "no handshake without the old key")
    signed = m.run("grep -a -c 'client=agent.*operation=Sign' /var/lib/keyfleet/audit/audit-*.log").stdout
    expect(int(signed) >= load.done - before, f"{signed} signatures in the audit log")
    print(f"# {len(commands)} commands, {took:.0f} s, {load.done} handshakes meanwhile")
    done = m.apt("remove", "keyfleet-provider")
    expect("keyfleet-provider: in use by nginx: " in done.stdout + done.stderr, "nobody is warned: " + done.stderr)
    lab.switch_off("readme")


def claim_an_upgrade_under_load_fails_no_handshake(lab):
    """Two key servers, then the agent and the provider beneath a running nginx."""
    pg = lab.postgresql()
    ks1 = lab.key_server("ks1", 5701, pg)
    ks2 = lab.key_server("ks2", 5702, pg, join=ks1)
    web = lab.web_host(ks1, [5701, 5702])
    programs = {ks1: ("keyfleetd", "'/next/keyfleet-server_*' '/next/keyfleet-tools_*'"),
                ks2: ("keyfleetd", "'/next/keyfleet-server_*' '/next/keyfleet-tools_*'"),
                web: ("keyfleet-agent", "'/next/keyfleet-agent_*' '/next/keyfleet-provider_*'")}
    with Load(lab, 8443) as load:
        load.goes_on()
        for m, (program, debs) in programs.items():
            before = m.run(f"systemctl show -p MainPID --value {program}").stdout
            m.apt("install", debs.replace("'", ""))
            expect(m.run(f"systemctl show -p MainPID --value {program}").stdout != before, program + " was not restarted")
            expect(m.run(f"/usr/sbin/{program} --version").stdout.strip().endswith(NEXT), program + " is the old one")
            load.goes_on(50)
        expect("keyfleet.so" in web.run("cat /proc/$(pgrep -f 'nginx: worker' | head -n 1)/maps").stdout,
               "nginx works without the provider")
        web.run("systemctl reload nginx")
        load.goes_on(50)
    load.fails_nothing()
    print(f"# {load.done} handshakes, the slowest took {load.slowest:.2f} s")


def claim_an_agent_that_is_away_keeps_programs_waiting_and_refuses_none(lab):
    """The socket is systemd's: who comes while the agent is stopped waits in it."""
    web = lab.machine("web")
    with Load(lab, 8443) as load:
        load.goes_on()
        for _ in range(3):
            web.run("systemctl restart keyfleet-agent")
            load.goes_on()
    load.fails_nothing()


def claim_a_test_that_is_killed_leaves_no_machine_behind(lab):
    """Nobody is left then to stop it."""
    code = f"""import os, sys, tempfile
tempfile.tempdir = {lab.dir!r}
sys.path[:0] = {sys.path!r}
from lab import Lab
from machine import Machine, debian, network_of_our_own
lab = Lab("killed")
m = Machine(lab, "killed", {debian(lab, lab.suite, lab.outside)!r}, network_of_our_own())
print(m.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    wait_until("the machine to end", lambda: not os.path.exists(f"/proc/{pid}/exe"))


if __name__ == "__main__":
    run(globals(), Fleet("kf-packages"))
