#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A key server as a small authority: what it issues is what OpenSSL accepts and a TLS server serves with, whether the
authority's key is in software or on a card."""
import json
import os
import shutil
import ssl
import subprocess
import time

from scenario import expect, run, skip
from token_wire import IMPORT_SHARE, NAME, Admin, Refused
from hsm import Pcscd, VirtualCards, missing
from lab import BIN, KeyServer, Lab, free_port, wait_until
from ttlv import enum, find, int_, item, octets, struct_, text

CERTIFY, RECERTIFY, GET, LOCATE, DESTROY, REVOKE, QUERY, ADD_ATTRIBUTE = 0x06, 0x07, 0x0A, 0x08, 0x14, 0x13, 0x18, 0x0D
NOW = item(0x420001, 9, (1).to_bytes(8, "big"))
OFFSET = item(0x420058, 10, bytes(4))
DENIED, INVALID_CSR, UNSUPPORTED = 0x0C, 0x2F, 0x05


class Authority(Lab):
    def __enter__(self):
        super().__enter__()
        self.why_not = missing()
        self.server = KeyServer(self, "keys")
        self.conf_path = os.path.join(self.server.dir, "keyfleetd.conf")
        self.admin = Admin(self.server)
        self.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                  "root.key", "-out", "root.pem", "-days", "60", "-subj", "/CN=root",
                  "-addext", "keyUsage=critical,keyCertSign,cRLSign"])
        return self

    def append(self, lines):
        self.server.process.stop()
        with open(self.conf_path, "a") as f:
            f.write("\n" + lines)
        self.server.start()

    def authority(self, name, *more):
        """Its key is made at the server, its certificate by the root."""
        self.server.keyfleet("key", "create", name, "--use", "sign,certificate-sign,crl-sign", *more)
        self.write(f"{name}.csr", self.server.keyfleet("key", "csr", name, "--subject", f"CN={name}").stdout)
        self.write("ca.ext", "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
                   "subjectKeyIdentifier=hash\n")
        self.run(["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "root.pem", "-CAkey", "root.key", "-days", "50",
                  "-extfile", "ca.ext", "-out", f"{name}.pem"])
        chain = open(self.path(f"{name}.pem")).read() + open(self.path("root.pem")).read()
        self.write(f"{name}-chain.pem", chain)
        self.append(f"[ca {name}]\ncertificate = {self.path(name)}-chain.pem\nkey = {name}\nnames = localhost .example.com\n")

    def csr(self, san, cn="localhost"):
        self.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                  "leaf.key", "-out", "leaf.csr", "-outform", "DER", "-subj", f"/CN={cn}/O=Nobody", "-addext",
                  f"subjectAltName={san}"])
        return open(self.path("leaf.csr"), "rb").read()

    def issue(self, csr, ca, name=None):
        named = struct_(0x420053, text(NAME, name), enum(0x420054, 1)) if name else b""
        wish = struct_(0x420125, named, NOW, struct_(
            0x420008, text(0x42009D, "keyfleet"), text(0x42000A, "ca"), text(0x42000B, ca)))
        return find(self.admin.ask(CERTIFY, enum(0x420019, 2) + octets(0x420140, csr) + wish), 0x420094).decode()

    def fetch(self, uid, out):
        der = find(find(self.admin.ask(GET, text(0x420094, uid)), 0x420013), 0x42001E)
        self.write(out, ssl.DER_cert_to_PEM_cert(der))
        return der

    def verify(self, leaf, ca):
        done = self.run(["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost",
                         "-CAfile", "root.pem", "-untrusted", f"{ca}.pem", leaf], check=False)
        expect(done.returncode == 0, f"{done.stdout}{done.stderr}")

    def serves(self, leaf, ca):
        """openssl s_server with it: a client that knows the root alone shakes hands."""
        port = free_port()
        server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", self.path(leaf), "-key",
                                   self.path("leaf.key"), "-cert_chain", self.path(f"{ca}.pem"), "-www"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def done():
                asked = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
                                        "-verify_return_error", "-verify_hostname", "localhost", "-CAfile",
                                        self.path("root.pem")], stdin=subprocess.DEVNULL, capture_output=True, text=True)
                return "Verify return code: 0" in asked.stdout
            wait_until("a handshake", done)
        finally:
            server.terminate()
            server.wait(20)


def refused(lab, reason, *arguments):
    try:
        lab.issue(*arguments)
    except Refused as e:
        expect(e.args[0] == reason, e.args)
        return
    expect(False, "it was issued")


def operations(lab):
    return [value for tag, value in lab.admin.ask(QUERY, enum(0x420074, 1)) if tag == 0x42005C]


def claim_a_server_without_an_authority_has_no_such_operation(lab):
    expect(CERTIFY not in operations(lab), "Query names Certify")
    refused(lab, UNSUPPORTED, lab.csr("DNS:localhost"), "soft")


def claim_what_is_issued_is_a_certificate_that_serves_tls(lab):
    lab.authority("soft")
    expect(CERTIFY in operations(lab) and RECERTIFY in operations(lab), "Query does not name Certify")
    uid = lab.issue(lab.csr("DNS:localhost"), "soft", "leaf-soft")
    lab.fetch(uid, "soft-leaf.pem")
    lab.verify("soft-leaf.pem", "soft")
    lab.serves("soft-leaf.pem", "soft")


def claim_the_record_says_what_was_issued_before_it_is(lab):
    uid = lab.issue(lab.csr("DNS:localhost,DNS:www.example.com"), "soft")
    lab.fetch(uid, "recorded.pem")
    serial = lab.run(["openssl", "x509", "-in", "recorded.pem", "-noout", "-serial"]).stdout.split("=")[1].strip().lower()
    line, = [line for line in lab.server.audit() if f"certificate={uid}" in line and "allowed" in line]
    expect(serial in line and "localhost,www.example.com" in line and "ca=soft" in line, line)


def claim_what_no_option_allows_is_refused(lab):
    refused(lab, DENIED, lab.csr("DNS:localhost,DNS:www.example.org"), "soft")
    expect([line for line in lab.server.audit() if "phase=failed" in line and "refused=www.example.org" in line],
           "the record does not say which name")
    refused(lab, DENIED, lab.csr("DNS:*.example.com"), "soft")
    refused(lab, DENIED, lab.csr("IP:127.0.0.1"), "soft")
    broken = bytearray(lab.csr("DNS:localhost"))
    broken[-1] ^= 1
    refused(lab, INVALID_CSR, bytes(broken), "soft")


def claim_a_renewed_certificate_takes_the_names(lab):
    found = lab.admin.ask(LOCATE, struct_(0x420125, struct_(0x420053, text(NAME, "leaf-soft"), enum(0x420054, 1))))
    old = [value.decode() for tag, value in found if tag == 0x420094]
    expect(len(old) == 1, old)
    new = find(lab.admin.ask(RECERTIFY, text(0x420094, old[0]) + OFFSET), 0x420094).decode()
    expect(lab.fetch(new, "renewed.pem") != lab.fetch(old[0], "before.pem"), "the same certificate")
    lab.verify("renewed.pem", "soft")


def rows(done):
    return json.loads(done.stdout)


def blocks(text):
    return text.count("-----BEGIN CERTIFICATE-----")


def cert(lab, *arguments, status=0):
    done = lab.server.keyfleet("--json", "cert", *arguments, check=False)
    expect(done.returncode == status, f"cert {arguments}: {done.returncode} {done.stdout} {done.stderr}")
    return rows(done) if done.stdout else []


def lasts_days(lab, pem):
    """Whole days until its end."""
    end = lab.run(["openssl", "x509", "-in", pem, "-noout", "-enddate"]).stdout.split("=")[1].strip()
    return round((ssl.cert_time_to_seconds(end) - time.time()) / 86400, 1)


def claim_what_the_command_line_makes_for_authorities_may_sign_certificates(lab):
    told = {r["name"]: r["value"] for r in lab.server.keyfleet_json("key", "show", "soft")}
    mask = told["Cryptographic Usage Mask"]
    expect("Certificate Sign" in mask and "CRL Sign" in mask and "Decrypt" not in mask, mask)
    done = lab.server.keyfleet("key", "create", "odd", "--use", "sing", check=False)
    expect(done.returncode == 2 and "`sing`" in done.stderr, done.stderr)


def claim_the_command_line_has_a_certificate_issued_for_a_key_of_the_key_servers(lab):
    lab.server.keyfleet("key", "create", "www", "--type", "ec:P-256")
    out = lab.path("www.pem")
    asked = ("issue", "www", "--names", "localhost,www.example.com", "--ca", "soft", "--name", "www-tls", "--out", out)
    row, = cert(lab, *asked, "--mode", "640")
    expect(row["result"] == "issued" and row["ca"] == "soft" and row["file"] == out, row)
    text = open(out).read()
    expect(blocks(text) == 2 and text == row["certificate"], "not the certificate and its authority's")
    expect(os.stat(out).st_mode & 0o777 == 0o640, oct(os.stat(out).st_mode))
    lab.verify("www.pem", "www")  # the file has all that is between it and the root
    spki = lab.run(["openssl", "x509", "-in", out, "-noout", "-pubkey"]).stdout
    expect(spki == lab.run(["openssl", "req", "-in", lab.write("www.csr", lab.server.keyfleet("key", "csr", "www").stdout),
                            "-noout", "-pubkey"]).stdout, "it is for another key")
    # Asked for again nothing happens; with other names it does.
    row, = cert(lab, *asked)
    expect(row["result"] == "not due" and open(out).read() == text, row)
    done = lab.server.keyfleet("cert", "issue", "www", "--names", "localhost", "--ca", "soft")
    expect(blocks(done.stdout) == 2 and not done.stderr, done.stdout + done.stderr)


def claim_the_command_line_has_a_request_certified_whose_key_is_elsewhere(lab):
    lab.csr("DNS:localhost")
    row, = cert(lab, "issue", "--csr", lab.path("leaf.csr"), "--ca", "soft", "--days", "3", "--out", lab.path("cli-leaf.pem"))
    expect(2.9 <= lasts_days(lab, "cli-leaf.pem") <= 3, lasts_days(lab, "cli-leaf.pem"))
    lab.verify("cli-leaf.pem", "cli-leaf")
    lab.serves("cli-leaf.pem", "cli-leaf")
    row, = cert(lab, "issue", "--csr", lab.path("leaf.csr"), "--ca", "soft", "--out", lab.path("cli-leaf.pem"))
    expect(row["result"] == "not due", row)


def claim_the_command_line_says_why_nothing_was_issued(lab):
    def refused_with(word, *arguments, status=1):
        done = lab.server.keyfleet("cert", *arguments, check=False)
        expect(done.returncode == status and word in done.stderr and not done.stdout, f"{arguments}: {done}")
    out = lab.path("never.pem")
    refused_with("does not issue to such a name", "issue", "www", "--names", "www.example.org", "--out", out)
    refused_with("names, wildcards and networks of its section [ca NAME]", "issue", "www", "--names", "www.example.org", "--out", out)
    refused_with("no such authority", "issue", "www", "--names", "localhost", "--ca", "nobody", "--out", out)
    refused_with("valid_max of its section [ca NAME]", "issue", "www", "--names", "localhost", "--days", "4000", "--out", out)
    refused_with("for so long", "issue", "www", "--names", "localhost", "--days", "4000", "--out", out)
    refused_with("no key has this name", "issue", "nokey", "--names", "localhost", "--out", out)
    refused_with("nofile.pem: there is no such file", "renew", lab.path("nofile.pem"))
    lab.server.keyfleet("key", "create", "bare")
    refused_with("bare: no certificate", "renew", "bare")
    refused_with("--names", "issue", "www", "--out", out, status=2)
    refused_with("--days", "issue", "www", "--names", "localhost", "--days", "0", status=2)
    refused_with("--mode", "issue", "www", "--names", "localhost", "--mode", "888", "--out", out, status=2)
    refused_with("no such file", "renew", "--out", lab.path("nowhere", "x.pem"), "--force", "www-tls")
    expect(not os.path.exists(out), "a file was written")


def claim_a_renewal_takes_the_place_of_the_file_when_it_is_due(lab):
    out = lab.path("www.pem")
    before = open(out).read()
    row, = cert(lab, "renew", out, status=3)
    expect(row["result"] == "not due" and open(out).read() == before, row)
    row, = cert(lab, "renew", out, "--within", "91")
    expect(row["result"] == "renewed" and open(out).read() == row["certificate"] != before, row)
    expect(os.stat(out).st_mode & 0o777 == 0o640, oct(os.stat(out).st_mode))
    expect(blocks(open(out).read()) == 2, "without the authority's")
    lab.verify("www.pem", "www")
    # The next host with the old file gets the same one, and no other.
    other = lab.write("other.pem", before, 0o600)
    taken, = cert(lab, "renew", other, "--within", "91", status=0)
    expect(taken["result"] in ("taken over", "renewed"), taken)
    expect(os.stat(other).st_mode & 0o777 == 0o600, oct(os.stat(other).st_mode))


def claim_what_was_renewed_elsewhere_is_taken_over(lab):
    first, second = lab.path("first.pem"), lab.path("second.pem")
    cert(lab, "issue", "www", "--names", "localhost", "--ca", "soft", "--days", "2", "--out", first)
    shutil.copy(first, second)
    row, = cert(lab, "renew", first, "--within", "30", "--days", "40")
    expect(row["result"] == "renewed" and lasts_days(lab, first) > 39, row)
    taken, = cert(lab, "renew", second, "--within", "30")
    expect(taken["result"] == "taken over" and taken["id"] == row["id"], taken)
    expect(open(first).read() == open(second).read(), "another certificate")
    # Whoever does not say how long gets as long as it was.
    row, = cert(lab, "renew", "www", "--force", "--out", first)
    expect(39 < lasts_days(lab, first) <= 40.1, lasts_days(lab, first))


def claim_a_link_that_leads_to_anothers_certificate_is_not_followed(lab):
    mine, other = lab.path("mine.pem"), lab.path("others.pem")
    row, = cert(lab, "issue", "www", "--names", "localhost", "--ca", "soft", "--days", "2", "--out", mine)
    lab.server.keyfleet("key", "create", "stranger", "--type", "ec:P-256")
    strangers, = cert(lab, "issue", "stranger", "--names", "localhost", "--ca", "soft", "--out", other)
    link = struct_(0x42004A, enum(0x42004B, 0x106), text(0x42004C, strangers["id"]))
    lab.admin.ask(ADD_ATTRIBUTE, text(0x420094, row["id"]) + struct_(0x42013D, link))
    before = open(mine).read()
    for more in ((), ("--force",)):
        done = lab.server.keyfleet("cert", "renew", mine, "--within", "30", *more, check=False)
        expect(done.returncode == 1 and "another key" in done.stderr, f"{done}")
        expect(open(mine).read() == before, "a stranger's certificate took the place")
    # Nor where no file says which key: of the certificate, by its key, or by a key that leads to another's.
    out = lab.path("asked.pem")
    for named in row["id"], "www":
        done = lab.server.keyfleet("cert", "renew", named, "--force", "--out", out, check=False)
        expect(done.returncode == 1 and "another key" in done.stderr and not os.path.exists(out), f"{named}: {done}")
    wrong = lab.server.keyfleet("key", "create", "misled", "--type", "ec:P-256").stdout.strip()
    link = struct_(0x42004A, enum(0x42004B, 0x101), text(0x42004C, strangers["id"]))
    lab.admin.ask(ADD_ATTRIBUTE, text(0x420094, wrong) + struct_(0x42013D, link))
    done = lab.server.keyfleet("cert", "renew", "misled", "--force", "--out", out, check=False)
    expect(done.returncode == 1 and "another key" in done.stderr and not os.path.exists(out), f"{done}")


def claim_several_files_are_renewed_whatever_becomes_of_the_others(lab):
    strange = lab.write("strange.pem", open(lab.path("root.pem")).read())
    done = lab.server.keyfleet("--json", "cert", "renew", strange, lab.path("first.pem"), "--within", "99", check=False)
    expect(done.returncode == 1 and "strange.pem" in done.stderr, f"{done}")
    row, = rows(done)
    expect(row["result"] == "renewed" and row["file"] == lab.path("first.pem"), row)


def claim_a_file_that_has_a_key_too_keeps_it(lab):
    both = lab.write("both.pem", open(lab.path("first.pem")).read() + lab.server.keyfleet("key", "ref", "www").stdout)
    before = open(both).read()
    for command in (("renew", both, "--force"), ("issue", "www", "--names", "localhost", "--out", both, "--force")):
        done = lab.server.keyfleet("cert", *command, check=False)
        expect(done.returncode == 1 and "keyfleet deploy" in done.stderr, f"{command}: {done}")
    expect(open(both).read() == before, "the key reference is gone")


def claim_nothing_is_issued_for_a_file_that_cannot_be_written(lab):
    link, folder = lab.path("link.pem"), lab.path("folder.pem")
    os.symlink(lab.path("first.pem"), link)
    os.mkdir(folder)

    def issued():
        return len([line for line in lab.server.audit() if "Certify" in line or "Re-certify" in line])

    before = issued()
    for out, why in (link, "no plain file"), (folder, "no plain file"), (lab.path("nowhere", "x.pem"), "no such file"):
        done = lab.server.keyfleet("cert", "issue", "www", "--names", "localhost", "--out", out, "--force", check=False)
        expect(done.returncode == 1 and f"{out}: " in done.stderr and why in done.stderr, done)
    done = lab.server.keyfleet("cert", "renew", link, "--force", check=False)
    expect(done.returncode == 1 and f"{link}: " in done.stderr, done)
    expect(issued() == before > 0, f"{issued() - before} certificates that nobody has")


def claim_a_damaged_chain_is_a_mistake_with_its_line(lab):
    chain = open(lab.path("soft-chain.pem")).read()
    line = chain[:chain.rindex("-----BEGIN")].count("\n") + 1
    whole = open(lab.conf_path).read()
    broken = lab.write("broken.pem", chain[:-60])
    conf = os.path.join(lab.server.dir, "broken.conf")
    with open(conf, "w") as f:
        f.write(whole.replace(lab.path("soft-chain.pem"), broken))
    done = lab.run([os.path.join(BIN, "keyfleetd"), "--config", conf, "--check"], check=False)
    expect(done.returncode != 0 and f"{broken}:{line}:" in done.stderr + done.stdout, f"{done}")


def claim_an_authority_whose_key_is_on_a_card_issues_too(lab):
    if lab.why_not:
        skip(lab.why_not)
    cards = VirtualCards(lab, 1)
    pcscd = Pcscd(lab, cards)
    pin = lab.write("pin", "648219\n", 0o600)
    lab.append(f"[pool main]\npin = {pin}\nsocket = {pcscd.socket}\n")
    serial, = lab.admin.tokens()
    lab.admin.init(serial, "card")
    lab.admin.act(IMPORT_SHARE, serial, octets(0x54002C, bytes(range(32))))
    lab.authority("card", "--pool", "main")
    wait_until("the card", lambda: int(next(iter(lab.admin.tokens().values()))["keys"]) > 0)
    before = int(lab.admin.tokens()[serial]["signatures"])
    lab.fetch(lab.issue(lab.csr("DNS:localhost"), "card"), "card-leaf.pem")
    lab.verify("card-leaf.pem", "card")
    lab.serves("card-leaf.pem", "card")
    expect(int(lab.admin.tokens()[serial]["signatures"]) > before, "the card did not sign")


def claim_an_authority_whose_key_is_revoked_issues_nothing(lab):
    found = lab.admin.ask(LOCATE, struct_(0x420125, struct_(0x420053, text(NAME, "soft"), enum(0x420054, 1))))
    key = find(found, 0x420094).decode()
    lab.admin.ask(REVOKE, text(0x420094, key) + struct_(0x420081, enum(0x420082, 4)))
    refused(lab, DENIED, lab.csr("DNS:localhost"), "soft")
    lab.admin.ask(DESTROY, text(0x420094, key))
    refused(lab, DENIED, lab.csr("DNS:localhost"), "soft")


if __name__ == "__main__":
    run(globals(), Authority("certify"))
