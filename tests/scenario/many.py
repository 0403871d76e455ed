#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""10,000 key references in one server: they load without agent and key server, in a time and with memory like those of
as many key files."""
import base64
import os
import subprocess
import time

from host import Host, enter, read
from scenario import expect, run
from lab import handshake, wait_until

N = int(os.environ.get("REFERENCES", "10000"))


def other_reference(text, number):
    """The same public key with another id: a reference of its own."""
    end = text.strip().splitlines()[-1]
    body = text.strip().splitlines()[1:-1]
    der = base64.b64decode("".join(body))
    at = der.index(b"-") - 8  # the id is a UUID
    der = der[:at] + b"%08x" % number + der[at + 8:]
    coded = base64.encodebytes(der).decode().replace("\n", "")
    lines = [coded[i:i + 64] for i in range(0, len(coded), 64)]
    return "\n".join([text.splitlines()[0], *lines, end]) + "\n"


def write_all(lab):
    key = lab.server.create_key("www", "ec:P-256")
    lab.server.keyfleet("grant", "add", "web1", "www", "sign", "--tls-only")
    local = lab.local_key("local", "ec")
    with open("/etc/ssl/openssl.cnf", "a") as f:
        f.write("\n.include /etc/keyfleet/openssl.cnf\n")
    chain, reference = read(key.certificate).decode(), read(key.key).decode()
    for folder in ("refs", "keys", "ref-bundles", "key-bundles"):
        os.makedirs(lab.path(folder))
    local_chain, local_key = read(local.certificate).decode(), read(local.key).decode()
    for i in range(N):
        one = reference if i == 0 else other_reference(reference, i)
        lab.write(f"refs/{i}.pem", chain)
        lab.write(f"refs/{i}.ref", one)
        lab.write(f"keys/{i}.pem", local_chain)
        lab.write(f"keys/{i}.ref", local_key)
        lab.write(f"ref-bundles/{i}.pem", chain + one)
        lab.write(f"key-bundles/{i}.pem", local_chain + local_key)


def nginx_conf(lab, folder, port):
    servers = "".join(f"server {{ listen 127.0.0.1:{port} ssl; server_name n{i}.example.org;\n"
                      f"ssl_certificate {lab.path(folder)}/{i}.pem; ssl_certificate_key {lab.path(folder)}/{i}.ref; }}\n"
                      for i in range(N))
    return lab.write(f"{folder}.conf", f"pid {lab.path(folder)}.nginx; events {{}} http {{ access_log off; "
                     f"server_names_hash_max_size 65536; server_names_hash_bucket_size 128;\n{servers}}}\n")


def haproxy_conf(lab, folder, port):
    return lab.write(f"{folder}.cfg", f"""defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 10s
frontend www
    bind 127.0.0.1:{port} ssl crt {lab.path(folder)}/
""")


def measure(argv):
    """Processor seconds and the most memory of a program that ends by itself, MiB."""
    read_end = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = read_end.stdout.read()
    _, status, used = os.wait4(read_end.pid, 0)
    expect(status == 0, out.decode(errors="replace")[-500:])
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def compare(lab, name, references, keys):
    seconds, memory = measure(references)
    local_seconds, local_memory = measure(keys)
    print(f"# {name}: {N} references {seconds:.1f} s, {memory:.0f} MiB; key files {local_seconds:.1f} s, "
          f"{local_memory:.0f} MiB; ratios {seconds / local_seconds:.2f}, {memory / local_memory:.2f}", flush=True)
    expect(seconds < 3 * local_seconds + 1 and memory < 2 * local_memory, "references cost too much")


def claim_nginx_loads_them_while_no_agent_runs(lab):
    write_all(lab)
    lab.agent.stop()
    compare(lab, "nginx", ["nginx", "-t", "-q", "-c", nginx_conf(lab, "refs", 8443)],
            ["nginx", "-t", "-q", "-c", nginx_conf(lab, "keys", 8444)])


def claim_haproxy_loads_them_while_no_agent_runs(lab):
    compare(lab, "haproxy", ["haproxy", "-c", "-f", haproxy_conf(lab, "ref-bundles", 9443)],
            ["haproxy", "-c", "-f", haproxy_conf(lab, "key-bundles", 9444)])


def claim_nginx_serves_and_reloads_with_them(lab):
    lab.start_agent()
    subprocess.run(["/usr/sbin/nginx", "-c", lab.path("refs.conf")], check=True)
    lab.wait_for_port(8443)
    handshake(8443, lab.web_ca())
    before = {p for p in os.listdir("/proc") if p.isdigit()}
    start = time.monotonic()
    subprocess.run(["/usr/sbin/nginx", "-s", "reload", "-c", lab.path("refs.conf")], check=True)
    wait_until("new workers", lambda: any(
        p.isdigit() and p not in before and b"nginx: worker" in read(f"/proc/{p}/cmdline")
        for p in os.listdir("/proc") if os.path.exists(f"/proc/{p}/cmdline")), 300)
    print(f"# nginx: new workers {time.monotonic() - start:.1f} s after the reload was asked for", flush=True)
    handshake(8443, lab.web_ca())


if __name__ == "__main__":
    enter()
    run(globals(), Host("many"))
