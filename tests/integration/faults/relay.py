"""A TCP relay between sensors and a collector that can hold, cut or refuse what goes through it."""
import socket
import struct
import threading


class Relay:
    """Listens on a port of the kernel's choice. Threads of its own; close() ends them."""

    def __init__(self, target_port):
        self.target = ("127.0.0.1", target_port)
        self.flows = threading.Event()  # cleared: a partition, nothing moves and nobody is told
        self.flows.set()
        self.is_closed = False
        self.pairs = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def partition(self):
        self.flows.clear()

    def heal(self):
        self.flows.set()

    def cut(self):
        """Every connection ends at once, by RST."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.close()
                except OSError:
                    pass

    def close(self):
        self.is_closed = True
        self.listener.close()
        self.flows.set()
        self.cut()

    def _accept(self):
        while not self.is_closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        self.flows.wait()
        try:
            far = socket.create_connection(self.target, timeout=20)
            far.settimeout(None)
        except OSError:
            near.close()
            return
        with self.lock:
            self.pairs.append((near, far))
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source, sink):
        try:
            while True:
                data = source.recv(65536)
                self.flows.wait()
                if not data:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
