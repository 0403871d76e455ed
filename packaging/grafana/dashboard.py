#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dashboard.py > keyfleet.json: the dashboard for Grafana (9 and later), from one table of panels.

A row is a title and its panels; a panel is title, unit, and {legend: expression}.  $job-less: the metrics'
names say whose they are.  The scenario test `metrics` asks a Prometheus each expression.
"""
import json

SERVER, AGENT = 'instance=~"$server"', 'instance=~"$agent"'
RATE = "$__rate_interval"


def rate(metric, *by, where="", of=SERVER):
    inside = f"{of}, {where}" if where else of
    grouped = f"sum by ({', '.join(by)}) " if by else "sum "
    return f"{grouped}(rate({metric}{{{inside}}}[{RATE}]))"


def quantile(q, metric, *by, where="", of=SERVER):
    return f"histogram_quantile({q}, {rate(metric + '_bucket', *by, 'le', where=where, of=of)})"


def gauge(metric, of=SERVER, where=""):
    return f"{metric}{{{of}{', ' + where if where else ''}}}"


def share(part, whole):
    return f"{part} / {whole}"


REQUESTS, AGENT_REQUESTS = "keyfleet_requests_total", "keyfleet_agent_requests_total"
DURATION, STAGE = "keyfleet_request_duration_seconds", "keyfleet_stage_duration_seconds"
AGENT_DURATION = "keyfleet_agent_request_duration_seconds"
SIGN = 'operation="Sign"'

ROWS = [
    ("Now", [
        ("Key servers up", "stat:none", {"": f"sum({gauge('keyfleet_up')})"}),
        ("Signatures a second", "stat:ops", {"": rate(REQUESTS, where=SIGN)}),
        ("p99 of a signature", "stat:s", {"": quantile(0.99, DURATION, where=SIGN)}),
        ("Failed", "stat:percentunit", {"": share(rate(REQUESTS, where='result="failed"'), rate(REQUESTS))}),
        ("Agents without a server", "stat:none", {"": f"sum({gauge('keyfleet_agent_servers_up', AGENT)} == bool 0)"}),
        ("First certificate ends", "stat:s", {"": "min(keyfleet_certificate_expiry_seconds) - time()"}),
    ]),
    ("Traffic", [
        ("Requests by operation", "ops", {"{{operation}}": rate(REQUESTS, "operation") + " > 0"}),
        ("Requests by key server", "ops", {"{{instance}}": rate(REQUESTS, "instance")}),
        ("Requests by right", "ops", {"{{class}}": rate("keyfleet_client_requests_total", "class")}),
        ("Bytes of messages", "Bps", {"{{direction}}": rate("keyfleet_message_bytes_total", "direction")}),
        ("TLS handshakes", "ops", {"{{result}}": rate("keyfleet_tls_handshakes_total", "result")}),
        ("Connections", "none", {"{{instance}}": gauge("keyfleet_connections")}),
    ]),
    ("Latency by stage", [
        ("A signature", "s", {"p50": quantile(0.5, DURATION, where=SIGN), "p99": quantile(0.99, DURATION, where=SIGN)}),
        ("p99 by stage", "s", {"{{stage}}": quantile(0.99, STAGE, "stage")}),
        ("Time by stage, seconds in a second", "none", {"{{stage}}": rate(STAGE + "_sum", "stage")}),
        ("p99 by operation", "s", {"{{operation}}": quantile(0.99, DURATION, "operation")}),
        ("Computing, p50 by kind of key", "s", {
            "{{token}} {{algorithm}}": quantile(0.5, "keyfleet_token_duration_seconds", "token", "algorithm")}),
        ("TLS handshake", "s", {"p50": quantile(0.5, "keyfleet_tls_handshake_duration_seconds"),
                                "p99": quantile(0.99, "keyfleet_tls_handshake_duration_seconds")}),
    ]),
    ("Errors", [
        ("Requests that were not done", "ops", {"{{result}}": rate(REQUESTS, "result", where='result!="ok"')}),
        ("Over a limit of a client or grant", "ops", {"{{limit}}": rate("keyfleet_requests_limited_total", "limit"),
                                                      "pauses": rate("keyfleet_client_pauses_total")}),
        ("Failed by operation", "ops", {
            "{{operation}}": rate(REQUESTS, "operation", where='result="failed"')}),
        ("Connections refused", "ops", {"{{reason}}": rate("keyfleet_connections_refused_total", "reason")}),
        ("Messages refused, requests abandoned", "ops", {
            "refused": rate("keyfleet_messages_refused_total"), "abandoned": rate("keyfleet_requests_abandoned_total")}),
        ("Token errors", "ops", {"{{token}}": rate("keyfleet_token_errors_total", "token")}),
        ("Handshakes that failed", "ops", {
            "{{result}}": rate("keyfleet_tls_handshakes_total", "result", where='result!~"full|resumed"')}),
    ]),
    ("Capacity", [
        ("Load", "percentunit", {"{{instance}}": gauge("keyfleet_load_ratio")}),
        ("Processors", "none", {"{{instance}}": rate("process_cpu_seconds_total", "instance", where='job="keyfleetd"')}),
        ("Requests in flight", "none", {
            "in flight": f"sum({gauge('keyfleet_requests_in_flight')})",
            "waiting for audit": f"sum({gauge('keyfleet_requests_waiting_for_audit')})",
            "waiting for their loop": f"sum({gauge('keyfleet_requests_waiting_for_loop')})",
            "waiting for a worker": f"sum({gauge('keyfleet_worker_queue_length')})"}),
        ("Signatures by kind of key", "ops", {
            "{{token}} {{algorithm}}": rate("keyfleet_token_operations_total", "token", "algorithm") + " > 0"}),
        ("Memory for keys", "percentunit", {"{{instance}} {{kind}}": share(
            gauge("keyfleet_secret_memory_bytes"), gauge("keyfleet_secret_memory_max_bytes"))}),
        ("Memory", "bytes", {"{{instance}} resident": gauge("process_resident_memory_bytes", where='job="keyfleetd"'),
                             "{{instance}} locked": gauge("keyfleet_locked_memory_bytes", where='job="keyfleetd"')}),
        ("Descriptors", "percentunit", {"{{instance}}": share(
            gauge("process_open_fds", where='job="keyfleetd"'), gauge("process_max_fds", where='job="keyfleetd"'))}),
        ("Loops", "none", {"{{instance}}": gauge("keyfleet_loops")}),
    ]),
    ("Audit", [
        ("Records and syncs", "ops", {"records": rate("keyfleet_audit_records_total"),
                                      "syncs": rate("keyfleet_audit_syncs_total")}),
        ("Records a sync", "none", {"{{instance}}": share(
            rate("keyfleet_audit_records_total", "instance"), rate("keyfleet_audit_syncs_total", "instance"))}),
        ("Waiting for the disk, p99", "s", {"{{instance}}": quantile(0.99, STAGE, "instance", where='stage="audit"')}),
        ("Healthy and intact", "none", {"{{instance}} healthy": gauge("keyfleet_audit_healthy"),
                                        "{{instance}} intact": gauge("keyfleet_audit_intact")}),
        ("Checkpoints", "ops", {"{{instance}}": rate("keyfleet_audit_checkpoints_total", "instance")}),
        ("Export", "ops", {"sent": rate("keyfleet_audit_exported_total"), "lost": rate("keyfleet_audit_export_lost_total")}),
        ("Reserve, segments", "none", {"{{instance}}": share(
            gauge("keyfleet_audit_reserve_bytes"), gauge("keyfleet_audit_segment_bytes"))}),
    ]),
    ("Store", [
        ("Writable", "none", {"{{instance}}": gauge("keyfleet_store_writable")}),
        ("Commits and changes", "ops", {"commits": rate("keyfleet_store_commits_total"),
                                        "changes": rate("keyfleet_store_changes_total")}),
        ("A commit, p99", "s", {"{{instance}}": quantile(0.99, STAGE, "instance", where='stage="store"')}),
        ("Queue", "none", {"{{instance}}": gauge("keyfleet_store_queue_length")}),
        ("Objects", "none", {"{{instance}}": gauge("keyfleet_store_objects")}),
        ("Rows that are wrong", "none", {"{{instance}} tampered": gauge("keyfleet_store_tampered_rows"),
                                         "{{instance}} old master key": gauge("keyfleet_store_old_master_key_rows")}),
    ]),
    ("Agents", [
        ("Requests by agent", "ops", {"{{instance}}": rate(AGENT_REQUESTS, "instance", of=AGENT)}),
        ("A signature, as programs see it", "s", {
            "p50": quantile(0.5, AGENT_DURATION, where=SIGN, of=AGENT),
            "p99": quantile(0.99, AGENT_DURATION, where=SIGN, of=AGENT)}),
        ("Requests that were not done", "ops", {
            "{{result}}": rate(AGENT_REQUESTS, "result", where='result!="ok"', of=AGENT)}),
        ("Key servers within reach", "none", {"{{instance}}": gauge("keyfleet_agent_servers_up", AGENT)}),
        ("p99 by key server, as agents measure it", "s", {"{{instance}} {{server}}": gauge("keyfleet_agent_server_p99_seconds", AGENT)}),
        ("Requests by key server", "ops", {"{{server}}": rate("keyfleet_agent_server_requests_total", "server", of=AGENT)}),
        ("Circuit breakers (0 closed, 1 half-open, 2 open)", "none", {
            "{{instance}} {{server}}": gauge("keyfleet_agent_server_breaker", AGENT)}),
        ("Hedges and retries", "ops", {
            "hedges": rate("keyfleet_agent_hedges_total", of=AGENT), "won": rate("keyfleet_agent_hedges_won_total", of=AGENT),
            "over budget": rate("keyfleet_agent_hedges_denied_total", of=AGENT),
            "retries": rate("keyfleet_agent_retries_total", of=AGENT)}),
        ("Failures of key servers", "ops", {
            "{{server}}": rate("keyfleet_agent_server_failures_total", "server", of=AGENT)}),
        ("Requests in flight", "none", {
            "{{instance}}": gauge("keyfleet_agent_requests_in_flight", AGENT),
            "{{instance}} waiting for a server": gauge("keyfleet_agent_requests_waiting", AGENT)}),
        ("Deadlines that passed", "ops", {"{{instance}}": rate("keyfleet_agent_deadlines_passed_total", "instance", of=AGENT)}),
        ("Refused by the agent", "ops", {"{{reason}}": rate("keyfleet_agent_refused_total", "reason", of=AGENT)}),
        ("Connections of programs", "percentunit", {"{{instance}}": share(
            gauge("keyfleet_agent_connections", AGENT), gauge("keyfleet_agent_connections_max", AGENT))}),
    ]),
]

SOURCE = {"type": "prometheus", "uid": "${source}"}


def targets(expressions):
    return [{"datasource": SOURCE, "refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend or "__auto",
             "range": True} for i, (legend, expr) in enumerate(expressions.items())]


def panel(number, place, title, unit, expressions):
    kind, unit = ("stat", unit[5:]) if unit.startswith("stat:") else ("timeseries", unit)
    options = {"reduceOptions": {"calcs": ["lastNotNull"]}} if kind == "stat" else {
        "legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {"id": number, "type": kind, "title": title, "datasource": SOURCE, "gridPos": place,
            "fieldConfig": {"defaults": {"unit": unit, **({} if kind == "stat" else {"min": 0})}, "overrides": []},
            "options": options, "targets": targets(expressions)}


def panels():
    number, y = 1, 0
    for row, inside in ROWS:
        yield {"id": number, "type": "row", "title": row, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        y += 1
        number += 1
        width, height = (4, 4) if row == "Now" else (8, 8)
        for i, (title, unit, expressions) in enumerate(inside):
            place = {"x": i * width % 24, "y": y + i * width // 24 * height, "w": width, "h": height}
            yield panel(number, place, title, unit, expressions)
            number += 1
        y += -(-len(inside) * width // 24) * height


def variable(name, label, metric):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "multi": True, "includeAll": True,
            "allValue": ".*", "refresh": 2, "sort": 1, "query": f"label_values({metric}, instance)",
            "current": {"text": "All", "value": "$__all"}}


DASHBOARD = {
    "uid": "keyfleet", "title": "keyfleet", "tags": ["keyfleet"], "schemaVersion": 37, "version": 1, "editable": True,
    "time": {"from": "now-3h", "to": "now"}, "refresh": "30s", "timezone": "", "graphTooltip": 1,
    "templating": {"list": [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        variable("server", "Key server", "keyfleet_up"),
        variable("agent", "Agent", "keyfleet_agent_servers"),
    ]},
    "panels": list(panels()),
}

print(json.dumps(DASHBOARD, indent=1))
