"""A real Apache Kafka for tests: one broker by KRaft on loopback, jars from Maven Central kept below build/."""
import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = os.environ.get("NETSCOPE_KAFKA_VERSION", "3.9.1")
HEAP = "-Xmx512m"
PASSWORD = "right-word"


class Missing(Exception):
    """Something that the test needs is not here: it is skipped."""


def fetch_jars(build):
    """The folder with Kafka's jars; Missing without java, mvn or Maven Central."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed")
    folder = os.path.join(build, f"kafka-{VERSION}")
    if glob.glob(os.path.join(folder, "kafka_2.13-*.jar")) and glob.glob(os.path.join(folder, "kafka-tools-3*.jar")) \
            or glob.glob(os.path.join(folder, "kafka-tools-4*.jar")):
        return folder
    partial = folder + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    done = subprocess.run(["mvn", "-q", "-B", "-f", os.path.join(HERE, "pom.xml"), f"-Dkafka.version={VERSION}",
                           "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"],
                          capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise Missing("Maven Central gives no Kafka: " + done.stdout.strip().splitlines()[0][:200])
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(partial, folder)
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """`brokers`: without login; `secured`: TLS and SASL PLAIN, users sensor (all rights) and guest (none)."""

    def __init__(self, jars, certificates):
        self.classpath = os.path.join(jars, "*")
        self.folder = tempfile.mkdtemp(prefix="kafka-broker-")
        plain, secure, controller = free_port(), free_port(), free_port()
        self.brokers = f"127.0.0.1:{plain}"
        self.secured = f"localhost:{secure}"
        self.process = None
        with open(os.path.join(self.folder, "server.pem"), "w", encoding="ascii") as file:
            for name in ("server.key", "server.pem"):
                with open(os.path.join(certificates, name), encoding="ascii") as part:
                    file.write(part.read())
        login = ("org.apache.kafka.common.security.plain.PlainLoginModule required "
                 f'user_sensor="{PASSWORD}" user_guest="guest";')
        with open(os.path.join(self.folder, "server.properties"), "w", encoding="ascii") as file:
            file.write("\n".join((
                "process.roles=broker,controller", "node.id=1",
                f"controller.quorum.voters=1@127.0.0.1:{controller}",
                f"listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}",
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://localhost:{secure}",
                "controller.listener.names=CONTROLLER", "inter.broker.listener.name=PLAINTEXT",
                "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
                "sasl.enabled.mechanisms=PLAIN", f"listener.name.sasl_ssl.plain.sasl.jaas.config={login}",
                "ssl.keystore.type=PEM", f"ssl.keystore.location={self.folder}/server.pem",
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users=User:ANONYMOUS;User:sensor",
                f"log.dirs={self.folder}/data", "num.partitions=6", "auto.create.topics.enable=false",
                "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1", "group.initial.rebalance.delay.ms=0",
                "log.cleaner.enable=false", "num.network.threads=2", "num.io.threads=2", "")))
        identity = self.java("kafka.tools.StorageTool", "random-uuid").strip().splitlines()[-1]
        self.java("kafka.tools.StorageTool", "format", "-t", identity, "-c", f"{self.folder}/server.properties")

    def java(self, *arguments, seconds=90):
        done = subprocess.run(["nice", "-n", "10", "java", HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                               self.classpath, *arguments], capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments[0]}: exit {done.returncode}: {(done.stderr + done.stdout)[-600:]}")
        return done.stdout

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(["nice", "-n", "10", "java", HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                                         "-cp", self.classpath, "kafka.Kafka", f"{self.folder}/server.properties"],
                                        stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 90
        while time.monotonic() < end and self.process.poll() is None:
            if subprocess.run(["kcat", "-b", self.brokers, "-L", "-m", "2"], capture_output=True, check=False).returncode == 0:
                return self
            time.sleep(0.5)
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            raise RuntimeError("the broker does not come up: " + file.read()[-800:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def move(self, address):
        """Another address of the listener without login, from the next start on."""
        path = os.path.join(self.folder, "server.properties")
        with open(path, encoding="ascii") as file:
            text = file.read().replace(f"PLAINTEXT://{self.brokers}", f"PLAINTEXT://{address}")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        self.brokers = address

    def topics(self, commands):
        """Runs kafka-topics.sh lines; one broker holds one replica."""
        for line in commands.splitlines():
            if line.startswith("kafka-topics.sh "):
                words = [word.strip("'") for word in line.split(" ")[1:]]
                words = ["1" if before == "--replication-factor" else
                         "min.insync.replicas=1" if word.startswith("min.insync") else word
                         for before, word in zip([""] + words, words)]
                self.java("org.apache.kafka.tools.TopicCommand", *words)

    def create(self, name, partitions, *options):
        self.java("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.brokers, "--create", "--topic", name,
                  "--partitions", str(partitions), "--replication-factor", "1", *options)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()
