"""Programs from PyPI that a test has in a folder of its own."""
import fcntl
import os
import subprocess
import sys


def program(folder, name, *requirements):
    """Its path, installed when first asked for; None: not to be had, or no folder is named. Tests that run side by side
    wait for each other."""
    if not folder:
        return None
    path = os.path.join(folder, "bin", name)
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            made = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True)
            if made.returncode == 0:
                subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q", *requirements], capture_output=True,
                               timeout=240)
    return path if os.path.exists(path) else None
