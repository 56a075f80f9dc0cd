"""Servers and clients that say names: TLS by OpenSSL, HTTP/1.1, DNS over UDP and TCP. They tell what they sent and what was agreed.

    app_peers.py serve ADDRESS CERTIFICATE KEY    ends with its input
    app_peers.py talk ADDRESS                     orders, [{"kind": "tls" | "http" | "dns", ...}], from its input; a JSON line each

Standard library only.
"""
import concurrent.futures
import json
import select
import socket
import ssl
import struct
import sys
import threading

TLS_PORT, HTTP_PORT, DNS_PORT = 8443, 8080, 53
CLIENT_PORTS = 20000
NO_SUCH_NAME = "nx"  # names that begin so do not exist


def answer_tls(connection, context):
    with context.wrap_socket(connection, server_side=True) as tls:
        while tls.recv(4096):
            tls.sendall(b"y" * 5000)


def answer_http(connection):
    with connection:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                part = connection.recv(4096)
                if not part:
                    return
                data += part
            head, _, data = data.partition(b"\r\n\r\n")
            status = b"404 Not Found" if b" /none" in head.split(b"\r\n")[0] else b"200 OK"
            body = b"" if head.startswith(b"HEAD") else b"z" * 3000
            connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3000\r\n\r\n" + body)


def dns_answer(query):
    rcode = 3 if query[13:13 + len(NO_SUCH_NAME)] == NO_SUCH_NAME.encode() else 0
    record = b"" if rcode else b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
    return query[:2] + struct.pack("!HHHHH", 0x8180 | rcode, 1, 1 if record else 0, 0, 0) + query[12:] + record


def received(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("ended early")
        data += part
    return data


def answer_dns(connection):
    with connection:
        while True:
            answer = dns_answer(received(connection, struct.unpack("!H", received(connection, 2))[0]))
            connection.sendall(struct.pack("!H", len(answer)) + answer)


def quietly(function, *arguments):
    try:
        function(*arguments)
    except OSError:
        pass  # the client has its answer, and ends as it likes


def serve(address, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    parts = {TLS_PORT: (answer_tls, context), HTTP_PORT: (answer_http,), DNS_PORT: (answer_dns,)}
    listeners = {}
    for port, part in parts.items():
        listener = socket.create_server((address, port), backlog=256)
        listeners[listener] = part
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, DNS_PORT))
    print("ready", flush=True)
    while True:
        for ready in select.select([*listeners, datagrams, sys.stdin], [], [])[0]:
            if ready is sys.stdin:
                return
            if ready is datagrams:
                query, client = datagrams.recvfrom(4096)
                datagrams.sendto(dns_answer(query), client)
                continue
            function, *more = listeners[ready]
            connection = ready.accept()[0]
            connection.settimeout(60)
            threading.Thread(target=quietly, args=(function, connection, *more), daemon=True).start()


def talk_tls(address, order):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(order["alpn"])
    if order["version"] == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    numbers = {cipher["name"]: cipher["id"] & 0xffff for cipher in context.get_ciphers()}
    with socket.create_connection((address, TLS_PORT), timeout=60) as connection:
        port = connection.getsockname()[1]
        with context.wrap_socket(connection, server_hostname=order["name"]) as tls:
            tls.sendall(b"x" * 800)
            received(tls, 5000)
            return {"port": port, "version": tls.version().removeprefix("TLSv"), "cipher": numbers[tls.cipher()[0]],
                    "alpn_selected": tls.selected_alpn_protocol() or ""}


def talk_http(address, order):
    with socket.create_connection((address, HTTP_PORT), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for path in order["paths"]:
            request = f"{order['method']} {path} HTTP/1.1\r\nX: {'c' * order['padding']}\r\nHost: {order['name']}\r\n\r\n".encode()
            for at in range(0, len(request), order["chunk"]):
                connection.sendall(request[at:at + order["chunk"]])
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(4096)
            head, _, body = answer.partition(b"\r\n\r\n")
            if order["method"] != "HEAD":
                received(connection, 3000 - len(body))
        return {"port": connection.getsockname()[1], "status": int(head.split()[1])}


def talk_dns(address, order):
    labels = b"".join(bytes([len(part)]) + part for part in order["name"].encode().split(b".")) + b"\0"
    query = struct.pack("!HHHHHH", order["id"], 0x0100, 1, 0, 0, 0) + labels + b"\0\1\0\1"
    if order["over"] == "tcp":
        with socket.create_connection((address, DNS_PORT), timeout=60) as connection:
            message = struct.pack("!H", len(query)) + query
            for at in range(0, len(message), 9):
                connection.sendall(message[at:at + 9])
            answer = received(connection, struct.unpack("!H", received(connection, 2))[0])
            return {"port": connection.getsockname()[1], "rcode": answer[3] & 15}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(0.5)
        datagrams.bind(("", CLIENT_PORTS + order["id"]))  # none has the port of another
        datagrams.connect((address, DNS_PORT))
        for _ in range(20):
            datagrams.send(query)
            try:
                return {"port": datagrams.getsockname()[1], "rcode": datagrams.recv(4096)[3] & 15}
            except TimeoutError:
                pass
    raise OSError("no answer")


def talk(address, orders):
    def one(order):
        try:
            return {**order, **{"tls": talk_tls, "http": talk_http, "dns": talk_dns}[order["kind"]](address, order)}
        except OSError as error:
            return {**order, "error": str(error)}
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        for told in pool.map(one, orders):
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:5])
    else:
        talk(sys.argv[2], json.loads(sys.stdin.read()))
