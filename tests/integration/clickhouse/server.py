"""ClickHouse's HTTP interface as far as the collector asks it, with tables of five columns; it may be in all kinds of
trouble. Rows of a statement whose token it knows are not taken again, as the server does."""
import base64
import ctypes
import http.server
import struct
import threading
import time
import urllib.parse

COLUMNS = [("sensor_id", "LowCardinality(String)"), ("boot_id", "LowCardinality(String)"), ("record_seq", "UInt64"),
           ("end_time", "DateTime64(9, \\'UTC\\')"), ("forward_delta_packets", "UInt64")]
ALERT_COLUMNS = [*COLUMNS[:3], ("last_time", COLUMNS[3][1]), ("suppressed_count", "UInt64")]
STATS_COLUMNS = [*COLUMNS[:3], ("end_time", COLUMNS[3][1]), ("totals_packets", "UInt64")]


def text(data, at):
    length = shift = 0
    while True:
        byte = data[at]
        length |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return data[at:at + length].decode(), at + length


def unpack(data):
    """By libzstd, which the collector has too."""
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    zstd.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
    out = ctypes.create_string_buffer(1 << 26)
    length = zstd.ZSTD_decompress(out, len(out), data, len(data))
    assert length <= len(out), "no zstd"
    return out.raw[:length]


def rows_of(data):
    """[(sensor, boot, seq, end_ns, packets)] of RowBinary."""
    rows, at = [], 0
    while at < len(data):
        sensor, at = text(data, at)
        boot, at = text(data, at)
        rows.append((sensor, boot, *struct.unpack_from("<QqQ", data, at)))
        at += 24
    return rows


class Insert:
    def __init__(self, token, body, login, status):
        self.token, self.body, self.login, self.status = token, body, login, status
        self.rows = rows_of(body)
        self.at = time.monotonic()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if (encoding := self.headers.get("Content-Encoding")) is not None:
            self.server.encodings.add(encoding)
            body = unpack(body)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        statement = query["query"]
        if statement.startswith("DESCRIBE"):
            self.server.described.append(statement)
            self.answer(*self.server.describe(statement.split("`")[3]))
            return
        answer = self.server.insert(statement, query, body, login)
        if answer is None:
            self.close_connection = True
        else:
            self.answer(*answer)

    def answer(self, status, words, code=0):
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_):
        pass


class Table:
    """Of another stream than flows; as in ClickHouse, below."""

    def __init__(self, columns):
        self.columns, self.trouble, self.refuses = columns, [], None
        self.inserts, self.rows, self.tokens = [], [], set()


class ClickHouse(http.server.ThreadingHTTPServer):
    """The table `flows` is its own, `others` has those of other streams by their names. `trouble`: what becomes of the next INSERTs, in their order: a status (with ClickHouse's code), "gone" (hangs up, and
    nothing was done), "deaf" (it is done, and nobody hears of it), "slow" (likewise, after `seconds`); behind the last one
    all is well. `columns` None: there is no table. `refuses`: a batch with a row of such a sensor is refused for good."""
    daemon_threads = True

    def __init__(self, port=0):
        self.trouble, self.columns, self.refuses, self.seconds = [], COLUMNS, None, 0
        self.lock, self.inserts, self.described = threading.Lock(), [], []
        self.rows, self.tokens, self.encodings, self.others = [], set(), set(), {}
        super().__init__(("127.0.0.1", port), Handler)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def handle_error(self, *_):
        pass

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def table(self, name):
        table = self if name == "flows" else self.others.get(name)
        return None if table is None or table.columns is None else table

    @staticmethod
    def unknown(name):
        return 404, b"Code: 60. DB::Exception: Table netscope.%s does not exist. (UNKNOWN_TABLE)" % name.encode(), 60

    def describe(self, name):
        table = self.table(name)
        if table is None:
            return self.unknown(name)
        return 200, "".join(f"{column}\t{kind}\t\t\t\t\t\n" for column, kind in table.columns).encode()

    def insert(self, statement, query, body, login):
        table_name = statement.split("`")[3]
        table = self.table(table_name)
        if table is None:
            return self.unknown(table_name)
        names = ", ".join(f"`{name}`" for name, _ in table.columns)
        if statement != f"INSERT INTO `netscope`.`{table_name}` ({names}) FORMAT RowBinary":
            return 400, b"Code: 62. DB::Exception: " + statement.encode(), 62
        with self.lock:
            trouble = table.trouble.pop(0) if table.trouble else None
            table.inserts.append(Insert(query["insert_deduplication_token"], body, login, trouble))
            rows = table.inserts[-1].rows
            if isinstance(trouble, tuple):
                return trouble[0], b"Code: %d. DB::Exception: no" % trouble[1], trouble[1]
            if trouble == "gone":
                return None
            if table.refuses is not None and any(row[0] == table.refuses for row in rows):
                return 400, b"Code: 469. DB::Exception: Constraint violated", 469
            if table.inserts[-1].token not in table.tokens:
                table.tokens.add(table.inserts[-1].token)
                table.rows += rows
        if trouble == "slow":
            time.sleep(self.seconds)
        return None if trouble in ("deaf", "slow") else (200, b"")
