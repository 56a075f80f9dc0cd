"""grpcurl where it is installed, and how it is told of a unix socket.

    NETSCOPE_TOOLS         folder where it may be, or be put by Go
"""
import os
import shutil
import subprocess

TOOLS = os.environ.get("NETSCOPE_TOOLS", "")
VERSION = "v1.8.9"  # newer ones do not build with the Go of Debian 12; tests/legs.sh reads it here
MODULE = f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{VERSION}"


def find(makes_it=False):
    """Its path, or None. `makes_it`: built by Go where it is not there and Go is."""
    def found():
        return shutil.which("grpcurl") or (shutil.which("grpcurl", path=TOOLS) if TOOLS else None)

    if makes_it and TOOLS and not found() and shutil.which("go"):
        os.makedirs(TOOLS, exist_ok=True)
        subprocess.run(["go", "install", MODULE], env={**os.environ, "GOBIN": TOOLS, "GOFLAGS": "-mod=mod"},
                       capture_output=True, timeout=240)
    return found()


def unix(program, path):
    """The flags and the address for a unix socket. Newer versions take a URL, with which their flag -unix no longer goes."""
    probe = subprocess.run([program, "-plaintext", "-connect-timeout", "2", "unix:///nonexistent/socket", "list"],
                           capture_output=True, text=True, timeout=30)
    takes_url = "unknown port" not in probe.stderr  # said by those that look the URL up as a host
    return ["-authority", "localhost", *([] if takes_url else ["-unix"])], f"unix://{path}" if takes_url else path
