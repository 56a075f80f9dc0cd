"""A TCP server and its clients on the kernel's own stack, which do what a connection is told and tell what was sent and what the
kernel thinks of it (TCP_INFO).

    tcp_peers.py serve ADDRESS REPORT   listens on PORTS; ends with its input
    tcp_peers.py talk ADDRESS           orders, [{"kind": ..., ...}], from its input, side by side; a JSON line each

A connection begins with a line that tells the server its part. Standard library only.
"""
import concurrent.futures
import json
import select
import socket
import struct
import sys
import threading
import time

PORTS = (7001, 7002, 7003)
CLOSED_PORT = 7999
TCP_FASTOPEN_CONNECT = 30
SETTLED = (5, 6, 7)  # TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE
TCP_INFO_FIELDS = {"rtt_us": 68, "retransmitted": 100, "min_rtt_us": 148, "data_segments_in": 152, "data_segments_out": 156,
                   "dsack": 216, "reordered": 220}


def tcp_info(connection):
    data = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
    values = {name: struct.unpack_from("=I", data, at)[0] for name, at in TCP_INFO_FIELDS.items() if len(data) >= at + 4}
    values["state"] = data[0]
    return values


def settled_info(connection):
    """What the kernel says when all that was sent is acknowledged, the FIN, too."""
    end = time.monotonic() + 5
    while True:
        told = tcp_info(connection)
        if told["state"] in SETTLED or time.monotonic() > end:
            return told
        time.sleep(0.01)


def send_all(connection, size, chunk, pause):
    block = bytes(range(256)) * 256
    sent = 0
    while sent < size:
        part = min(chunk, size - sent)
        connection.sendall(block[:part])
        sent += part
        if pause:
            time.sleep(pause)


def read_all(connection, size, chunk=65536, pause=0):
    seen = 0
    while size is None or seen < size:
        part = connection.recv(chunk if size is None else min(chunk, size - seen))
        if not part:
            break
        seen += len(part)
        if pause:
            time.sleep(pause)
    return seen


def abort(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def attend(connection, report):
    """The server's part: {"read": bytes, "send": bytes, "rounds": n, "wait": s, "read_pause": s, "end": "fin" | "rst" | "late"}."""
    try:
        connection.settimeout(60)
        line = b""
        while not line.endswith(b"\n"):
            byte = connection.recv(1)
            if not byte:
                connection.close()
                return
            line += byte
        part = json.loads(line)
        time.sleep(part.get("wait", 0))
        for _ in range(part.get("rounds", 1)):
            read_all(connection, part.get("read", 0), part.get("read_chunk", 65536), part.get("read_pause", 0))
            send_all(connection, part.get("send", 0), part.get("chunk", 65536), part.get("pause", 0))
        if part.get("end") == "fin":
            connection.shutdown(socket.SHUT_WR)
        if part.get("end") != "rst":
            read_all(connection, None)
            if part.get("end") != "fin":
                connection.shutdown(socket.SHUT_WR)
        report.write(json.dumps({"port": connection.getpeername()[1], "server_port": connection.getsockname()[1],
                                 "tcp": tcp_info(connection) if part.get("end") == "rst" else settled_info(connection)}) + "\n")
        report.flush()
        if part.get("end") == "rst":
            abort(connection)
        connection.close()
    except OSError:
        connection.close()


def serve(address, report):
    listeners = []
    for port in PORTS:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 64)
        if port == PORTS[1]:  # small buffers: the window fills
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((address, port))
        listener.listen(512)
        listeners.append(listener)
    print("ready", flush=True)
    while True:
        for ready in select.select([*listeners, sys.stdin], [], [])[0]:
            if ready is sys.stdin:
                return
            threading.Thread(target=attend, args=(ready.accept()[0], report), daemon=True).start()


def opened(address, order):
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    client.settimeout(60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if "port" in order:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("", order["port"]))
    if "receive_buffer" in order:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, order["receive_buffer"])
    if "initial_seq" in order:  # TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ; then a common handshake
        for option, value in ((19, 1), (20, 2), (21, order["initial_seq"]), (19, -1)):
            client.setsockopt(socket.IPPROTO_TCP, option, struct.pack("=i" if value < 0 else "=I", value))
    if order.get("fast_open"):  # the SYN leaves with the first bytes, once there is a cookie
        client.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    if order.get("keepalive"):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    return client


def talk_one(address, order):
    told = {"kind": order["kind"], "sent": 0, "received": 0}
    client = opened(address, order)
    server_port = order.get("server_port", PORTS[0])
    told["server_port"] = server_port
    try:
        line = json.dumps(order.get("server", {})).encode() + b"\n"
        client.connect((address, server_port))
        client.sendall(line)
        told["port"] = client.getsockname()[1]
        told["sent"] += len(line)
        time.sleep(order.get("wait", 0))
        for _ in range(order.get("rounds", 1)):
            send_all(client, order.get("send", 0), order.get("chunk", 65536), order.get("pause", 0))
            told["sent"] += order.get("send", 0)
            told["received"] += read_all(client, order.get("read", 0), order.get("read_chunk", 65536), order.get("read_pause", 0))
        time.sleep(order.get("rest", 0))
        if order.get("end") == "rst":
            told["tcp"] = tcp_info(client)
            abort(client)
            return told
        if order.get("end") != "server":
            client.shutdown(socket.SHUT_WR)
        told["received"] += read_all(client, None)
        if order.get("end") == "server":
            client.shutdown(socket.SHUT_WR)
        told["tcp"] = settled_info(client)
        client.close()
    except OSError as error:
        told["error"] = str(error)
        told.setdefault("port", client.getsockname()[1] if client.fileno() >= 0 else 0)
        client.close()
    return told


def talk(address, orders, beside=24):
    with concurrent.futures.ThreadPoolExecutor(beside) as pool:
        for told in pool.map(lambda order: talk_one(address, order), orders):
            print(json.dumps(told), flush=True)


def main():
    if sys.argv[1] == "serve":
        with open(sys.argv[3], "w", encoding="ascii") as report:
            serve(sys.argv[2], report)
    else:
        talk(sys.argv[2], json.loads(sys.stdin.read()))


if __name__ == "__main__":
    main()
