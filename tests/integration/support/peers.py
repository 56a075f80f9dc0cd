"""Certificates by openssl and small servers on loopback, for tests of TLS."""
import os
import socket
import subprocess
import threading


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Peers:
    """A CA with a server's and a client's certificate, and servers on loopback."""

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def authority(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                f"/CN={name}", "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem"))

    def certificate(self, name, authority, days=30, names="DNS:localhost,IP:127.0.0.1"):
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-addext", f"subjectAltName={names}", "-keyout", self.path(f"{name}.key"), "-out", self.path("request"))
        openssl("x509", "-req", "-in", self.path("request"), "-CA", self.path(f"{authority}.pem"), "-CAkey",
                self.path(f"{authority}.key"), "-CAcreateserial", "-days", str(days), "-copy_extensions", "copy", "-out",
                self.path(f"{name}.pem"))
        os.chmod(self.path(f"{name}.key"), 0o600)

    def expired(self, name, authority):
        """Valid for one second of 2024: `openssl x509` takes no dates, `openssl ca` does."""
        self.certificate(name, authority)
        with open(self.path("ca.cnf"), "w", encoding="utf-8") as out:
            out.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.path('index')}\nnew_certs_dir={self.directory}\n"
                      f"serial={self.path('serial')}\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n"
                      "[p]\ncommonName=supplied\n")
        open(self.path("index"), "w", encoding="utf-8").close()
        with open(self.path("serial"), "w", encoding="utf-8") as out:
            out.write("4096\n")
        openssl("ca", "-batch", "-config", self.path("ca.cnf"), "-cert", self.path(f"{authority}.pem"), "-keyfile",
                self.path(f"{authority}.key"), "-in", self.path("request"), "-out", self.path(f"{name}.pem"), "-notext",
                "-startdate", "20240101000000Z", "-enddate", "20240101000001Z")

    def serve(self, test, context=None):
        """The port of a server that shakes hands and says a word."""
        listener = socket.create_server(("127.0.0.1", 0))
        test.addCleanup(listener.close)

        def loop():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    if context is not None:
                        connection = context.wrap_socket(connection, server_side=True)
                    connection.sendall(b"hello")
                    connection.recv(16)
                except OSError:
                    pass
                finally:
                    connection.close()

        threading.Thread(target=loop, daemon=True).start()
        return listener.getsockname()[1]
