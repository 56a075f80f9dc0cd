/* The files that a run writes: each has a path of its own, and none is what the run reads. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "sensor/app_private.h"
#include "sensor/capture/capture.h"

#define OUTPUTS_COUNT 7

static bool is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* Whether the directories are one. */
static bool is_same_place(const char *a, const char *b)
{
    struct stat in_a, in_b;
    char parent[PATH_MAX];

    (void)snprintf(parent, sizeof(parent), "%.*s.", (int)(name_of(a) - a), a);
    if (stat(parent, &in_a) != 0) {
        return false;
    }
    (void)snprintf(parent, sizeof(parent), "%.*s.", (int)(name_of(b) - b), b);
    return stat(parent, &in_b) == 0 && in_a.st_dev == in_b.st_dev && in_a.st_ino == in_b.st_ino;
}

/* Whether two paths are one file, be it there already or not. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;

    if (strcmp(a, b) == 0) {
        return true;
    }
    if (is_stdout(a) || is_stdout(b)) {
        return false;
    }
    if (stat(a, &of_a) == 0 && stat(b, &of_b) == 0) {
        return S_ISREG(of_a.st_mode) && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
    }
    return strcmp(name_of(a), name_of(b)) == 0 && is_same_place(a, b);
}

struct output_path {
    const char *key, *path;
};

static void list_outputs(const struct sensor_settings *settings,
                         struct output_path outputs[OUTPUTS_COUNT])
{
    const struct output_section *output = &settings->output;
    const struct output_path list[OUTPUTS_COUNT] = {
        {"output.flows_jsonl", output->flows_jsonl},
        {"output.expired_flows_jsonl", output->expired_flows_jsonl},
        {"output.dns_jsonl", output->dns_jsonl},
        {"output.export_json", output->export_json},
        {"output.export_csv", output->export_csv},
        {"output.write_pcap", output->write_pcap},
        {"analysis.alerts_jsonl", settings->analysis.alerts_jsonl}};

    memcpy(outputs, list, sizeof(list));
}

/* ---- packets ---- */

static enum pcap_writer_format pcap_format_of(const char *text)
{
    return strcmp(text, "pcapng") == 0 ? PCAP_WRITER_PCAPNG
           : strcmp(text, "pcap") == 0 ? PCAP_WRITER_PCAP
                                       : PCAP_WRITER_BY_PATH;
}

void app_fill_pcap(const struct output_section *from, struct pcap_writer_settings *to)
{
    *to = (struct pcap_writer_settings){.path = from->write_pcap,
                                        .rotate_bytes = from->write_pcap_rotate_bytes,
                                        .rotate_ns = from->write_pcap_rotate_ns,
                                        .rotate_packets = from->write_pcap_rotate_packets,
                                        .files_max = (uint32_t)from->write_pcap_max_files,
                                        .bytes_max = from->write_pcap_max_bytes,
                                        .keep_ns = from->write_pcap_keep_ns,
                                        .queue_bytes = from->write_pcap_queue_bytes,
                                        .format = pcap_format_of(from->write_pcap_format)};
}

/* ---- what is read ---- */

struct input_search {
    struct output_path outputs[OUTPUTS_COUNT];
    const char *segments_of; /* NULL: packets go into one file, or none */
    const char *key, *found; /* what would be lost */
};

static bool is_overwritten(void *context, const char *input, const struct stat *info)
{
    struct input_search *search = context;
    struct stat output;

    for (size_t i = 0; i < OUTPUTS_COUNT; i++) {
        const char *path = search->outputs[i].path;

        if (path[0] != '\0' && path != search->segments_of && stat(path, &output) == 0 &&
            output.st_dev == info->st_dev && output.st_ino == info->st_ino) {
            search->key = search->outputs[i].key;
            search->found = path;
            return true;
        }
    }
    if (search->segments_of == NULL || !is_same_place(search->segments_of, input) ||
        !pcap_writer_is_segment(name_of(search->segments_of), name_of(input))) {
        return false;
    }
    search->key = "output.write_pcap";
    search->found = search->segments_of;
    return true;
}

int app_check_inputs(const struct sensor_settings *settings, struct error *err)
{
    const struct capture_settings capture = {.read_paths = settings->capture.read_pcap.items,
                                             .read_paths_count = settings->capture.read_pcap.count};
    struct pcap_writer_settings packets;
    struct input_search search = {0};

    list_outputs(settings, search.outputs);
    app_fill_pcap(&settings->output, &packets);
    search.segments_of = pcap_writer_has_segments(&packets) ? settings->output.write_pcap : NULL;
    if (capture.read_paths_count == 0 || !capture_any_file(&capture, is_overwritten, &search)) {
        return 0;
    }
    return error_set(err, EINVAL,
                     "%s: %s is what capture.read_pcap reads, and would be overwritten: give "
                     "another path",
                     search.key, search.found);
}

static int check_pcap(const struct output_section *output, struct error *err)
{
    struct pcap_writer_settings settings;

    app_fill_pcap(output, &settings);
    return output->write_pcap[0] != '\0' ? pcap_writer_check(&settings, err) : 0;
}

void app_tell_idle(const struct sensor_settings *settings)
{
    struct pcap_writer_settings packets;
    const struct {
        bool is_set;
        const char *key;
    } of_files[] = {{settings->capture.pace, "capture.pace"},
                    {settings->capture.loop, "capture.loop"},
                    {settings->pipeline.lossless, "pipeline.lossless"}};

    for (size_t i = 0; i < ARRAY_COUNT(of_files) && settings->capture.read_pcap.count == 0; i++) {
        if (of_files[i].is_set) {
            log_warn("capture", "a setting is for files, and none is read",
                     "setting=%s missing=capture.read_pcap", of_files[i].key);
        }
    }
    app_fill_pcap(&settings->output, &packets);
    if (settings->output.write_pcap[0] == '\0' &&
        (pcap_writer_has_segments(&packets) || packets.files_max > 0 || packets.bytes_max > 0)) {
        log_warn("capture", "segments of packets are set, but no file to write them to",
                 "missing=output.write_pcap");
    }
    if (settings->analysis.alerts_jsonl[0] != '\0' && !settings->anomalies.enabled) {
        log_warn("output", "a file of alerts is set, but detection is off",
                 "setting=analysis.alerts_jsonl missing=analysis.anomalies.enabled");
    }
}

/* ---- all of them ---- */

int app_check_outputs(const struct sensor_settings *settings, FILE **human, struct error *err)
{
    struct output_path outputs[OUTPUTS_COUNT];

    list_outputs(settings, outputs);
    *human = stdout;
    for (size_t i = 0; i < OUTPUTS_COUNT; i++) {
        if (is_stdout(outputs[i].path)) {
            *human = stderr;
        }
        for (size_t j = 0; j < i && outputs[i].path[0] != '\0'; j++) {
            if (is_same_file(outputs[i].path, outputs[j].path) &&
                strncmp(outputs[i].path, "/dev/", 5) != 0) {
                return error_set(err, EINVAL, "%s and %s both write to %s: give one another path",
                                 outputs[j].key, outputs[i].key,
                                 is_stdout(outputs[i].path) ? "standard output" : outputs[i].path);
            }
        }
    }
    return check_pcap(&settings->output, err);
}
