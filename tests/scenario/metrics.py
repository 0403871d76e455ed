#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Metrics of a key server and an agent that have real work: what they say is true, promtool and Prometheus have
nothing to say against it, and dashboard and alerts ask for nothing that is not there."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.parse
import urllib.request

from scenario import expect, run, skip
from lab import Agent, BIN, KeyServer, Lab, Nginx, Process, ROOT, free_port, handshake, set_option, wait_until

RULES = os.path.join(ROOT, "packaging/prometheus/keyfleet.rules.yml")
RULE_TESTS = os.path.join(ROOT, "tests/prometheus/keyfleet.test.yml")
DASHBOARD = os.path.join(ROOT, "packaging/grafana/dashboard.py")
OPEN = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Dump(dict):
    """(name, frozenset of label pairs) -> value, in the order of the text."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        for line in text.splitlines():
            if line and line[0] != "#":
                name, labels, value = SAMPLE.match(line).groups()
                self[name, frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))] = float(value)

    def value(self, name, **labels):
        """The sum over all series that have these labels."""
        found = [v for (n, have), v in self.items() if n == name and set(labels.items()) <= have]
        expect(found, f"no {name} with {labels}")
        return sum(found)

    def labels(self):
        """metric -> names of its labels"""
        found = {}
        for name, labels in self:
            found.setdefault(name, set()).update(k for k, _ in labels)
        return found


class Metrics(Lab):
    def __enter__(self):
        super().__enter__()
        self.health, self.agent_socket = free_port(), self.path("metrics.sock")
        self.server = KeyServer(self, "ks1", options={
            ("health", "listen"): f"127.0.0.1:{self.health}", ("limits", "handshake_timeout"): "3s"})
        keys = [self.server.create_key("www", "ec:P-256"), self.server.create_key("big", "rsa:3072")]
        self.agent = Agent(self, "web1", [self.server])
        set_option(self.agent.conf, "metrics", "listen", f"unix:{self.agent_socket}")
        self.agent.process.signal(signal.SIGHUP)
        wait_until("the agent's endpoint", lambda: os.path.exists(self.agent_socket))
        self.web = Nginx(self, "nginx", keys, self.openssl_conf(self.agent.socket))
        return self

    def ask(self, path, accept="*/*"):
        request = urllib.request.Request(f"http://127.0.0.1:{self.health}{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def ask_agent(self, path, accept="*/*"):
        connection = UnixHTTP(self.agent_socket)
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def agent_answers(self, path):
        """None: nobody listens, yet."""
        try:
            return self.ask_agent(path)
        except OSError:
            return None

    def dump(self):
        return Dump(self.ask("/metrics"))

    def agent_dump(self):
        return Dump(self.ask_agent("/metrics")[1])

    def handshakes(self, n):
        for _ in range(n):
            handshake(self.web.port, self.web_ca())

    def as_web1(self, *args):
        """The command with the host's certificate, which may sign and nothing else."""
        conf = self.write("web1-client.conf", f"""[client]
servers = {self.server.address}
server_name = keyfleetd
certificate = {self.path("web1.pem")}
key = {self.path("web1.key")}
ca = {self.server.dir}/ca.pem
""")
        return self.keyfleet("--config", conf, *args, check=False)


def promtool(*args, stdin=None):
    if not shutil.which("promtool"):
        skip("promtool is not installed")
    return subprocess.run(["promtool", *args], input=stdin, capture_output=True, text=True, timeout=60)


def claim_promtool_has_nothing_to_say_against_either_dump(lab):
    lab.handshakes(3)
    for text in (lab.ask("/metrics"), lab.ask_agent("/metrics")[1]):
        done = promtool("check", "metrics", stdin=text)
        expect(done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr)


N = 150  # enough for the agent to know how long a server takes


def claim_what_is_counted_is_what_was_done(lab):
    lab.handshakes(1)  # histograms appear with the first
    before, agent_before = lab.dump(), lab.agent_dump()
    lab.handshakes(N)
    after, agent_after = lab.dump(), lab.agent_dump()

    def grew(name, a=before, b=after, **labels):
        return b.value(name, **labels) - a.value(name, **labels)
    expect(grew("keyfleet_requests_total", operation="Sign", result="ok") == N, "signatures of the server")
    expect(grew("keyfleet_client_requests_total", **{"class": "granted", "result": "ok"}) == N, "of a grant")
    expect(grew("keyfleet_request_duration_seconds_count", operation="Sign") == N, "durations")
    expect(grew("keyfleet_token_operations_total", token="soft") == N, "of the token")
    expect(grew("keyfleet_audit_records_total") >= N, "audit records")
    expect(grew("keyfleet_agent_requests_total", agent_before, agent_after, operation="Sign", result="ok") == N,
           "signatures of the agent")
    spent = sum(grew("keyfleet_stage_duration_seconds_sum", stage=s) for s in ("queue", "token", "audit"))
    whole = grew("keyfleet_request_duration_seconds_sum", operation="Sign")
    expect(0 < spent <= whole * 1.01, f"stages {spent} s, requests {whole} s")
    expect(grew("keyfleet_agent_request_duration_seconds_sum", agent_before, agent_after) >= whole * 0.99,
           "the agent waited less than the server worked")


def claim_status_tells_people_how_quick_the_server_is(lab):
    lab.handshakes(5)
    status = {row["name"]: row["value"] for row in lab.server.keyfleet_json("status")}
    expect(0 < int(status["sign.p50-us"]) <= int(status["sign.p99-us"]), str(status))
    expect("requests-per-s" in status, str(status))


def claim_open_descriptors_are_counted(lab):
    for pid, dump in ((lab.server.process.pid, lab.dump()), (lab.agent.process.pid, lab.agent_dump())):
        there = len(os.listdir(f"/proc/{pid}/fd"))
        expect(abs(dump.value("process_open_fds") - there) <= 3, f"{there} are open")


def claim_refusals_have_their_result_and_right(lab):
    before = lab.dump()
    expect(lab.as_web1("key", "destroy", "www", "--yes").returncode != 0, "a web host destroys keys")
    expect(lab.as_web1("client", "list").returncode != 0, "a web host administers")
    after = lab.dump()
    for name, labels in (("keyfleet_requests_total", {"result": "denied"}),
                         ("keyfleet_client_requests_total", {"class": "denied", "result": "denied"})):
        expect(after.value(name, **labels) > before.value(name, **labels), name)


def count_handshake(lab, how, attempt):
    before = lab.dump().value("keyfleet_tls_handshakes_total", result=how)
    attempt()
    wait_until(f"a handshake counted as {how}",
               lambda: lab.dump().value("keyfleet_tls_handshakes_total", result=how) == before + 1)


def claim_handshakes_that_fail_are_counted_by_their_cause(lab):
    port = int(lab.server.address.rsplit(":", 1)[1])

    def dial(context=None):
        with socket.create_connection(("127.0.0.1", port), 10) as raw:
            if not context:
                return raw.sendall(b"GET / HTTP/1.0\r\n\r\n") or raw.recv(100)
            with context.wrap_socket(raw) as stream:
                return stream.recv(100)

    def try_with(context):
        try:
            dial(context)
        except (ssl.SSLError, OSError):
            pass

    def context(name=None):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        if name:
            c.load_cert_chain(lab.path(name + ".pem"), lab.path(name + ".key"))
        return c

    def resume():
        c = context("web1")
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", port), 10) as raw, c.wrap_socket(raw) as stream:
            session = stream.session
        with socket.create_connection(("127.0.0.1", port), 10) as raw, c.wrap_socket(raw, session=session) as stream:
            expect(stream.session_reused, "the session was not resumed")

    def distrust():
        c = ssl.create_default_context(cafile=lab.web_ca())
        c.check_hostname = False
        try_with(c)

    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             "self.key", "-out", "self.pem", "-subj", "/CN=web1", "-addext", "extendedKeyUsage=clientAuth"])
    lab.server.keyfleet("client", "add", "former", "--out", lab.dir)
    lab.server.keyfleet("client", "revoke", "former")
    count_handshake(lab, "protocol", dial)
    count_handshake(lab, "gone", lambda: socket.create_connection(("127.0.0.1", port), 10).close())
    count_handshake(lab, "certificate", lambda: try_with(context()))
    count_handshake(lab, "certificate", lambda: try_with(context("self")))
    count_handshake(lab, "stranger", lambda: try_with(context("former")))
    count_handshake(lab, "refused", distrust)
    count_handshake(lab, "resumed", resume)
    with socket.create_connection(("127.0.0.1", port), 10):
        count_handshake(lab, "timeout", lambda: None)
    count_handshake(lab, "full", lambda: lab.server.keyfleet("status"))


def claim_the_order_is_stable_and_no_label_names_a_client_or_a_key(lab):
    first, second = lab.dump(), lab.dump()
    expect(list(first) == [k for k in second if k in first], "the order changed")
    ids = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-", first.text + lab.agent_dump().text)
    names = [n for n in ("web1", "former", "www", '"big"') if n in first.text]
    expect(not ids and not names, f"named: {ids} {names}")


def manual(program):
    text = subprocess.run([os.path.join(BIN, program), "--metrics"], check=True, capture_output=True, text=True).stdout
    return dict(re.findall(r"^  (\w+) (counter|gauge|histogram)$", text, re.M))


def claim_the_manual_has_every_metric_and_the_dump_every_type(lab):
    for program, dump in (("keyfleetd", lab.dump()), ("keyfleet-agent", lab.agent_dump())):
        told = dict(re.findall(r"^# TYPE (\w+) (\w+)$", dump.text, re.M))
        expect(told == manual(program), f"{program}: {set(told.items()) ^ set(manual(program).items())}")


# -- dashboard and alerts ------------------------------------------------------------------------------

WORDS = {"by", "without", "on", "ignoring", "and", "or", "unless", "bool", "offset", "group_left", "group_right"}


def substituted(expression):
    return (expression.replace("$__rate_interval", "30s").replace("$server", ".*").replace("$agent", ".*"))


def dashboard():
    text = subprocess.run([DASHBOARD], check=True, capture_output=True, text=True).stdout
    for panel in json.loads(text)["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], substituted(target["expr"])


def alerts():
    text = open(RULES).read()
    for name, one, block in re.findall(r"- alert: (\w+)\n +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", text):
        yield name, (one or block).strip()


def used(expression):
    """(metric, names of its labels) as an expression uses them; grouping labels count for all of its metrics."""
    grouped = set()
    for inside in re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", expression):
        grouped |= {g.strip() for g in inside.split(",") if g.strip()}
    bare = re.sub(r"\b(?:by|on|without|ignoring) \([^)]*\)", " ", expression)
    for name, braces in re.findall(r"(?<![\w.\"])([a-zA-Z_]\w*)\b(?!\s*\()(?:\{([^}]*)\})?", re.sub(r"\[\w+\]", "", bare)):
        if name in WORDS or (not braces and f'"{name}"' in expression):
            continue
        yield name, set(re.findall(r"(\w+)\s*[=!]", re.sub(r'"[^"]*"', '""', braces or ""))) | grouped


def claim_dashboard_and_alerts_ask_only_for_what_a_live_dump_has(lab):
    known = lab.dump().labels()
    for name, labels in lab.agent_dump().labels().items():
        known.setdefault(name, set()).update(labels)
    known["up"] = set()
    # There are no tokens here: tests/scenario/pool.py has some.
    for name in re.findall(r"\b(keyfleet_pool_\w+)", subprocess.run(
            [os.path.join(BIN, "keyfleetd"), "--metrics"], capture_output=True, text=True, check=True).stdout):
        known.setdefault(name, {"pool", "serial", "state"})
    asked = list(dashboard()) + list(alerts())
    expect(len(asked) > 60, f"only {len(asked)} expressions were found")
    for title, expression in asked:
        for name, labels in used(re.sub(r'"[^"]*"', '""', expression)):
            expect(name in known, f"{title}: there is no {name}")
            lacking = labels - known[name] - {"instance", "job"}
            expect(not lacking, f"{title}: {name} has no label {lacking}")


def claim_the_alerts_stand_their_tests(lab):
    count = open(RULES).read().count("- alert:")
    tests = lab.write("keyfleet.test.yml", open(RULE_TESTS).read().replace("RULES", str(count)).replace(
        "../../packaging/prometheus/keyfleet.rules.yml", RULES))
    for args in (["check", "rules", RULES], ["test", "rules", tests]):
        done = promtool(*args)
        expect(done.returncode == 0, done.stdout + done.stderr)


class Prometheus:
    """Debian's, which asks both endpoints twice a second; the agent's Unix socket by way of nginx, as the guide says."""

    def __init__(self, lab):
        if not shutil.which("prometheus"):
            skip("prometheus is not installed")
        self.port, proxy = free_port(), free_port()
        lab.write("proxy.conf", f"""daemon off; pid {lab.path("proxy.pid")}; error_log {lab.path("proxy.error")};
{"user root;" if os.geteuid() == 0 else ""} events {{}}
http {{ access_log off; client_body_temp_path {lab.path("proxy-body")}; proxy_temp_path {lab.path("proxy-temp")};
fastcgi_temp_path {lab.path("proxy-f")}; uwsgi_temp_path {lab.path("proxy-u")}; scgi_temp_path {lab.path("proxy-s")};
server {{ listen 127.0.0.1:{proxy}; location = /metrics {{ proxy_pass http://unix:{lab.agent_socket}:/metrics; }} }} }}
""")
        Process(lab, "proxy", ["nginx", "-c", lab.path("proxy.conf")])
        conf = lab.write("prometheus.yml", f"""global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}
rule_files: [{RULES}]
scrape_configs:
  - job_name: keyfleetd
    static_configs: [{{targets: ["127.0.0.1:{lab.health}"]}}]
  - job_name: keyfleet-agent
    static_configs: [{{targets: ["127.0.0.1:{proxy}"]}}]
""")
        self.process = Process(lab, "prometheus", [
            "prometheus", f"--config.file={conf}", f"--storage.tsdb.path={lab.path('tsdb')}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"])
        wait_until("Prometheus", lambda: self.process.must_run() and self.is_ready(), 60)

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as e:
            return e.read().decode()

    def query(self, expression):
        """The series, or a text that says what is wrong."""
        found = self.get("query", query=expression)
        return found if isinstance(found, str) else found["result"]


def claim_a_prometheus_finds_something_for_every_expression(lab):
    prometheus = Prometheus(lab)
    busy = Process(lab, "busy", ["sh", "-c", "while curl -sk https://127.0.0.1:%d/ >/dev/null; do :; done" % lab.web.port])
    lab.server.keyfleet("key", "create", "one-more")

    def is_measured():
        rates = prometheus.query('rate(keyfleet_requests_total{operation="Sign",result="ok"}[30s]) > 0')
        agents = prometheus.query('rate(keyfleet_agent_requests_total{operation="Sign",result="ok"}[30s]) > 0')
        return rates and agents
    wait_until("rates", is_measured, 60)
    for target in prometheus.get("targets")["activeTargets"]:
        expect(target["health"] == "up", f"{target['scrapeUrl']}: {target['lastError']}")
    for title, expression in dashboard():
        found = prometheus.query(expression)
        expect(found and not isinstance(found, str), f"{title}: {expression}: {found or 'nothing'}")
    wait_until("rules to be looked at", lambda: all(
        r["health"] == "ok" for g in prometheus.get("rules")["groups"] for r in g["rules"]), 30)
    firing = [a["labels"]["alertname"] for a in prometheus.get("alerts")["alerts"] if a["state"] == "firing"]
    expect(not firing, f"a fleet that is well: {firing}")
    busy.stop()


def claim_a_reload_moves_the_agents_endpoint_and_one_that_fails_leaves_the_agent_alone(lab):
    moved = lab.path("moved.sock")
    set_option(lab.agent.conf, "metrics", "listen", f"unix:{moved}")
    lab.agent.process.signal(signal.SIGHUP)
    lab.agent_socket = moved
    wait_until("it to be served there", lambda: lab.agent_answers("/up") == (200, "yes\n"))
    set_option(lab.agent.conf, "metrics", "listen", f"unix:{lab.path('no', 'such', 'folder')}")
    lab.agent.process.signal(signal.SIGHUP)
    wait_until("the complaint", lambda: "no metrics" in open(lab.agent.process.log).read())
    lab.handshakes(1)
    set_option(lab.agent.conf, "metrics", "listen", "0.0.0.0:9999")
    done = lab.run([os.path.join(BIN, "keyfleet-agent"), "--config", lab.agent.conf, "--check"], check=False)
    expect(done.returncode == 1 and "is neither loopback nor unix:" in done.stderr, done.stderr)
    set_option(lab.agent.conf, "metrics", "listen", f"unix:{moved}")
    os.unlink(moved)
    lab.agent.process.signal(signal.SIGHUP)
    wait_until("the endpoint", lambda: lab.agent_answers("/up") == (200, "yes\n"))


def claim_an_agent_without_servers_says_so(lab):
    lab.server.process.stop()
    wait_until("the agent to notice", lambda: lab.ask_agent("/up") == (503, "no\n"))
    dump = lab.agent_dump()
    expect(dump.value("keyfleet_agent_servers_up") == 0 and dump.value("keyfleet_agent_servers") == 1, "servers")
    expect(lab.run(["curl", "-sk", "--max-time", "20", lab.web.url()], check=False).returncode != 0, "who signs here?")
    after = lab.agent_dump()
    bad = sum(after.value("keyfleet_agent_requests_total", operation="Sign", result=r) for r in ("failed", "late"))
    expect(bad > 0, "no failure is counted")


run(globals(), Metrics("kf-metrics"))
