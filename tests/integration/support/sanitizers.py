"""What a program that was built with a sanitizer is to know of its surroundings."""
import os


def failing_handshakes(folder):
    """The environment of a client whose TLS handshakes go on failing: one may be under way on a thread of gRPC's own when
    the process ends, and what OpenSSL holds for it then looks like a leak."""
    path = os.path.join(folder, "lsan")
    with open(path, "w") as file:
        file.write("leak:libcrypto.so\n")
    return {"LSAN_OPTIONS": f"suppressions={path}:print_suppressions=0"}
