"""A long outage by hand: all brokers away for SECONDS (600), then every record must be there. No test of ctest.

    soak.py FOLDER_OF_PROGRAMS [SECONDS]
"""
import os
import sys
import tempfile
import time

import probe_tools
from kafka_tools import PARTITIONS, Cluster, kept_contract, result_of, same
from probe_tools import finish, start, total

FOLDER = os.path.abspath(sys.argv[1])
SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 600
RATE = 500
probe_tools.FOLDER = FOLDER

with tempfile.TemporaryDirectory() as folder, Cluster(FOLDER) as cluster:
    flows = RATE * (SECONDS + 60)
    check = cluster.check(flows + flows // 100 + flows // 1000, SECONDS + 400, PARTITIONS)
    running = start(cluster.brokers, "--records", str(flows), "--rate", str(RATE), "--set", f"spool.directory={folder}",
                    "--flush-ms", "120000")
    time.sleep(10)
    cluster.say("down 0")
    time.sleep(SECONDS)
    cluster.say("up 0")
    result = finish(running, seconds=400)
    found = result_of(check)
    kept_contract(found, total(result))
    same("acked", (result["acked"], result["failed"], result["spool_lost"], result["dropped"]), (total(result), 0, 0, 0))
    print(f"{total(result)} records, {SECONDS} s without brokers: {result['resent']} sent again, "
          f"{found['duplicates']} duplicates, nothing lost")
