"""What holds of tracklight.service where systemd runs it; scripts/in-systemd runs this."""

import http.client
import json
import pathlib
import signal
import socket
import subprocess
import time

PROGRAM = "/mnt/tracklight"
UNIT = "tracklight.service"


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def shown(name):
    return run("systemctl", "show", "--property", name, "--value", UNIT)


def wait_until(what, is_so):
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < 60, f"{what} did not happen"
        time.sleep(0.05)


class OverSocket(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/tracklight/tracklight.sock")


def ask(method, path, body=None, token=None):
    client = http.client.HTTPConnection("127.0.0.1", 8470) if token else OverSocket("localhost")
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    text = None if body is None else json.dumps(body)
    client.request(method, f"/api/v1{path}", text, headers)
    answer = client.getresponse()
    return answer.status, json.loads(answer.read() or "null")


run("systemctl", "start", UNIT)
process = pathlib.Path("/proc", shown("MainPID"))
status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
user = run("id", "-u", "tracklight")
assert status["Uid"].split() == [user] * 4, status["Uid"]
# CAP_NET_ADMIN, CAP_SYSLOG, CAP_PERFMON, CAP_BPF.
assert int(status["CapPrm"], 16) == 1 << 12 | 1 << 34 | 1 << 38 | 1 << 39, status["CapPrm"]
assert int(status["CapAmb"], 16) == 0, status["CapAmb"]
print("it runs as its user, with four capabilities")

# Root makes a token in the other user's folder.
token = run(PROGRAM, "token", "add", "test", "--role", "operator")
connection = {"protocol": "udp", "src": "192.0.2.1", "sport": 1, "dst": "192.0.2.2", "dport": 53, "timeout": 600}
assert ask("POST", "/connections", connection, token)[0] == 201
total = lambda: ask("GET", "/connections?query=udp", token=token)[1]["totals"]["connections"]
wait_until("the connection", lambda: total() == 1)
deletion = ask("POST", "/deletions", {"query": "udp"}, token)[1]
done = ask("POST", f"/deletions/{deletion['id']}/confirm", {}, token)
assert done[1]["result"]["done"] == 1, done
undone = ask("POST", f"/deletions/{deletion['id']}/undo", token=token)
assert undone[1]["undone"]["created"] == 1, undone
assert ask("GET", "/status")[1]["troubles"] == []
print("it changes the table, and root's token is good")

run("systemctl", "reload", UNIT)
assert shown("ActiveState") == "active"
assert "was read anew" in pathlib.Path("/run/err").read_text()
print("it reloads")

before = shown("MainPID")
run("systemctl", "kill", "--signal", "STOP", UNIT)
wait_until("a new start", lambda: shown("NRestarts") == "1" and shown("ActiveState") == "active")
assert shown("MainPID") != before
assert ask("GET", "/summary", token=token)[0] == 200
print("it is started anew when it does not answer")

run("systemctl", "stop", UNIT)
assert (shown("ActiveState"), shown("ExecMainStatus")) == ("inactive", "0")
run("systemctl", "start", "tracklight.socket")
assert shown("ActiveState") == "inactive"
assert ask("GET", "/summary")[0] == 200
assert shown("ActiveState") == "active"
print("the socket starts it")
