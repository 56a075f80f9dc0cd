#include "sensor/doctor.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include "base/service/doctor.h"
#include "sensor/capture/capture.h"
#include "sensor/flow/flow_table.h"

#define DEFAULT_RING_BYTES (UINT64_C(32) << 20)
#define NAME_BYTES         64

/* ---- capturing ---- */

static void look_at_capability(struct doctor *doctor)
{
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        (void)close(fd);
        doctor_add(doctor, DOCTOR_OK, "capability", NULL, "this user may read packets");
    } else if (errno == EPERM || errno == EACCES) {
        doctor_add(doctor, DOCTOR_FAIL, "capability",
                   "sudo setcap cap_net_raw+ep $(command -v netscope-sensor); as a service: "
                   "AmbientCapabilities=CAP_NET_RAW (deploy/systemd); in a container: --cap-add "
                   "NET_RAW",
                   "reading packets needs CAP_NET_RAW, and user %u has it not",
                   (unsigned)geteuid());
    } else {
        doctor_add(doctor, DOCTOR_FAIL, "capability",
                   errno == EAFNOSUPPORT ? "the kernel needs CONFIG_PACKET (modprobe af_packet)"
                                         : NULL,
                   "a packet socket cannot be made: %s", strerror(errno));
    }
}

/* A flag of the kernel's offloads; false also where the driver knows none. */
static bool has_offload(int fd, const char *interface, uint32_t command, uint32_t mask)
{
    struct ethtool_value value = {.cmd = command};
    struct ifreq request = {0};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    request.ifr_data = (char *)&value;
    return ioctl(fd, SIOCETHTOOL, &request) == 0 && (value.data & mask) != 0;
}

/* Packets put together by the card or the kernel are larger than those on the wire, and fewer. */
static void look_at_offloads(struct doctor *doctor, const char *interface)
{
    static const struct {
        const char *name;
        uint32_t command, mask;
    } offloads[] = {{"gro", ETHTOOL_GGRO, UINT32_MAX},
                    {"lro", ETHTOOL_GFLAGS, ETH_FLAG_LRO},
                    {"tso", ETHTOOL_GTSO, UINT32_MAX},
                    {"gso", ETHTOOL_GGSO, UINT32_MAX}};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char on[64] = "";
    char cure[200];
    size_t on_used = 0;
    int used = snprintf(cure, sizeof(cure), "sudo ethtool -K %.15s", interface);

    for (size_t i = 0; fd >= 0 && i < ARRAY_COUNT(offloads); i++) {
        if (has_offload(fd, interface, offloads[i].command, offloads[i].mask)) {
            on_used += (size_t)snprintf(on + on_used, sizeof(on) - on_used, "%s%s",
                                        on_used > 0 ? ", " : "", offloads[i].name);
            used += snprintf(cure + used, sizeof(cure) - (size_t)used, " %s off", offloads[i].name);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (on[0] != '\0') {
        doctor_add(doctor, DOCTOR_WARN, "offloads", cure,
                   "%s: %s on: packets are seen larger and fewer than they are on the wire; bytes "
                   "of flows are right",
                   interface, on);
    } else {
        doctor_add(doctor, DOCTOR_OK, "offloads", NULL, "%s: packets are seen as on the wire",
                   interface);
    }
}

static void look_at_interface(struct doctor *doctor, const char *interface)
{
    struct ifreq request = {0};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char cure[128];

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    (void)snprintf(cure, sizeof(cure), "sudo ip link set %s up", interface);
    if (if_nametoindex(interface) == 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0) {
        doctor_add(doctor, DOCTOR_FAIL, "interface",
                   "netscope-sensor -l lists those that are there",
                   "%s: there is no such interface", interface);
    } else if ((request.ifr_flags & IFF_UP) == 0) {
        doctor_add(doctor, DOCTOR_FAIL, "interface", cure, "%s is down", interface);
    } else if ((request.ifr_flags & IFF_RUNNING) == 0) {
        doctor_add(doctor, DOCTOR_WARN, "interface", "look at the cable or the other end",
                   "%s is up without a link", interface);
        look_at_offloads(doctor, interface);
    } else {
        doctor_add(doctor, DOCTOR_OK, "interface", NULL, "%s is up", interface);
        look_at_offloads(doctor, interface);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void look_at_interfaces(struct doctor *doctor, const char *names)
{
    char found[NAME_BYTES];
    struct error err = {0};
    char *copy, *rest = NULL;

    if (names[0] == '\0') {
        if (capture_default_interface(found, &err) != 0) {
            doctor_add(doctor, DOCTOR_FAIL, "interface",
                       "name one: capture.interface or -i (netscope-sensor -l lists them)", "%s",
                       err.message);
            return;
        }
        names = found;
    }
    copy = strdup(names);
    for (char *name = copy == NULL ? NULL : strtok_r(copy, ", ", &rest); name != NULL;
         name = strtok_r(NULL, ", ", &rest)) {
        if (strcmp(name, "any") != 0) {
            look_at_interface(doctor, name);
        }
    }
    free(copy);
}

static void look_at_memory(struct doctor *doctor, const struct sensor_settings *settings)
{
    const uint64_t ring =
        settings->capture.buffer_bytes > 0 ? settings->capture.buffer_bytes : DEFAULT_RING_BYTES;
    const unsigned long given = strtoul(settings->pipeline.shards, NULL, 10);
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t shards = settings->pipeline.workers > 0 ? settings->pipeline.workers : given;

    if (shards == 0) {
        shards = cpus > 16 ? 8 : cpus > 1 ? (uint64_t)cpus / 2 : 1;
    }
    doctor_memory(doctor, "capture rings (capture.buffer_size of each shard)",
                  "lower capture.buffer_size or pipeline.shards, or raise the memory limit",
                  ring * shards);
    const struct flow_settings flow = {
        .flows_max = (uint32_t)(settings->flow.max_flows > 0 ? settings->flow.max_flows : 1),
        .measure_rtt = settings->analysis.rtt,
        .measure_retransmissions = settings->analysis.retrans,
        .measure_out_of_order = settings->analysis.out_of_order};

    doctor_memory(doctor, "the flow table (flow.max_flows)",
                  "lower flow.max_flows, or 0: as many as fit in a quarter of the limit",
                  flow_table_memory_needed(&flow));
}

/* ---- peers and files ---- */

static void look_at_collector(struct doctor *doctor, const struct collector_settings *s,
                              const char *sensor_id)
{
    if (s->address[0] == '\0') {
        return;
    }
    const bool is_system = strcmp(s->ca, "system") == 0;
    const struct doctor_peer peer = {
        .key = "collector.address",
        .address = s->address,
        .is_tls = s->ca[0] != '\0',
        .is_grpc = true,
        .ca_path = is_system ? NULL : s->ca,
        .certificate_path = s->certificate[0] != '\0' ? s->certificate : NULL,
        .key_path = s->key[0] != '\0' ? s->key : NULL,
        .server_name = s->server_name[0] != '\0' ? s->server_name : NULL};

    if (!is_system) {
        doctor_certificate(doctor, "collector.ca", s->ca, NULL);
    }
    doctor_certificate(doctor, "collector.certificate", s->certificate, s->key);
    if (s->token_file[0] == '\0') { /* else the token may be what the collector goes by */
        doctor_certificate_name(doctor, "collector.certificate", s->certificate, "sensor.id",
                                sensor_id);
    }
    doctor_secret(doctor, "collector.token_file", s->token_file);
    doctor_connect(doctor, &peer);
}

static void look_at_kafka(struct doctor *doctor, const struct kafka_settings *s)
{
    if (s->brokers[0] == '\0') {
        return;
    }
    doctor_secret(doctor, "kafka.sasl_password_file", s->access.sasl_password_file);
    doctor_certificate(doctor, "kafka.tls_certificate", s->access.tls_certificate,
                       s->access.tls_key);
    doctor_certificate(doctor, "kafka.tls_ca", s->access.tls_ca, NULL);
    doctor_connect_any(doctor, "kafka.brokers", s->brokers);
}

static void look_at_ipfix(struct doctor *doctor, const struct ipfix_export_settings *s)
{
    for (uint32_t i = 0; i < s->collectors.count; i++) {
        const struct doctor_peer peer = {.key = "ipfix.collectors",
                                         .address = s->collectors.items[i]};

        if (strcmp(s->transport, "tcp") == 0) {
            doctor_connect(doctor, &peer);
        } else {
            doctor_datagrams(doctor, peer.key, peer.address);
        }
    }
}

static void look_at_directories(struct doctor *doctor, const struct sensor_settings *settings)
{
    const char *state = settings->sensor.state_directory;

    if (state[0] == '\0') {
        state = getenv("STATE_DIRECTORY"); // NOLINT(concurrency-mt-unsafe)
    }
    if (state != NULL && state[0] != '\0') {
        doctor_directory(doctor, "sensor.state_directory", state, 0);
    } else {
        doctor_add(doctor, DOCTOR_WARN, "directory",
                   "nothing, where the systemd unit starts it (it gives /var/lib/netscope); else "
                   "sensor.state_directory, or sensor.id",
                   "no state directory: the sensor's id is made of host name and interface");
    }
    doctor_directory(doctor, "spool.directory", spool_settings_directory(&settings->spool),
                     settings->spool.bytes_max);
}

int sensor_doctor(const struct sensor_settings *settings, bool is_json, FILE *out)
{
    struct doctor doctor = {0};
    const bool is_live = settings->capture.read_pcap.count == 0;

    if (is_live) {
        look_at_capability(&doctor);
        look_at_interfaces(&doctor, settings->capture.interface);
    }
    look_at_memory(&doctor, settings);
    doctor_clock(&doctor);
    look_at_directories(&doctor, settings);
    doctor_secret(&doctor, "grpc.token_file", settings->grpc.token_file);
    doctor_certificate(&doctor, "grpc.tls_certificate", settings->grpc.tls_certificate,
                       settings->grpc.tls_key);
    doctor_certificate(&doctor, "grpc.tls_client_ca", settings->grpc.tls_client_ca, NULL);
    doctor_certificate(&doctor, "http.tls_certificate", settings->http.tls_certificate,
                       settings->http.tls_key);
    if (strcmp(settings->grpc.enabled, "off") != 0) {
        doctor_listen(&doctor, "grpc.listen", settings->grpc.listen);
    }
    look_at_collector(&doctor, &settings->collector, settings->sensor.id);
    look_at_kafka(&doctor, &settings->kafka);
    for (int i = 0; i < KAFKA_CLUSTERS_MAX && settings->kafka_names[i] != NULL; i++) {
        look_at_kafka(&doctor, &settings->kafka_clusters[i]);
    }
    look_at_ipfix(&doctor, &settings->ipfix);
    doctor_print(&doctor, is_json, out);
    const int status = doctor_status(&doctor);

    doctor_fini(&doctor);
    return status;
}
