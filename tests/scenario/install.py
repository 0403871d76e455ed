#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `meson install` leaves behind is complete and works from where it is."""
import glob
import json
import os
import re
import shutil

from scenario import expect, run, skip
from lab import Lab, ROOT

BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))

PROGRAM = """
#include <keyfleet.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	kf_client *client = NULL;
	kf_result r = kf_client_open("/nowhere/client.conf", &client, NULL);
	printf("%s\\n", kf_result_text(r));
	kf_client_free(client);
	return r == KF_CONFIG ? 0 : 1;
}
"""


class Installed(Lab):
    def __enter__(self):
        super().__enter__()
        self.root = self.path("root")
        self.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.root])
        introspected = json.loads(self.run(["meson", "introspect", BUILD, "--buildoptions"]).stdout)
        self.option = {o["name"]: o["value"] for o in introspected}
        self.prefix = os.path.join(self.root, self.option["prefix"].lstrip("/"))
        self.libdir = os.path.dirname(glob.glob(self.prefix + "/lib*/**/libkeyfleet.so", recursive=True)[0])
        return self

    def has(self, pattern):
        found = glob.glob(os.path.join(self.prefix, pattern), recursive=True)
        expect(found, f"{pattern} is not installed")
        return found[0]

    def compile(self, compiler, source, *options):
        if self.option["b_sanitize"] != "none":
            skip("a library with sanitizers needs a program with them")
        env = {"PKG_CONFIG_PATH": self.libdir + "/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": self.root}
        flags = self.run(["pkg-config", "--cflags", "--libs", "keyfleet"], env=env).stdout.split()
        self.run([*compiler, *options, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", "program", source, *flags])
        done = self.run(["./program"], env={"LD_LIBRARY_PATH": self.libdir})
        expect(done.stdout.strip(), "the program said nothing")


def claim_programs_say_what_they_are(lab):
    for name in ("bin/keyfleet", "sbin/keyfleetd", "sbin/keyfleet-agent"):
        program = lab.has(name)
        version = lab.run([program, "--version"]).stdout
        expect(re.fullmatch(r"keyfleet(d|-agent)? \d+\.\d+\.\d+\n", version), version)
        for option in ("--help", "--options"):
            expect(len(lab.run([program, option]).stdout) > 100, f"{name} {option} says nothing")


def claim_usage_names_the_default_configuration(lab):
    for name, conf in (("bin/keyfleet", "client"), ("sbin/keyfleetd", "keyfleetd"), ("sbin/keyfleet-agent", "agent")):
        usage = lab.run([lab.has(name), "--help"]).stdout
        expect(f"/etc/keyfleet/{conf}.conf" in usage, f"{name} --help lacks its configuration")
        expect("$KEYFLEET_CONFIG" in usage, f"{name} --help lacks $KEYFLEET_CONFIG")


def claim_a_c99_program_builds_with_pkg_config_and_runs(lab):
    lab.write("program.c", PROGRAM)
    lab.compile(["cc"], "program.c", "-std=c99")


def claim_a_cxx_program_builds_with_pkg_config_and_runs(lab):
    compiler = shutil.which("c++") or shutil.which("clang++")
    if not compiler:
        skip("no C++ compiler")
    lab.write("program.cc", PROGRAM)
    lab.compile([compiler], "program.cc", "-std=c++11")


def claim_the_library_exports_its_api_and_nothing_else(lab):
    listed = lab.run(["nm", "-D", "--defined-only", lab.libdir + "/libkeyfleet.so"]).stdout
    names = {line.split()[-1].split("@")[0] for line in listed.splitlines()} - {"KEYFLEET_0"}
    declared = set(re.findall(r"\b(kf_[a-z_0-9]+)\(", open(lab.has("include/keyfleet.h")).read()))
    expect(not {n for n in names if not n.startswith("kf_")}, f"foreign names: {sorted(names)[:5]}")
    expect(names <= declared, f"not in the header: {sorted(names - declared)}")


def claim_the_provider_exports_one_symbol_and_loads(lab):
    module = lab.has("lib*/**/keyfleet.so")
    listed = lab.run(["nm", "-D", "--defined-only", module]).stdout.split("\n")
    expect([line.split()[-1] for line in listed if line] == ["OSSL_provider_init"], str(listed))
    done = lab.run(["openssl", "list", "-providers", "-provider-path", os.path.dirname(module),
                    "-provider", "default", "-provider", "keyfleet"])
    expect("keyfleet" in done.stdout, done.stdout)


def claim_manual_pages_are_there(lab):
    if not shutil.which("scdoc"):
        skip("built without scdoc")
    for page in ("keyfleet.1", "keyfleetd.8", "keyfleet-agent.8", "keyfleetd.conf.5", "agent.conf.5", "client.conf.5",
                 "keyfleet-provider.7"):
        lab.has(f"share/man/man{page[-1]}/{page}")


def claim_bash_completes_commands_and_options(lab):
    script = lab.has("share/bash-completion/completions/keyfleet")
    asked = f"""source {script}
ask() {{ COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=(); _keyfleet; printf '%s\\n' "${{COMPREPLY[@]}}"; }}
ask keyfleet sni; ask keyfleet key cre; ask keyfleet key create --ty"""
    done = lab.run(["bash", "-c", asked])
    for word in ("snippet", "create", "--type"):
        expect(word in done.stdout.split(), f"{word} is not offered: {done.stdout}")


def claim_examples_are_what_snippet_prints(lab):
    for server, name in (("openssl", "openssl.cnf"), ("nginx", "nginx.conf"), ("apache", "apache.conf"),
                         ("haproxy", "haproxy.cfg"), ("stunnel", "stunnel.conf")):
        text = open(lab.has(f"share/doc/keyfleet/examples/{name}")).read()
        expect(text == lab.run([lab.has("bin/keyfleet"), "snippet", server]).stdout, name)


def claim_units_are_sound_and_locked_down(lab):
    if not shutil.which("systemd-analyze"):
        skip("no systemd-analyze")
    units = lab.path("units")
    os.mkdir(units)
    for unit in glob.glob(lab.prefix + "/lib/systemd/system/*"):
        with open(os.path.join(units, os.path.basename(unit)), "w") as f:
            f.write(open(unit).read().replace("ExecStart=/", "ExecStart=" + lab.root + "/"))
    for unit in sorted(os.listdir(units)):
        done = lab.run(["systemd-analyze", "verify", "--man=no", os.path.join(units, unit)], check=False,
                       env={"SYSTEMD_UNIT_PATH": units + ":"})
        expect(not done.stderr.strip() and done.returncode == 0, done.stderr)
        if unit.endswith(".service"):
            done = lab.run(["systemd-analyze", "security", "--offline=true", os.path.join(units, unit)], check=False)
            level = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
            expect(level and float(level[1]) <= 2.0, f"{unit}: {level and level[1]}")


def claim_users_and_folders_can_be_made(lab):
    if not shutil.which("systemd-sysusers"):
        skip("no systemd-sysusers")
    if os.geteuid():
        skip("needs root")
    root = lab.path("other")
    os.makedirs(root + "/etc")
    for tool in ("sysusers", "tmpfiles"):
        os.makedirs(f"{root}/usr/lib/{tool}.d")
        for part in ("server", "agent"):
            shutil.copy(f"{lab.prefix}/lib/{tool}.d/keyfleet-{part}.conf", f"{root}/usr/lib/{tool}.d")
    lab.run(["systemd-sysusers", "--root=" + root])
    lab.run(["systemd-tmpfiles", "--root=" + root, "--create"], check=False)
    users = open(root + "/etc/passwd").read()
    expect("keyfleet:" in users and "keyfleet-agent:" in users, users)
    expect(os.path.isdir(root + "/etc/keyfleet"), "no /etc/keyfleet")


run(globals(), Installed("kf-install"))
