/* First inputs of the fuzz targets out of capture files: fuzz_seeds TABLE OUT FILE...
 *
 * TABLE is tests/fuzz/seeds.txt. Each part becomes a file OUT/TARGET/HASH; parts that are the same
 * are one file. At most SEEDS_MAX a target and, so that one large capture does not fill them all,
 * FILE_SEEDS_MAX of them out of one file. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "sensor/capture/capture.h"
#include "sensor/wire/packet.h"
#include "tests/fuzz/support/link_types.h"

#define ROWS_MAX       256
#define PREFIX_MAX     8
#define BEGIN_MAX      8
#define SEEDS_MAX      3000U
#define FILE_SEEDS_MAX 40U
#define SEED_BYTES_MAX 4096U
#define FILE_BYTES_MAX 65536L

enum part { PART_FRAME, PART_FRAGMENT, PART_IP, PART_UDP, PART_TCP, PART_ETHER, PART_FILE };

struct row {
    char target[64];
    uint8_t prefix[PREFIX_MAX], begin[BEGIN_MAX];
    size_t prefix_bytes, begin_bytes;
    enum part part;
    bool is_any;
    uint32_t number; /* port, protocol, ethertype */
    uint32_t in_file, in_all;
};

static struct row rows[ROWS_MAX];
static uint32_t rows_count;
static const char *out_directory;

static void fail(const char *what, const char *name)
{
    (void)fprintf(stderr, "fuzz_seeds: %s: %s\n", name, what);
    exit(1);
}

static size_t hex(const char *text, uint8_t *out, size_t out_max)
{
    size_t count = 0;

    for (; text[0] != '\0' && text[1] != '\0' && count < out_max; text += 2) {
        unsigned value;

        if (sscanf(text, "%2x", &value) != 1) {
            fail("is no hex", text);
        }
        out[count++] = (uint8_t)value;
    }
    return count;
}

static void add_row(const char *target, const char *prefix, const char *part)
{
    static const struct {
        const char *name;
        enum part part;
        int base;
    } kinds[] = {
        {"frame", PART_FRAME, 0}, {"fragment", PART_FRAGMENT, 0}, {"ip/", PART_IP, 10},
        {"udp/", PART_UDP, 10},   {"tcp/", PART_TCP, 10},         {"ether/", PART_ETHER, 16},
        {"file", PART_FILE, 0},   {"udp=", PART_UDP, -1},         {"tcp=", PART_TCP, -1}};
    struct row row = {.number = 0};

    (void)snprintf(row.target, sizeof(row.target), "%s", target);
    row.prefix_bytes = strcmp(prefix, "-") == 0 ? 0 : hex(prefix, row.prefix, PREFIX_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        const size_t length = strlen(kinds[i].name);

        if (strncmp(part, kinds[i].name, length) != 0) {
            continue;
        }
        row.part = kinds[i].part;
        row.is_any = kinds[i].base == -1 || strcmp(part + length, "*") == 0;
        if (kinds[i].base == -1) {
            row.begin_bytes = hex(part + length, row.begin, BEGIN_MAX);
        } else if (kinds[i].base > 0 && !row.is_any) {
            row.number = (uint32_t)strtoul(part + length, NULL, kinds[i].base);
        }
        if (rows_count == ROWS_MAX) {
            fail("too many rows", target);
        }
        rows[rows_count++] = row;
        return;
    }
    fail("is no part (see the head of the table)", part);
}

static void read_table(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];

    if (file == NULL) {
        fail(strerror(errno), path);
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        char *rest = line;
        const char *target = strtok_r(rest, " \t\n", &rest);
        const char *prefix = strtok_r(NULL, " \t\n", &rest);

        if (target == NULL || target[0] == '#') {
            continue;
        }
        for (const char *part; (part = strtok_r(NULL, " \t\n", &rest)) != NULL;) {
            add_row(target, prefix, part);
        }
    }
    (void)fclose(file);
}

static void write_seed(struct row *row, const uint8_t *prefix, size_t prefix_bytes,
                       const uint8_t *bytes, size_t count)
{
    static const struct hash_key key = {1, 2};
    static uint8_t seed[FILE_BYTES_MAX + PREFIX_MAX];
    char path[512];
    struct stat status;

    memcpy(seed, prefix, prefix_bytes);
    memcpy(seed + prefix_bytes, bytes, count);
    (void)snprintf(path, sizeof(path), "%s/%s", out_directory, row->target);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        fail(strerror(errno), path);
    }
    (void)snprintf(path, sizeof(path), "%s/%s/%016" PRIx64, out_directory, row->target,
                   hash_bytes(key, seed, prefix_bytes + count));
    if (stat(path, &status) == 0) {
        return; /* the same again */
    }
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(seed, 1, prefix_bytes + count, file) != prefix_bytes + count ||
        fclose(file) != 0) {
        fail("cannot be written", path);
    }
    row->in_file++;
    row->in_all++;
}

static void take(struct row *row, const uint8_t *bytes, size_t count)
{
    const size_t kept = count < SEED_BYTES_MAX ? count : SEED_BYTES_MAX;

    if (kept > 0 && kept >= row->begin_bytes && memcmp(bytes, row->begin, row->begin_bytes) == 0) {
        write_seed(row, row->prefix, row->prefix_bytes, bytes, kept);
    }
}

static void take_frame(struct row *row, const struct frame *frame)
{
    for (size_t i = 0; i < FUZZ_LINK_TYPES; i++) {
        if (fuzz_link_types[i] == frame->link_type) {
            const uint8_t prefix[] = {(uint8_t)i,
                                      (uint8_t)(frame->wire_bytes > frame->captured_bytes)};
            const size_t kept =
                frame->captured_bytes < SEED_BYTES_MAX ? frame->captured_bytes : SEED_BYTES_MAX;

            write_seed(row, prefix, sizeof(prefix), frame->bytes, kept);
            return;
        }
    }
}

static void take_part(struct row *row, const struct frame *frame, const struct packet *packet)
{
    const uint8_t *payload = frame->bytes + packet->payload_offset;
    const uint32_t protocol = row->part == PART_TCP ? 6 : 17;

    switch (row->part) {
    case PART_FRAME:
        take_frame(row, frame);
        break;
    case PART_FRAGMENT:
        if (packet->ip_version != 0 &&
            (packet->facts & (PACKET_IS_FRAGMENT | PACKET_IS_LATER_FRAGMENT)) != 0) {
            take(row, frame->bytes + packet->network_offset,
                 frame->captured_bytes - packet->network_offset);
        }
        break;
    case PART_IP:
        if (packet->ip_version != 0 && packet->protocol == row->number) {
            take(row, frame->bytes + packet->transport_offset,
                 frame->captured_bytes - packet->transport_offset);
        }
        break;
    case PART_UDP:
    case PART_TCP:
        if (packet->ip_version != 0 && packet->protocol == protocol &&
            (packet->facts & PACKET_HAS_PORTS) != 0 &&
            (row->is_any || packet->source_port == row->number ||
             packet->target_port == row->number)) {
            take(row, payload, packet->payload_captured_bytes);
        }
        break;
    case PART_ETHER:
        if (packet->verdict == PACKET_NOT_IP && packet->ethertype == row->number &&
            packet->payload_offset < frame->captured_bytes) {
            take(row, payload, frame->captured_bytes - packet->payload_offset);
        }
        break;
    default:
        break;
    }
}

static void read_whole(const char *path)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    const size_t count = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes), file);
    const bool is_small = file != NULL && count > 0 && fgetc(file) == EOF;

    for (uint32_t i = 0; is_small && i < rows_count; i++) {
        if (rows[i].part == PART_FILE) {
            write_seed(&rows[i], rows[i].prefix, rows[i].prefix_bytes, bytes, count);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void read_capture(const char *path)
{
    const struct capture_settings settings = {.read_paths = &path, .read_paths_count = 1};
    AUTO(capture) capture = capture_open_file(&settings, NULL);
    struct frame frames[64];
    int32_t got = 0;

    for (uint32_t i = 0; i < rows_count; i++) {
        rows[i].in_file = 0;
    }
    while (capture != NULL && (got = capture_next_batch(capture, frames, 64, NULL)) > 0) {
        for (int32_t i = 0; i < got; i++) {
            struct packet packet;

            (void)packet_decode(&frames[i], 0, &packet);
            for (uint32_t j = 0; j < rows_count; j++) {
                if (rows[j].in_file < FILE_SEEDS_MAX && rows[j].in_all < SEEDS_MAX) {
                    take_part(&rows[j], &frames[i], &packet);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fputs("fuzz_seeds TABLE OUT FILE...\n", stderr);
        return 2;
    }
    read_table(argv[1]);
    out_directory = argv[2];
    if (mkdir(out_directory, 0755) != 0 && errno != EEXIST) {
        fail(strerror(errno), out_directory);
    }
    for (int i = 3; i < argc; i++) {
        read_whole(argv[i]);
        read_capture(argv[i]);
    }
    for (uint32_t i = 0; i < rows_count; i++) {
        (void)printf("%-24s %6u\n", rows[i].target, rows[i].in_all);
    }
    return 0;
}
