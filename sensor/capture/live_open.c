#include "sensor/capture/live_open.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sensor/capture/capture_filter.h"
#include "sensor/capture/live_fanout.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

static bool is_any(const char *interface)
{
    return strcmp(interface, "any") == 0;
}

/* Flags or MTU of an interface. */
static int interface_ask(const char *interface, unsigned long request, struct ifreq *out)
{
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    memset(out, 0, sizeof *out);
    (void)snprintf(out->ifr_name, sizeof out->ifr_name, "%s", interface);
    const int status = ioctl(fd, request, out) == 0 ? 0 : -errno;
    close(fd);
    return status;
}

bool live_interface_is_up(const char *interface)
{
    struct ifreq answer = {0};
    return is_any(interface) || (interface_ask(interface, SIOCGIFFLAGS, &answer) == 0 &&
                                 (answer.ifr_flags & IFF_UP) != 0);
}

uint32_t live_interface_mtu(const char *interface)
{
    struct ifreq answer = {0};
    return interface_ask(interface, SIOCGIFMTU, &answer) == 0 ? (uint32_t)answer.ifr_mtu : 0;
}

static bool is_loopback(const char *interface)
{
    struct ifreq answer = {0};
    return !is_any(interface) && interface_ask(interface, SIOCGIFFLAGS, &answer) == 0 &&
           (answer.ifr_flags & IFF_LOOPBACK) != 0;
}

/* pcap_setfilter() would filter what is in the ring, too. */
static int reject_all(int socket)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const struct sock_fprog program = {.len = 1, .filter = code};
    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0
                                                                                           : -errno;
}

void live_tap_close(pcap_t *handle)
{
    /* Fails only on an interface that is gone, where nothing comes any more. */
    const int status = reject_all(pcap_fileno(handle));
    (void)status;
}

void live_opened_close(struct live_opened *opened)
{
    for (uint32_t i = 0; i < opened->count; i++) {
        pcap_close(opened->handles[i]);
    }
    opened->count = 0;
}

/* ---- errors ---------------------------------------------------------------------------------- */

struct name_list {
    char text[400];
    size_t used;
};

static void name_add(void *context, const struct capture_interface *interface)
{
    struct name_list *list = context;
    const int got = snprintf(list->text + list->used, sizeof list->text - list->used, "%s%s",
                             list->used == 0 ? "" : ", ", interface->name);
    if (got > 0 && (size_t)got < sizeof list->text - list->used) {
        list->used += (size_t)got;
    } else {
        list->text[list->used] = '\0';
    }
}

static int activation_error(pcap_t *handle, const char *interface, int status, bool is_adapter,
                            struct error *err)
{
    if (status == PCAP_ERROR_PERM_DENIED || status == PCAP_ERROR_PROMISC_PERM_DENIED) {
        char program[256] = "netscope-sensor";
        const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
        program[length > 0 ? (size_t)length : strlen(program)] = '\0';
        return error_set(err, EPERM,
                         "open %s: permission denied (needs CAP_NET_RAW%s: run as root, or "
                         "setcap cap_net_raw%s+ep %s)",
                         interface, is_adapter ? " and, for the card's time, CAP_NET_ADMIN" : "",
                         is_adapter ? ",cap_net_admin" : "", program);
    }
    if (status == PCAP_ERROR_NO_SUCH_DEVICE) {
        struct name_list list = {.used = 0};
        if (capture_list_interfaces(name_add, &list, NULL) <= 0) {
            (void)snprintf(list.text, sizeof list.text, "none");
        }
        return error_set(err, ENODEV, "open %s: no such interface (there are: %s)", interface,
                         list.text);
    }
    if (status == PCAP_ERROR_IFACE_NOT_UP) {
        return error_set(err, ENETDOWN, "open %s: the interface is down (ip link set %s up)",
                         interface, interface);
    }
    const char *detail = pcap_geterr(handle);
    return error_set(err, EIO, "open %s: %s%s%s", interface, pcap_statustostr(status),
                     detail[0] == '\0' ? "" : ": ", detail);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* An interface that cannot do what is asked goes on with the kernel's time. */
static int timestamps_choose(pcap_t *handle, const struct capture_settings *settings,
                             const char *interface, struct error *warning)
{
    static const int types[CAPTURE_TIMESTAMPS_COUNT] = {PCAP_TSTAMP_HOST, PCAP_TSTAMP_HOST_HIPREC,
                                                        PCAP_TSTAMP_ADAPTER};
    const int type = types[settings->timestamps];
    const int status = type == PCAP_TSTAMP_HOST ? 0 : pcap_set_tstamp_type(handle, type);

    if (status == PCAP_WARNING_TSTAMP_TYPE_NOTSUP || status == PCAP_ERROR_CANTSET_TSTAMP_TYPE) {
        error_set(warning, ENOTSUP,
                  "open %s: it cannot give packets the time as capture.timestamps says (%s): they "
                  "have the kernel's",
                  interface, pcap_tstamp_type_val_to_name(type));
        return 0;
    }
    return status;
}

static pcap_t *activate(const struct capture_settings *settings, const char *interface,
                        struct live_opened *out, struct error *warning, struct error *err)
{
    char message[PCAP_ERRBUF_SIZE] = "";
    pcap_t *handle = pcap_create(interface, message);
    if (handle == NULL) {
        error_set(err, ENOMEM, "open %s: %s", interface, message);
        return NULL;
    }
    int status = pcap_set_snaplen(handle, (int)settings->snaplen_bytes);
    status |= pcap_set_promisc(handle, settings->is_promiscuous && !is_any(interface) ? 1 : 0);
    status |= pcap_set_timeout(handle, (int)(settings->timeout_ns / NS_PER_MS));
    status |= pcap_set_buffer_size(handle, (int)settings->buffer_bytes);
    status |= pcap_set_immediate_mode(handle, settings->is_immediate ? 1 : 0);
    status |= timestamps_choose(handle, settings, interface, warning);
    out->fraction_ns =
        pcap_set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO) == 0 ? 1 : 1000;
    if (status == 0) {
        status = pcap_activate(handle);
    }
    if (status < 0) {
        activation_error(handle, interface, status, settings->timestamps == CAPTURE_TIME_ADAPTER,
                         err);
        pcap_close(handle);
        return NULL;
    }
    if (status > 0) {
        error_set(warning, EIO, "open %s: %s (%s)", interface, pcap_statustostr(status),
                  pcap_geterr(handle));
    }
    return handle;
}

/* On lo each packet passes twice; libpcap would drop one of them without counting it. */
static bool is_outgoing_ignored(const struct capture_settings *settings, const char *interface)
{
    return settings->direction == CAPTURE_IN || is_loopback(interface);
}

/* One handle, deaf until the group is complete. */
static int open_one(const struct capture_settings *settings, const char *interface,
                    struct live_opened *out, struct error *warning, struct error *err)
{
    char message[PCAP_ERRBUF_SIZE] = "";
    pcap_t *handle = activate(settings, interface, out, warning, err);
    if (handle == NULL) {
        return err == NULL || err->code == 0 ? -EIO : -err->code;
    }
    out->handles[out->count++] = handle; /* closed by the caller's live_opened_close() */

    int status = reject_all(pcap_fileno(handle));
    if (status != 0) {
        return error_set(err, -status, "open %s: attach a filter: %s", interface,
                         strerror(-status));
    }
    if (pcap_setnonblock(handle, 1, message) != 0) {
        return error_set(err, EIO, "open %s: %s", interface, message);
    }
    if (is_outgoing_ignored(settings, interface)) {
        const int on = 1;
        if (setsockopt(pcap_fileno(handle), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) !=
            0) {
            const int code = errno;
            return error_set(err, code, "open %s: leave out the outgoing packets: %s", interface,
                             strerror(code));
        }
    }
    /* "any" stays SLL: libpcap puts VLAN tags, which the kernel keeps apart, back into that alone,
     * and a flow tells its VLAN. */
    return 0;
}

static void count_packet(unsigned char *context, const struct pcap_pkthdr *header,
                         const unsigned char *bytes)
{
    (void)header;
    (void)bytes;
    uint32_t *count = (uint32_t *)(void *)context;
    (*count)++;
}

/* Empties the rings of what came before all had joined. Ends when libpcap's counts say that nothing
 * is left, or after 3 timeouts; what is left even then is cut by its time. */
static void drain(const struct capture_settings *settings, struct live_opened *opened)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + 3 * settings->timeout_ns;
    uint32_t drained[LIVE_SHARDS_MAX] = {0};
    bool is_empty = false;

    while (!is_empty) {
        is_empty = true;
        for (uint32_t i = 0; i < opened->count; i++) {
            while (pcap_dispatch(opened->handles[i], 4096, count_packet,
                                 (unsigned char *)(void *)&drained[i]) > 0) {
            }
            struct pcap_stat stat = {0};
            (void)pcap_stats(opened->handles[i], &stat);
            opened->dropped_base[i] = stat.ps_drop;
            opened->received_base[i] = drained[i] + stat.ps_drop;
            is_empty = is_empty && stat.ps_recv == opened->received_base[i];
        }
        if (!is_empty && clock_monotonic_ns() >= deadline_ns) {
            return;
        }
        if (!is_empty) {
            const struct timespec pause = {.tv_nsec = (long)(2 * NS_PER_MS)};
            (void)nanosleep(&pause, NULL);
        }
    }
}

/* "outbound" makes the kernel look at the packet's type; it is the first term, as the user's text
 * may hold an "or". Caller frees. */
static char *filter_text(const struct capture_settings *settings, const char *interface)
{
    const char *asked = settings->filter == NULL ? "" : settings->filter;
    char *text = NULL;
    int status;

    if (settings->direction != CAPTURE_OUT || is_loopback(interface)) {
        return strdup(asked);
    }
    if (asked[0] == '\0') {
        status = asprintf(&text, "outbound");
    } else {
        status = asprintf(&text, "outbound and (%s)", asked);
    }
    return status < 0 ? NULL : text;
}

/* Lets packets in: always through a filter, the empty one if need be, since the kernel cuts to the
 * snaplen in the filter alone. Directly on the socket, as libpcap would run it once more in the
 * first block, where what it asks of the kernel (direction) is not known; a cooked handle needs
 * libpcap, which moves the offsets. */
static int filter_set(const struct capture_settings *settings, const char *interface,
                      struct live_opened *opened, struct error *err)
{
    char *text = filter_text(settings, interface);
    struct bpf_program program;
    if (text == NULL) {
        return error_set(err, ENOMEM, "open %s: out of memory", interface);
    }
    /* The user's own text first, so that an error speaks of that. */
    int status = capture_filter_compile(opened->handles[0], settings->filter, &program, err);
    if (status == 0) {
        pcap_freecode(&program);
        status = capture_filter_compile(opened->handles[0], text, &program, err);
    }
    free(text);
    if (status != 0) {
        return status;
    }

    static_assert(sizeof(struct bpf_insn) == sizeof(struct sock_filter), "one layout");
    const struct sock_fprog direct = {.len = (uint16_t)program.bf_len,
                                      .filter = (struct sock_filter *)(void *)program.bf_insns};
    const int dlt = pcap_datalink(opened->handles[0]);
    const bool is_cooked = dlt == DLT_LINUX_SLL || dlt == DLT_LINUX_SLL2;
    for (uint32_t i = 0; i < opened->count && status == 0; i++) {
        if (!is_cooked && program.bf_len <= BPF_MAXINSNS &&
            setsockopt(pcap_fileno(opened->handles[i]), SOL_SOCKET, SO_ATTACH_FILTER, &direct,
                       sizeof direct) == 0) {
            continue;
        }
        if (pcap_setfilter(opened->handles[i], &program) != 0) {
            status = error_set(err, EINVAL, "open %s: install the filter: %s", interface,
                               pcap_geterr(opened->handles[i]));
        }
    }
    pcap_freecode(&program);
    return status;
}

static int open_group(const struct capture_settings *settings, const char *interface,
                      uint32_t shards, struct live_opened *out, struct error *warning,
                      struct error *err)
{
    int sockets[LIVE_SHARDS_MAX];
    for (uint32_t i = 0; i < shards; i++) {
        const int status = open_one(settings, interface, out, warning, err);
        if (status != 0) {
            return status;
        }
        sockets[i] = pcap_fileno(out->handles[i]);
    }
    if (shards > 1) {
        const int status =
            live_fanout_join(sockets, shards, settings->fanout, deal_key_of(settings->key),
                             is_outgoing_ignored(settings, interface), err);
        if (status != 0) {
            error_prefix(err, "open %s", interface);
            return status;
        }
    }
    out->start_ns = clock_wall_ns(); /* the clock of the packets */
    drain(settings, out);
    return filter_set(settings, interface, out, err);
}

int live_open(const struct capture_settings *settings, const char *interface, uint32_t shards,
              struct live_opened *out, struct error *warning, struct error *err)
{
    *out = (struct live_opened){.interface_index = if_nametoindex(interface),
                                .opening_ns = clock_wall_ns()};
    struct error fault = {0};
    const int status = open_group(settings, interface, shards, out, warning, &fault);
    if (status != 0) {
        live_opened_close(out);
        return error_set(err, fault.code, "%s", fault.message);
    }

    out->mtu_bytes = live_interface_mtu(interface);
    out->link_type = capture_link_type_of(pcap_datalink(out->handles[0]));
    return 0;
}
