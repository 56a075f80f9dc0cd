"""Live capture on a veth pair: counts are exact, flows keep to their shard, lost interfaces come back.

    run.py LIVE_PROBE VETH_GEN [CASE...|alone|beside]

As root in two network namespaces of its own, else alone inside `unshare -Urn`; 77 with the reason where
neither is allowed. LIVE_TEST_AS_NOBODY=1: root too takes the way without privileges. Exit 1 names the
cases that failed. Cases (a) to (i) are each marked by their letter. `alone` means those that hold rates and times to bounds
and want the machine for themselves, `beside` all others.
"""
import json
import os
import signal
import subprocess
import sys
import time

PATIENCE = int(os.environ.get("NETSCOPE_TEST_PATIENCE", "1"))  # a sanitizer's build takes fewer packets a second
PROBE, GENERATOR = (os.path.abspath(a) for a in sys.argv[1:3])
PREFIX = f"nscap{os.getpid()}"
INSIDE = os.environ.get("LIVE_TEST_INSIDE") == "1"  # one namespace, not root outside
AS_NOBODY = os.environ.get("LIVE_TEST_AS_NOBODY") == "1"
OURS, PEER = "nsv0", "nsv1"
CASES = []
ALONE = []


def case(function):
    CASES.append(function)
    return function


def case_alone(function):
    """Of rates and times."""
    ALONE.append(function)
    return case(function)


def are_chosen(words):
    """The cases that the command line names; all, where it names none."""
    sets = {"alone": ALONE, "beside": [c for c in CASES if c not in ALONE]}
    unknown = [word for word in words if word not in sets and word not in [c.__name__ for c in CASES]]
    if unknown:
        sys.exit(f"run.py: no case {', '.join(unknown)}")
    return [c for c in CASES if not words or c.__name__ in words or any(c in sets.get(word, ()) for word in words)]


def in_ns(side):
    return [] if INSIDE else ["ip", "netns", "exec", f"{PREFIX}{side}"]


def run(*command, side="a", check=True):
    done = subprocess.run(in_ns(side) + list(command), capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def veth_up():
    if INSIDE:
        run("ip", "link", "add", OURS, "type", "veth", "peer", "name", PEER)
    else:
        run("ip", "link", "add", OURS, "type", "veth", "peer", "name", PEER, "netns", f"{PREFIX}b")
    for side, name in (("a", OURS), ("b", PEER)):
        run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{name}/disable_ipv6 2>/dev/null || true", side=side)
        if subprocess.run(["which", "ethtool"], capture_output=True).returncode == 0:
            run("ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off", side=side, check=False)
        run("ip", "link", "set", name, "up", side=side)
    time.sleep(0.2)


class Skipped(Exception):
    pass


def veth_packets():
    """What the interface itself has counted, both ways."""
    names = [f"/sys/class/net/{OURS}/statistics/{way}_packets" for way in ("rx", "tx")]
    return sum(map(int, run("cat", *names).split()))


def veth_down():
    run("ip", "link", "del", OURS, check=False)


class Probe:
    def __init__(self, *options, interface=OURS):
        self.process = subprocess.Popen(in_ns("a") + [PROBE, interface, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            self.process.wait()
            raise RuntimeError("probe: " + self.process.stderr.read().strip())

    def status(self):
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.process.stdout.readline())

    def wait_state(self, state, seconds=20):
        end = time.time() + seconds * PATIENCE
        while time.time() < end:
            now = self.status()["interfaces"][0]
            if now["state"] == state:
                return now
            time.sleep(0.1)
        raise AssertionError(f"never {state}: {now}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        line = self.process.stdout.readline()
        code = self.process.wait(timeout=20 * PATIENCE)
        assert code == 0, f"exit {code}: {self.process.stderr.read()}"
        result = json.loads(line)
        for interface in result["interfaces"]:
            for part in [interface] + interface["shards"]:
                assert part["received"] == part["processed"] + part["precut"] + part["kernel_dropped"], part
        assert result["frames"] == sum(i["processed"] for i in result["interfaces"]), result
        return result


def send(*options, side="b"):
    return int(run(GENERATOR, "-i", PEER, *[str(o) for o in options], side=side))


def start_sending(*options, interface=PEER, side="b"):
    return subprocess.Popen(in_ns(side) + [GENERATOR, "-i", interface, *[str(o) for o in options]],
                            stdout=subprocess.PIPE, text=True)


def datagrams_to_self(count):
    run("/usr/bin/python3", "-c", "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nr.bind(('127.0.0.1', 0))\n"
        f"for _ in range({count}): s.sendto(b'x' * 40, r.getsockname())")


def one(result):
    return result["interfaces"][0]


def same(got, wanted, what):
    assert got == wanted, f"{what}: {got}, not {wanted}"


# (a)
@case_alone
def all_that_is_sent_is_received():
    for size in (60, 1514):
        probe = Probe("timeout_ms=10")
        counted = veth_packets()
        sent = send("-n", 200000, "-r", 100000 // PATIENCE, "-s", size, "-b")
        result = probe.stop()
        same(one(result)["received"], veth_packets() - counted, "received against the interface's own counters")
        same(result["frames"], sent, f"frames of {size} bytes")
        same(one(result)["bytes"], sent * size, "bytes")
        same(one(result)["kernel_dropped"], 0, "dropped")
        same(result["backwards"], 0, "times that run backwards")
        print(f"    {size} B: {sent} frames, {one(result)['wakeups']} wake-ups, "
              f"{result['cpu_ms'] * 1e6 / sent:.0f} ns CPU a frame (with the test's hashing)")


# (b)
@case_alone
def overload_is_counted_to_the_packet():
    probe = Probe("timeout_ms=10", "buffer_kib=2048", "slow_ns=20000")
    sent = send("-n", 100000)
    result = probe.stop()
    same(one(result)["processed"] + one(result)["kernel_dropped"], sent, "processed + dropped")
    assert one(result)["kernel_dropped"] > 0, "nothing was dropped: no overload"


@case
def what_is_dropped_is_known_at_once_when_the_kernel_is_asked():
    probe = Probe("timeout_ms=10", "buffer_kib=256", "slow_ns=20000", "look=1")
    sent = dropped = 0
    for _ in range(5):  # what is read once a second would be behind in one of them at least
        sent += send("-n", 4000)
        now = one(probe.status())
        same(now["received"], sent, "received")
        assert now["kernel_dropped"] > dropped, f"nothing was dropped: no overload ({now})"
        dropped = now["kernel_dropped"]
    probe.stop()


# (c)
@case
def no_flow_is_on_two_shards():
    kinds = {"v4": [], "v4 tcp": ["-t"], "v6": ["-6"], "vlan": ["-v", 10], "qinq": ["-v", 10, "-v", 20],
             "fragments": ["-F", "-s", 98], "v6 fragments": ["-6", "-F", "-s", 126], "gre": ["-g"]}
    for fanout in ("hash", "cbpf"):
        for name, options in kinds.items():
            alone = None
            for shards in (1, 2, 4):
                probe = Probe("timeout_ms=10", f"shards={shards}", f"fanout={fanout}")
                sent = send("-n", 4096, "-r", 40000, "-f", 256, "-b", *options)
                result = probe.stop()
                is_tunnel = name == "gre"  # one outer flow, which the kernel's own hash deals by the inner ones
                same(result["frames"], sent, f"{fanout} {name} frames on {shards} shards")
                if not is_tunnel or fanout == "cbpf":
                    same(result["split"], 0, f"{fanout} {name} flows on two of {shards} shards")
                same(result["flows"], 1 if is_tunnel else 256, f"{fanout} {name} flows")
                alone = alone or result["hash"]
                same(result["hash"], alone, f"{fanout} {name}: bytes against one shard")
                if shards == 4 and not is_tunnel:
                    used = [s["processed"] for s in one(result)["shards"]]
                    assert min(used) > sent / 16, f"{fanout} {name}: uneven {used}"


TCP_SERVER = """import socket, threading
def serve(c):
    while data := c.recv(65536): c.sendall(data)
    c.close()
s = socket.create_server(("10.99.0.2", 4000)); print("ready", flush=True)
for _ in range(8): threading.Thread(target=serve, args=(s.accept()[0],)).start()"""
TCP_CLIENT = """import socket
cs = [socket.create_connection(("10.99.0.2", 4000)) for _ in range(8)]
for _ in range(60):
    for c in cs:
        c.sendall(b"x" * 3000); n = 0
        while n < 3000: n += len(c.recv(65536))
for c in cs:
    c.shutdown(socket.SHUT_WR); assert c.recv(1) == b"" """


@case
def both_directions_of_real_tcp_meet_one_shard():
    if INSIDE:
        raise Skipped("one namespace only: the stack would not send over the wire to itself")
    run("ip", "addr", "add", "10.99.0.1/24", "dev", OURS)
    run("ip", "addr", "add", "10.99.0.2/24", "dev", PEER, side="b")
    for fanout in ("hash", "cbpf"):
        server = subprocess.Popen(in_ns("b") + ["/usr/bin/python3", "-c", TCP_SERVER], stdout=subprocess.PIPE, text=True)
        try:
            server.stdout.readline()
            probe = Probe("timeout_ms=10", "shards=4", f"fanout={fanout}", "filter=tcp")
            run("/usr/bin/python3", "-c", TCP_CLIENT)
            server.wait(timeout=20 * PATIENCE)
            time.sleep(0.1)
            result = probe.stop()
        finally:
            server.kill()
            server.wait()
        same(result["split"], 0, f"{fanout}: connections on two shards")
        same(result["flows"], 8, f"{fanout}: connections")
        assert result["frames"] > 8 * 60 * 2, result


# (d)
@case_alone
def start_and_stop_in_running_traffic_split_no_flow():
    traffic = start_sending("-n", 10000000, "-r", 60000, "-f", 256, "-b")
    try:
        time.sleep(0.3)
        for _ in range(3):
            probe = Probe("timeout_ms=10", "shards=4")
            time.sleep(0.5)
            result = probe.stop()
            same(result["split"], 0, "split flows")
            same(result["flows"], 256, "flows")
            assert result["frames"] > 10000, result
    finally:
        traffic.terminate()
        traffic.wait()


@case_alone
def what_a_slow_reader_left_in_the_ring_is_handed_over_at_the_stop():
    for shards in (1, 2):
        probe = Probe("timeout_ms=10", "slow_ns=20000", f"shards={shards}")
        counted = veth_packets()
        sent = send("-n", 40000, "-b")
        result = probe.stop()
        same(one(result)["received"], veth_packets() - counted, "received against the interface's own counters")
        same(result["frames"], sent, f"frames on {shards} shards")
        assert result["stop_ms"] > 50, "nothing was left: the case shows nothing"


@case_alone
def a_stop_in_running_traffic_takes_no_more_than_the_interface_saw():
    for shards in (1, 4):
        probe = Probe("timeout_ms=10", f"shards={shards}")
        counted = veth_packets()
        traffic = start_sending("-n", 10000000, "-r", 60000, "-f", 256, "-b")
        time.sleep(0.4)
        result = probe.stop()
        traffic.terminate()
        traffic.wait()
        received = one(result)["received"]
        assert 10000 < received <= veth_packets() - counted, result
        same(result["frames"], received, "frames of those received")


# (e)
@case
def an_interface_that_goes_down_and_up_delivers_again():
    probe = Probe("timeout_ms=10", "shards=2")
    sent = send("-n", 1000, "-r", 20000)
    run("ip", "link", "set", OURS, "down")
    probe.wait_state("down")
    before = one(probe.status())["wakeups"]
    time.sleep(1)
    assert one(probe.status())["wakeups"] - before < 100, "the poll loop spins while the interface is down"
    run("ip", "link", "set", OURS, "up")
    probe.wait_state("up")
    time.sleep(0.3)
    sent += send("-n", 1000, "-r", 20000)
    result = probe.stop()
    same(result["frames"], sent, "frames")
    same(result["split"], 0, "split flows")
    same(one(result)["reopened"], 0, "re-openings")


@case
def a_deleted_interface_is_opened_again():
    probe = Probe("timeout_ms=10", "shards=2")
    sent = send("-n", 1000, "-r", 20000)
    veth_down()
    gone = probe.wait_state("gone")
    assert gone["last_error"], gone
    veth_up()
    back = probe.wait_state("up")
    same(back["reopened"], 1, "re-openings")
    sent += send("-n", 1000, "-r", 20000)
    result = probe.stop()
    same(result["frames"], sent, "frames over both lives")


@case
def what_a_deleted_interface_left_in_the_ring_is_handed_over():
    for shards in (1, 2):
        probe = Probe("timeout_ms=300", f"shards={shards}")  # longer than the deletion takes: a block is open
        sent = send("-n", 1000)
        veth_down()
        gone = probe.wait_state("gone")
        same(gone["processed"], sent, f"frames when the interface is gone, on {shards} shards")
        same(gone["in_ring"], 0, "frames in a ring that is no more")
        veth_up()
        probe.wait_state("up")
        sent += send("-n", 1000)
        same(probe.stop()["frames"], sent, f"frames over both lives on {shards} shards")


@case
def a_stop_just_after_the_interface_is_deleted_hands_over_what_was_left():
    probe = Probe("timeout_ms=300", "shards=2")
    sent = send("-n", 1000)
    veth_down()
    result = probe.stop()
    veth_up()
    same(result["frames"], sent, "frames")


@case
def a_renamed_interface_is_opened_when_its_name_is_back():
    probe = Probe("timeout_ms=10")
    sent = send("-n", 500, "-r", 20000)
    for old, new in ((OURS, "nsv9"), ("nsv9", OURS)):
        run("ip", "link", "set", old, "down")
        run("ip", "link", "set", old, "name", new)
        run("ip", "link", "set", new, "up")
        if new != OURS:
            probe.wait_state("gone")
    probe.wait_state("up")
    time.sleep(0.2)
    sent += send("-n", 500, "-r", 20000)
    result = probe.stop()
    same(result["frames"], sent, "frames")


@case_alone
def a_renamed_interface_is_let_go_in_running_traffic():
    probe = Probe("timeout_ms=10", "shards=2")
    traffic = start_sending("-n", 10000000, "-r", 60000, "-f", 256, "-b")
    try:
        for old, new in ((OURS, "nsv9"), ("nsv9", OURS)):
            run("ip", "link", "set", old, "down")
            run("ip", "link", "set", old, "name", new)
            run("ip", "link", "set", new, "up")
            back = probe.wait_state("gone" if new != OURS else "up")
        time.sleep(0.3)
        result = probe.stop()
        assert one(result)["processed"] > back["processed"] + 1000, result
    finally:
        traffic.terminate()
        traffic.wait()


# (f)
@case_alone
def a_stop_on_an_idle_interface_is_quick():
    for timeout in (10, 100):
        probe = Probe(f"timeout_ms={timeout}", "shards=2", "poll_ms=60000")
        time.sleep(0.3)
        result = probe.stop()
        assert result["stop_ms"] < 100, f"{result['stop_ms']} ms"
        assert one(result)["wakeups"] < 10, "idle, and still it woke up"


# (g)
@case_alone
def a_stall_of_half_a_second_is_absorbed_by_the_ring():
    for buffer_kib, may_lose in ((32768, False), (2048, True)):
        probe = Probe("timeout_ms=10", f"buffer_kib={buffer_kib}")
        traffic = start_sending("-n", 50000, "-r", 50000)
        time.sleep(0.2)
        probe.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        probe.process.send_signal(signal.SIGCONT)
        sent = int(traffic.communicate()[0])
        result = probe.stop()
        dropped = one(result)["kernel_dropped"]
        same(one(result)["processed"] + dropped, sent, "processed + dropped")
        assert (dropped > 0) == may_lose, f"{buffer_kib} KiB: {dropped} dropped"


# (h)
@case
def without_any_capability_an_open_capture_goes_on():
    probe = Probe("timeout_ms=10", "shards=2", "drop_caps=1")
    sent = send("-n", 2000, "-r", 20000)
    run("ip", "link", "set", OURS, "down")
    run("ip", "link", "set", OURS, "up")
    time.sleep(0.3)
    sent += send("-n", 2000, "-r", 20000)
    same(probe.stop()["frames"], sent, "frames")


# (i)
@case
def on_loopback_each_packet_is_seen_once():
    run("ip", "link", "set", "lo", "up")
    for direction in ("both", "in", "out"):
        for shards in (1, 2):
            probe = Probe("timeout_ms=10", f"direction={direction}", f"shards={shards}", "filter=udp", interface="lo")
            datagrams_to_self(40)
            same(probe.stop()["frames"], 40, f"datagrams with direction {direction} on {shards} shards")


@case
def the_direction_is_chosen_in_the_kernel():
    for direction, wanted, shards in [(d, w, s) for d, w in (("in", 1000), ("out", 400), ("both", 1400)) for s in (1, 2)]:
        probe = Probe("timeout_ms=10", f"direction={direction}", f"shards={shards}")
        send("-n", 1000, "-r", 20000)
        run(GENERATOR, "-i", OURS, "-n", "400", "-r", "20000", "-q")
        result = probe.stop()
        same(result["frames"], wanted, direction)
        same(one(result)["received"], wanted, direction)


@case
def several_interfaces_are_read_at_once():
    run("ip", "link", "set", "lo", "up")
    probe = Probe("timeout_ms=10", "shards=2", "filter=udp", interface=f"{OURS},lo")
    sent = send("-n", 500, "-r", 20000)
    datagrams_to_self(20)
    result = probe.stop()
    same([i["processed"] for i in result["interfaces"]], [sent, 20], "frames by interface")


@case
def the_snaplen_cuts_in_the_kernel_and_is_counted():
    probe = Probe("timeout_ms=10", "snaplen=96")
    sent = send("-n", 1000, "-r", 20000, "-s", 1514)
    result = probe.stop()
    same(one(result)["truncated"], sent, "truncated")
    same(one(result)["bytes"], sent * 1514, "bytes on the wire")


@case
def an_mtu_that_is_raised_makes_no_long_frame_a_superpacket():
    probe = Probe("timeout_ms=10", "shards=2")
    for side, name in (("a", OURS), ("a" if INSIDE else "b", PEER)):
        run("ip", "link", "set", name, "mtu", "9000", side=side)
    time.sleep(2)  # it is looked at once a second
    sent = send("-n", 300, "-r", 20000, "-s", 4000)
    result = probe.stop()
    same(result["frames"], sent, "frames")
    same(one(result)["superpackets"], 0, "frames above the MTU")


@case
def a_filter_lets_through_what_it_names():
    probe = Probe("timeout_ms=10", "filter=udp src port 1030")
    send("-n", 2560, "-r", 40000)
    same(probe.stop()["frames"], 10, "frames of one of 256 flows")


@case
def mistakes_are_told_with_their_cure():
    for interface, options, wanted in (
            ("nsnone0", [], "no such interface (there are: "),
            (OURS, ["filter=udp prot 53"], 'filter "udp prot 53": '),
            (f"{OURS},{OURS}", [], "named twice"),
            (OURS, ["shards=99"], "shards")):
        try:
            Probe(*options, interface=interface).stop()
            raise AssertionError(f"{interface} {options}: no error")
        except RuntimeError as error:
            assert wanted in str(error), error
    run("ip", "link", "set", OURS, "down")
    try:
        Probe()
        raise AssertionError("a down interface was opened")
    except RuntimeError as error:
        assert "is down" in str(error), error
    finally:
        run("ip", "link", "set", OURS, "up")
        time.sleep(0.2)


@case
def without_privilege_the_error_names_the_capability():
    done = subprocess.run(in_ns("a") + ["setpriv", "--bounding-set=-all", "--inh-caps=-all", PROBE, OURS],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and "needs CAP_NET_RAW" in done.stderr, done


def main():
    if not INSIDE and (os.geteuid() != 0 or AS_NOBODY):
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        able = subprocess.run([*other, "unshare", "-Urn", PROBE, "nsnone0"], capture_output=True, text=True)
        if "no such interface" not in able.stderr:
            print("SKIP: no user namespace in which the test can run:", able.stderr.strip())
            return 77
        return subprocess.run([*other, "unshare", "-Urn", "/usr/bin/python3", *sys.argv],
                              env={**os.environ, "LIVE_TEST_INSIDE": "1"}).returncode
    chosen = are_chosen(sys.argv[3:])
    failed, skipped = [], 0
    try:
        if not INSIDE:
            for side in "ab":
                made = subprocess.run(["ip", "netns", "add", PREFIX + side], capture_output=True, text=True)
                if made.returncode != 0:
                    print("SKIP: no network namespace can be made:", made.stderr.strip())
                    return 77
        for function in chosen:
            veth_up()
            try:
                function()
                print(f"ok   {function.__name__}", flush=True)
            except Skipped as reason:
                skipped += 1
                print(f"SKIP {function.__name__}: {reason}", flush=True)
            except (AssertionError, RuntimeError, subprocess.SubprocessError, ValueError) as error:
                failed.append(function.__name__)
                print(f"FAIL {function.__name__}: {error}", flush=True)
            veth_down()
    finally:
        if not INSIDE:
            for side in "ab":
                subprocess.run(["ip", "netns", "del", PREFIX + side], capture_output=True)
    print(f"{len(chosen) - len(failed) - skipped} of {len(chosen)} cases, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
