#include "sensor/capture/pcapng_interface.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sensor/capture/capture_filter.h"
#include "sensor/capture/file_block.h"

#define INTERFACE_BYTES        8
#define STATISTICS_BYTES       12
#define OPTION_HEADER_BYTES    4
#define RESOLUTION_DECIMAL_MAX 19 /* 10^19 and 2^63 fit into 64 bits */
#define RESOLUTION_BINARY_MAX  63
#define RESOLUTION_IS_BINARY   0x80

__extension__ typedef unsigned __int128 wide_uint; /* ISO C has none */

enum option {
    OPTION_END = 0,
    INTERFACE_NAME = 2,
    INTERFACE_RESOLUTION = 9,
    INTERFACE_OFFSET = 14,
    STATISTICS_INTERFACE_DROPPED = 5,
    STATISTICS_KERNEL_DROPPED = 7,
    PACKET_DROPPED = 4,
};

/* ---- options ---- */

struct options {
    const uint8_t *at;
    uint32_t left;
    bool is_swapped;
};

struct option_value {
    uint16_t code, length;
    const uint8_t *value;
};

/* 1; 0 at the end; -EBADMSG: cut. */
static int next_option(struct options *options, struct option_value *out)
{
    if (options->left == 0) {
        return 0;
    }
    if (options->left < OPTION_HEADER_BYTES) {
        return -EBADMSG;
    }
    out->code = file_u16(options->at, options->is_swapped);
    out->length = file_u16(options->at + 2, options->is_swapped);
    out->value = options->at + OPTION_HEADER_BYTES;
    const uint32_t bytes = OPTION_HEADER_BYTES + ((out->length + 3U) & ~3U);

    if (out->code == OPTION_END) {
        return 0;
    }
    if (bytes > options->left) {
        return -EBADMSG;
    }
    options->at += bytes;
    options->left -= bytes;
    return 1;
}

/* ---- interfaces ---- */

static int set_resolution(struct pcapng_interface *interface, const struct option_value *option,
                          struct error *err)
{
    if (option->length != 1) {
        return error_set(err, EBADMSG, "if_tsresol has a length of %u, not 1", option->length);
    }
    const bool is_binary = (option->value[0] & RESOLUTION_IS_BINARY) != 0;
    const unsigned exponent = option->value[0] & ~(unsigned)RESOLUTION_IS_BINARY;

    if (exponent > (is_binary ? RESOLUTION_BINARY_MAX : RESOLUTION_DECIMAL_MAX)) {
        return error_set(err, EBADMSG, "a time resolution of %d^-%u s is beyond 64 bits",
                         is_binary ? 2 : 10, exponent);
    }
    interface->units_per_second = 1;
    for (unsigned i = 0; i < exponent; i++) {
        interface->units_per_second *= is_binary ? 2 : 10;
    }
    return 0;
}

static int set_offset(struct pcapng_interface *interface, const struct option_value *option,
                      bool is_swapped, struct error *err)
{
    if (option->length != 8) {
        return error_set(err, EBADMSG, "if_tsoffset has a length of %u, not 8", option->length);
    }
    const int64_t seconds = (int64_t)file_u64(option->value, is_swapped);

    if (__builtin_mul_overflow(seconds, (int64_t)NS_PER_SEC, &interface->offset_ns)) {
        interface->offset_ns = seconds < 0 ? INT64_MIN : INT64_MAX;
    }
    return 0;
}

static int set_options(struct pcapng_interface *interface, struct file_reader *reader,
                       struct options options, struct error *err)
{
    struct option_value option;
    bool has_resolution = false, has_offset = false;
    int status;

    while ((status = next_option(&options, &option)) == 1) {
        int result = 0;

        if (option.code == INTERFACE_NAME && option.length > 0 && reader->names != NULL) {
            interface->name =
                name_table_add(reader->names, (const char *)option.value, option.length);
        } else if (option.code == INTERFACE_RESOLUTION) {
            result = has_resolution ? error_set(err, EBADMSG, "if_tsresol is there twice")
                                    : set_resolution(interface, &option, err);
            has_resolution = true;
        } else if (option.code == INTERFACE_OFFSET) {
            result = has_offset ? error_set(err, EBADMSG, "if_tsoffset is there twice")
                                : set_offset(interface, &option, options.is_swapped, err);
            has_offset = true;
        }
        if (result != 0) {
            return result;
        }
    }
    return status < 0 ? error_set(err, EBADMSG, "an option reaches beyond its end") : 0;
}

static int make_room(struct pcapng_interfaces *interfaces, struct error *err)
{
    if (interfaces->count < interfaces->capacity) {
        return 0;
    }
    if (interfaces->count == PCAPNG_INTERFACES_MAX) {
        return error_set(err, EBADMSG, "more than %u interfaces in one section",
                         PCAPNG_INTERFACES_MAX);
    }
    const uint32_t capacity = interfaces->capacity == 0 ? 4 : 2 * interfaces->capacity;
    struct pcapng_interface *rows =
        realloc(interfaces->rows, capacity * sizeof(interfaces->rows[0]));

    if (rows == NULL) {
        return error_set(err, ENOMEM, "out of memory for %u interfaces", capacity);
    }
    interfaces->rows = rows;
    interfaces->capacity = capacity;
    return 0;
}

int pcapng_interfaces_add(struct pcapng_interfaces *interfaces, struct file_reader *reader,
                          const uint8_t *body, uint32_t body_bytes, bool is_swapped,
                          struct error *err)
{
    if (body_bytes < INTERFACE_BYTES) {
        return error_set(err, EBADMSG, "too short");
    }
    struct pcapng_interface made = {
        .link_type = capture_link_type_of(file_u16(body, is_swapped)),
        .name = reader->name,
        .snaplen = file_u32(body + 4, is_swapped),
        .units_per_second = NS_PER_SEC / NS_PER_US,
    };
    const struct options options = {body + INTERFACE_BYTES, body_bytes - INTERFACE_BYTES,
                                    is_swapped};
    int status = set_options(&made, reader, options, err);

    if (status == 0) {
        status = make_room(interfaces, err);
    }
    if (status != 0) {
        return status;
    }
    made.captured_max = file_packet_bytes_max(made.link_type);
    if (made.snaplen == 0 || made.snaplen > INT32_MAX) {
        made.snaplen = made.captured_max; /* no limit */
    }
    made.unit_ns = NS_PER_SEC % made.units_per_second == 0 ? NS_PER_SEC / made.units_per_second : 0;
    interfaces->rows[interfaces->count++] = made;
    return 0;
}

int pcapng_interface_filter(const struct file_reader *reader, struct pcapng_interface *interface,
                            struct error *err)
{
    const int status =
        link_filters_program(reader->filters, interface->link_type, &interface->filter, err);

    interface->has_filter = status == 0;
    return status;
}

uint64_t pcapng_interface_time(const struct pcapng_interface *interface, uint64_t units)
{
    uint64_t ns;

    if (interface->unit_ns == 0 || __builtin_mul_overflow(units, interface->unit_ns, &ns)) {
        const uint64_t seconds = units / interface->units_per_second;
        const uint64_t rest = units % interface->units_per_second;
        const wide_uint wide = (wide_uint)seconds * NS_PER_SEC +
                               (wide_uint)rest * NS_PER_SEC / interface->units_per_second;

        ns = wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
    }
    if (interface->offset_ns < 0) {
        const uint64_t back = 0 - (uint64_t)interface->offset_ns;

        return ns > back ? ns - back : 0;
    }
    const uint64_t on = (uint64_t)interface->offset_ns;

    return ns > UINT64_MAX - on ? UINT64_MAX : ns + on;
}

/* ---- what was dropped ---- */

/* A file may claim anything: sums stop instead of wrapping. */
static void add_saturated(uint64_t *sum, uint64_t more)
{
    *sum = more > INT64_MAX - *sum ? INT64_MAX : *sum + more;
}

/* Statistics count since the start of the capture: what is new goes into `sum`. */
static void raise_to(uint64_t *known, uint64_t told, uint64_t *sum)
{
    if (told > *known) {
        add_saturated(sum, told - *known);
        *known = told;
    }
}

void pcapng_interfaces_statistics(struct pcapng_interfaces *interfaces, struct file_reader *reader,
                                  const uint8_t *body, uint32_t body_bytes, bool is_swapped)
{
    if (body_bytes < STATISTICS_BYTES || file_u32(body, is_swapped) >= interfaces->count) {
        return;
    }
    struct pcapng_interface *interface = &interfaces->rows[file_u32(body, is_swapped)];
    struct options options = {body + STATISTICS_BYTES, body_bytes - STATISTICS_BYTES, is_swapped};
    struct option_value option;

    while (next_option(&options, &option) == 1) {
        if (option.length != 8) {
            continue;
        }
        if (option.code == STATISTICS_INTERFACE_DROPPED) {
            raise_to(&interface->interface_dropped, file_u64(option.value, is_swapped),
                     &reader->interface_dropped);
        } else if (option.code == STATISTICS_KERNEL_DROPPED) {
            raise_to(&interface->kernel_dropped, file_u64(option.value, is_swapped),
                     &reader->kernel_dropped);
        }
    }
}

void pcapng_interface_packet_options(struct pcapng_interface *interface, const uint8_t *options,
                                     uint32_t bytes, bool is_swapped)
{
    struct options left = {options, bytes, is_swapped};
    struct option_value option;

    while (next_option(&left, &option) == 1) {
        if (option.code == PACKET_DROPPED && option.length == 8) {
            add_saturated(&interface->packets_dropped, file_u64(option.value, is_swapped));
        }
    }
}

void pcapng_interfaces_end_section(struct pcapng_interfaces *interfaces, struct file_reader *reader)
{
    for (uint32_t i = 0; i < interfaces->count; i++) {
        const struct pcapng_interface *interface = &interfaces->rows[i];
        uint64_t told = interface->kernel_dropped;

        add_saturated(&told, interface->interface_dropped);
        if (interface->packets_dropped > told) { /* there were no statistics, or older ones */
            add_saturated(&reader->kernel_dropped, interface->packets_dropped - told);
        }
    }
    interfaces->count = 0;
}

void pcapng_interfaces_fini(struct pcapng_interfaces *interfaces)
{
    free(interfaces->rows);
    *interfaces = (struct pcapng_interfaces){0};
}
