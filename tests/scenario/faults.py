#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What visitors notice when parts of the fleet die: nothing."""
import contextlib
import os
import shutil
import signal
import time

from scenario import expect, run
from lab import (Agent, Apache, HAProxy, KeyServer, Lab, Load, Nginx, accepts, fetch, free_port, handshake,
                 wait_until)


class Faults(Lab):
    def __enter__(self):
        super().__enter__()
        self.pg = self.postgresql()
        store = "postgresql:" + self.pg.conninfo
        self.first = KeyServer(self, "kms1", store)
        self.second = KeyServer(self, "kms2", store, join=self.first)
        self.keys = [self.first.create_key("rsa", "rsa:2048"), self.first.create_key("ec", "ec:P-256")]
        self.agent = Agent(self, "agent", [self.first, self.second])
        self.conf = self.openssl_conf(self.agent.socket)
        self.nginx = Nginx(self, "nginx", self.keys, self.conf, workers=2)
        return self


def claim_a_killed_key_server_fails_no_handshake(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.first.kill()
        load.goes_on()
        lab.first.start()
        load.goes_on()
    load.fails_nothing()


def claim_a_stopped_key_server_fails_no_handshake(lab):
    """SIGSTOP: the connections stay open and say nothing."""
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.second.process.signal(signal.SIGSTOP)
        try:
            load.goes_on()
        finally:
            lab.second.process.signal(signal.SIGCONT)
        load.goes_on()
    load.fails_nothing()


def claim_a_key_server_that_drains_fails_no_handshake(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.first.process.stop()
        expect(lab.first.process.child.returncode == 0, "keyfleetd did not end with status 0")
        load.goes_on()
        lab.first.start()
        load.goes_on()
    load.fails_nothing()


def claim_signing_needs_no_database(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.pg.stop()
        load.goes_on(50)
        lab.pg.start()
        load.goes_on()
    load.fails_nothing()
    wait_until("the store to be writable again", lambda: lab.first.keyfleet(
        "key", "create", "after-" + str(os.getpid()), check=False).returncode == 0, 30)


def claim_a_database_that_says_nothing_holds_up_nobody(lab):
    """SIGSTOP of all of PostgreSQL: connections stay open.  Handshakes go on; a change ends with a clear word."""
    processes = lab.pg.process.family()
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            load.goes_on(50)
            done = lab.first.keyfleet("key", "create", "silent-" + str(os.getpid()), check=False)
            expect(done.returncode != 0 and done.stderr.strip(), "a change succeeded without a database")
            load.goes_on()
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        load.goes_on()
    load.fails_nothing()
    wait_until("the store to be writable again", lambda: lab.second.keyfleet(
        "key", "create", "spoken-" + str(os.getpid()), check=False).returncode == 0, 30)


def claim_a_restarted_agent_fails_no_handshake(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.agent.process.kill()
        lab.agent.start()
        load.goes_on()
        lab.agent.process.stop()
        lab.agent.start()
        load.goes_on()
    load.fails_nothing()


def claim_nginx_reloads_under_load(lab):
    with Load(lab, lab.nginx.port) as load:
        load.goes_on()
        lab.nginx.process.signal(signal.SIGHUP)
        load.goes_on(50)
    load.fails_nothing()


def claim_nginx_replaces_its_binary_under_load(lab):
    """In daemon mode: nginx ignores USR2 while the process that started it lives."""
    port, pid = free_port(), lab.path("upgrade.pid")
    text = open(lab.nginx.file).read().replace("daemon off;", "").replace(lab.path("nginx.pid"), pid)
    file = lab.write("upgrade.conf", text.replace(f"127.0.0.1:{lab.nginx.port}", f"127.0.0.1:{port}"))
    lab.run([shutil.which("nginx") or "/usr/sbin/nginx", "-c", file], env={"OPENSSL_CONF": lab.conf})
    wait_until("nginx to listen", lambda: os.path.exists(pid) and accepts(port))
    masters = [int(open(pid).read())]
    try:
        with Load(lab, port) as load:
            load.goes_on()
            os.kill(masters[0], signal.SIGUSR2)
            wait_until("the new master", lambda: os.path.exists(pid + ".oldbin") and os.path.exists(pid))
            masters.append(int(wait_until("its PID", lambda: open(pid).read())))
            os.kill(masters[0], signal.SIGQUIT)
            wait_until("the old master to end", lambda: not os.path.exists(pid + ".oldbin"))
            load.goes_on(50)
        load.fails_nothing()
    finally:
        for master in masters:
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGTERM)


def claim_apache_restarts_gracefully_under_load(lab):
    for mpm in ("event", "prefork"):
        web = Apache(lab, "apache-" + mpm, lab.keys, lab.conf, mpm)
        with Load(lab, web.port) as load:
            load.goes_on()
            web.process.signal(signal.SIGUSR1)
            load.goes_on(30)
        web.process.stop()
        load.fails_nothing()


def claim_haproxy_serves_in_a_chroot_without_its_keys(lab):
    web = HAProxy(lab, "haproxy", lab.keys, lab.conf)
    for version in ("1.2", "1.3"):
        fetch(web.port, lab.web_ca(), version)
    web.process.stop()


def claim_configurations_pass_their_test_with_everything_down(lab):
    lab.agent.process.stop()
    env = {"OPENSSL_CONF": lab.conf}
    try:
        lab.run(["nginx", "-t", "-c", lab.nginx.file], env=env)
        web = Nginx(lab, "nginx-alone", lab.keys, lab.conf)
        try:
            handshake(web.port, lab.web_ca(), 10)
            raise AssertionError("a handshake without any key server succeeded")
        except OSError:
            pass
        lab.agent.start()
        wait_until("handshakes after the agent is back", lambda: tries(web.port, lab))
        web.process.stop()
    finally:
        if not lab.agent.process.is_running():
            lab.agent.start()


def tries(port, lab):
    try:
        return handshake(port, lab.web_ca(), 10) > 0
    except OSError:
        return False


def claim_all_key_servers_down_fails_fast_and_recovers(lab):
    lab.first.kill()
    lab.second.kill()
    start = time.monotonic()
    expect(not tries(lab.nginx.port, lab), "a handshake without any key server succeeded")
    expect(time.monotonic() - start < 5, "the failure took longer than five seconds")
    lab.first.start()
    lab.second.start()
    wait_until("handshakes again", lambda: tries(lab.nginx.port, lab), 5)


if __name__ == "__main__":
    run(globals(), Faults("keyfleet-faults"))
