"""netscope-collector itself: enrolled certificates and tokens, one collector a directory, clear refusals."""
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")]
from support.programs import PATIENCE

COLLECTOR, PROBE = sys.argv[1:3]
started = []


def run(*arguments):
    return subprocess.run([COLLECTOR, *map(str, arguments)], capture_output=True, text=True, timeout=60 * PATIENCE)


def start(place, *arguments):
    """The process and the port for sensors."""
    process = subprocess.Popen([COLLECTOR, "--data-dir", str(place / "data"), "--ingest-listen", "127.0.0.1:0",
                                "--port", "0", *map(str, arguments)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started.append(process)
    line = process.stdout.readline()
    assert line.startswith("ingest: 127.0.0.1:"), (line, process.communicate())
    assert process.stdout.readline().startswith("dashboard: http://127.0.0.1:")
    return process, int(line.rsplit(":", 1)[1])


def stop(process):
    """Its log."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30 * PATIENCE)
    assert process.returncode == 0, (process.returncode, err)
    return err


def broken_handshakes(port, certs):
    """Sensors without TLS and without a certificate are told what they lack. How long each of them tried."""
    seconds = {}
    for settings, lacks, log in (({}, "set collector.ca", "spoke no TLS"),
                                 ({"ca": certs / "ca.pem"}, "set collector.certificate", "showed no certificate")):
        begin = time.monotonic()
        status, out = report(port, "berlin-1", **settings)
        assert status == 1 and lacks in out, out
        seconds[log] = time.monotonic() - begin
    return seconds


def report(port, name, **settings):
    done = subprocess.run(
        [PROBE, "sensor", f"127.0.0.1:{port}", "2000", "0", *(f"{key}={value}" for key, value in settings.items())],
        env={**os.environ, "PROBE_SENSOR_ID": name, "PROBE_FLUSH_SECONDS": "3"}, capture_output=True, text=True,
        timeout=60 * PATIENCE)
    return done.returncode, done.stdout


def main():
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        certs = place / "certs"
        for sensor in ("berlin-1", "paris-1"):
            made = run("enroll", sensor, "--dir", certs, "--host", "localhost,127.0.0.1,::1")
            assert made.returncode == 0 and f"id: {sensor}" in made.stdout, made
            assert "address: localhost:50052" in made.stdout, made
            # The default is loopback alone, where no other machine's sensor comes.
            assert ("listen: 0.0.0.0:50052" in made.stdout) == (sensor == "berlin-1"), made
            assert ("collector.pem stays as it is" in made.stdout) == (sensor == "paris-1"), made
        told = run("enroll", "--help")
        assert told.returncode == 0 and "--ca-dir" in told.stdout, told
        assert run("enroll", "x", "--hots", "a", "--dir", certs).returncode == 2
        for key in certs.glob("*.key"):
            assert stat.S_IMODE(key.stat().st_mode) == 0o600, key
        again = run("enroll", "berlin-1", "--dir", certs)
        assert again.returncode == 1 and "exists" in again.stderr, again
        assert run("enroll", "../berlin", "--dir", certs).returncode == 2
        for name in ("*", "_*", "node-*-1", "node-**", ".node-*"):
            wrong = run("enroll", name, "--dir", certs)
            assert wrong.returncode == 2 and f"'{name}'" in wrong.stderr, wrong
        (certs / "ca.key").chmod(0o644)
        shown = run("enroll", "oslo-1", "--dir", certs)
        assert shown.returncode == 1 and f"chmod 600 {certs}/ca.key" in shown.stderr, shown
        (certs / "ca.key").chmod(0o600)
        made = run("enroll", "rome-1", "--token", "--dir", certs)
        assert made.returncode == 0 and f"ca: {certs}/ca.pem" in made.stdout, made
        printed = made.stdout.split("\n\n")[0].replace("0.0.0.0:50052", "127.0.0.1:0")

        config = place / "collector.yaml"
        config.write_text(f"ingest:\n  tls_certificate: {certs}/collector.pem\n  tls_key: {certs}/collector.key\n"
                          f"  tls_client_ca: {certs}/ca.pem\n")
        process, port = start(place, "--config", config)
        pair = {"ca": certs / "ca.pem", "certificate": certs / "berlin-1.pem", "key": certs / "berlin-1.key"}
        assert report(port, "berlin-1", **pair)[0] == 0
        status, out = report(port, "paris-1", **pair)
        assert status == 1 and "PERMISSION_DENIED" in out, out
        made = run("enroll", "node-*", "--dir", certs)
        assert made.returncode == 0 and "id: node-NAME " in made.stdout and f"{certs}/node.key" in made.stdout, made
        group = {"ca": certs / "ca.pem", "certificate": certs / "node.pem", "key": certs / "node.key"}
        for name, wanted in (("node-1", 0), ("node-rack-7.example", 0), ("node-", 1), ("node", 1), ("nodes-1", 1),
                             ("berlin-1", 1)):
            status, out = report(port, name, **group)
            assert status == wanted and ("PERMISSION_DENIED" in out) == (wanted == 1), (name, out)
        seconds = broken_handshakes(port, certs)
        mixed = subprocess.run(
            [os.path.join(os.path.dirname(COLLECTOR), "netscope-sensor"), "--read-pcap", "/dev/null", "--quiet",
             "--collector", f"localhost:{port}"], capture_output=True, text=True, timeout=60,
            env={**os.environ, **{f"NETSCOPE_COLLECTOR__{name.upper()}": str(path) for name, path in pair.items()},
                 "NETSCOPE_COLLECTOR__KEY": str(certs / "paris-1.key")})
        assert mixed.returncode == 2 and "do not belong together" in mixed.stderr, mixed
        mixed = run("--data-dir", place / "mixed", "--ingest-listen", "127.0.0.1:0", "--port", "0",
                    "--tls-cert", certs / "collector.pem", "--tls-key", certs / "berlin-1.key")
        assert mixed.returncode == 2 and "do not belong together" in mixed.stderr, mixed
        none = run("--data-dir", place / "mixed", "--ingest-listen", "127.0.0.1:0", "--port", "0",
                   "--tls-cert", certs / "collector.pem", "--tls-key", certs / "ca.pem")
        assert none.returncode == 2 and "holds no private key" in none.stderr, none
        second = run("--data-dir", place / "data", "--ingest-listen", "127.0.0.1:0", "--port", "0")
        assert second.returncode == 1 and "another netscope-collector uses" in second.stderr, second
        taken = run("--data-dir", place / "other", "--ingest-listen", f"127.0.0.1:{port}", "--port", "0")
        assert taken.returncode == 1 and "ingest: listen" in taken.stderr and "address in use" in taken.stderr, taken
        taken = run("--data-dir", place / "other", "--ingest-listen", "127.0.0.1:0", "--port", port)
        assert taken.returncode == 1 and "web: listen" in taken.stderr and "address in use" in taken.stderr, taken
        assert "gRPC library" not in taken.stderr, taken
        log = stop(process)
        for words, tried in seconds.items():  # several times a second, told once a minute
            assert 1 <= log.count(words) <= 1 + tried / 60, (words, tried, log)
        assert "gRPC library" not in log, log

        empty = place / "empty"
        empty.write_text("# none yet\n")
        empty.chmod(0o600)
        config.write_text(f"ingest:\n  tokens_file: {empty}\n")
        nobody = run("--data-dir", place / "data", "--config", config, "--ingest-listen", "127.0.0.1:0", "--port", "0")
        assert nobody.returncode == 2 and f"{empty} holds no token" in nobody.stderr and "enroll" in nobody.stderr, nobody
        # The file, not what it holds, says that tokens are wanted; with `off` they are not, and it may be empty.
        config.write_text(f"ingest:\n  tokens_file: {empty}\n  require_auth: off\n")
        assert run("--config", config, "--check-config").stdout == "settings are valid\n"
        process, port = start(place, "--config", config)
        assert report(port, "rome-1")[0] == 0
        process.send_signal(signal.SIGHUP)
        assert report(port, "paris-1")[0] == 0
        stop(process)
        empty.chmod(0o644)
        shown = run("--data-dir", place / "data", "--config", config, "--ingest-listen", "127.0.0.1:0", "--port", "0")
        assert shown.returncode == 1 and f"chmod 600 {empty}" in shown.stderr, shown

        config.write_text(f"ingest:\n  tokens_file: {certs}/tokens\n")
        process, port = start(place, "--config", config)
        assert report(port, "rome-1", token_file=certs / "rome-1.token")[0] == 0
        status, out = report(port, "berlin-1", token_file=certs / "rome-1.token")
        assert status == 1 and "PERMISSION_DENIED" in out, out
        assert run("enroll", "edge_*", "--token", "--dir", certs).returncode == 0
        if os.geteuid() == 0:
            (certs / "tokens").chmod(0o440)  # of root, as a secret of Kubernetes: its group may read it
        process.send_signal(signal.SIGHUP)
        wait = time.monotonic() + 30
        while report(port, "edge_7", token_file=certs / "edge.token")[0] != 0:
            assert time.monotonic() < wait, "the token of edge_* is not taken"
        assert report(port, "rome-1", token_file=certs / "edge.token")[0] == 1
        stop(process)
        (place / "any").write_text("* 0123456789abcdef0123456789abcdef\n")
        (place / "any").chmod(0o600)
        config.write_text(f"ingest:\n  tokens_file: {place}/any\n")
        refused = run("--data-dir", place / "data", "--config", config, "--ingest-listen", "127.0.0.1:0", "--port", "0")
        assert refused.returncode != 0 and "any:1: a token for any sensor" in refused.stderr, refused

        config.write_text(printed)
        process, port = start(place, "--config", config)
        assert report(port, "rome-1", ca=certs / "ca.pem", token_file=certs / "rome-1.token")[0] == 0
        assert report(port, "rome-1", ca=certs / "ca.pem")[0] == 1
        stop(process)

        (place / "file").write_text("")
        unusable = run("--data-dir", place / "file" / "data")
        assert unusable.returncode == 1 and "store.directory" in unusable.stderr, unusable
        assert "needs TLS" in run("--ingest-listen", "0.0.0.0:50052", "--data-dir", place / "open").stderr
        assert run("--check-config").stdout == "settings are valid\n"
        open_listen = run("--ingest-listen", "0.0.0.0:50052", "--check-config")
        assert open_listen.returncode == 2 and "needs TLS" in open_listen.stderr, open_listen
        config.write_text("ingest:\n  lisen: x\n")
        wrong = run("--config", config, "--check-config")
        assert wrong.returncode == 2 and "did you mean" in wrong.stderr, wrong
    print("all passed")


try:
    main()
finally:
    for each in started:
        each.kill()  # one that a failed assertion left behind
