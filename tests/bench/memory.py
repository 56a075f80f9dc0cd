"""Memory as a machine of its own would give it, before each run that is measured. Standard library only.

A guest gives free memory back to its host within seconds, and whoever touches it next pays for its return: 1 to 3 ms a MiB
on a machine where a touch costs 0.2 ms otherwise. Turns would compare that, and not the programs.
"""
import subprocess
import sys

TOUCH = """
import mmap, sys
bytes_wanted = int(sys.argv[1]) << 20
memory = mmap.mmap(-1, bytes_wanted)
if hasattr(mmap, "MADV_HUGEPAGE"):
    try:
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        pass  # a kernel without huge pages
part = bytes(1 << 20)
for at in range(0, bytes_wanted, len(part)):
    memory[at:at + len(part)] = part
"""


def touch_memory(mebibytes=1024):
    """Has so much of the machine's memory used, and freed, by a process of its own."""
    subprocess.run([sys.executable, "-c", TOUCH, str(mebibytes)], check=True)
