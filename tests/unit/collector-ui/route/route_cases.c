#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/route/route_internal.h"
#include "route_cases.h"

char case_directory[64];

/* Read once and kept: the texts are the config's. */
static const struct route_settings *defaults(void)
{
    static struct route_settings settings;
    static struct config *config;
    static const struct config_section sections[] = {
        {.path = "routing", .fields = route_fields, .settings = &settings, .help = "Routing."}};
    static const char text[] = "receivers:\n  case:\n    on_close: true\n";
    struct error err;

    if (config == NULL) {
        config = config_new(sections, 1, "NETSCOPE", &err);
        assert_non_null(config);
        assert_int_equal(route_add_settings(config, &settings, &err), 0);
        assert_int_equal(config_load_text(config, text, sizeof(text) - 1, "case.yaml", &err), 0);
        assert_string_equal(settings.names[0], "case");
    }
    return &settings;
}

struct route_receiver_settings case_settings(const char *url)
{
    struct route_receiver_settings settings = defaults()->receivers[0];

    settings.url = url;
    return settings;
}

void case_alert_id(unsigned number, char out[37])
{
    (void)snprintf(out, 37, "019b7cf6-0000-7000-8000-%012u", number);
}

void case_alert(struct alert_record *out, unsigned number)
{
    static const char sensor[] = "edge-1";
    static const char boot[] = "0123456789abcdef0123456789abcdef";

    *out = (struct alert_record){.identity = {.sensor_id = {sensor, sizeof(sensor) - 1},
                                              .boot_id = {boot, sizeof(boot) - 1},
                                              .seq = number + 1},
                                 .kind = ALERT_SYN_FLOOD,
                                 .state = ALERT_OPEN,
                                 .severity = SEVERITY_HIGH,
                                 .scope = ALERT_SENSOR_SCOPE,
                                 .first_ns = CASE_START_NS,
                                 .last_ns = CASE_START_NS + 5 * NS_PER_SEC,
                                 .observed = 1500,
                                 .threshold = 200,
                                 .attackers_count = 1,
                                 .victims_count = 1};
    case_alert_id(number, out->alert_id);
    strcpy(out->description, "1500 SYN a second to 198.51.100.7");
    strcpy(out->unit, "packets/s");
    strcpy(out->config_key, "analysis.anomalies.syn_flood");
    assert_true(address_parse("203.0.113.9", 11, &out->attackers[0].ip));
    assert_true(address_parse("198.51.100.7", 12, &out->victims[0].ip));
}

size_t case_encode(const struct alert_record *alert, uint8_t *out)
{
    const size_t length = codec_encode_alert(alert, out, ROUTE_RECORD_BYTES_MAX);

    assert_true(length > 0);
    return length;
}

int case_directory_make(void **state)
{
    (void)state;
    strcpy(case_directory, "/tmp/test_route_XXXXXX");
    return mkdtemp(case_directory) != NULL ? 0 : -1;
}

/* Bounded by what the tests make: one directory in another. */
static void remove_all(int parent, const char *name, int depth)
{
    const int handle = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = handle < 0 ? NULL : fdopendir(handle);
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(handle, entry->d_name, 0) != 0 && depth > 0) {
            remove_all(handle, entry->d_name, depth - 1);
        }
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

int case_directory_remove(void **state)
{
    (void)state;
    remove_all(AT_FDCWD, case_directory, 3);
    return access(case_directory, F_OK) == 0 ? -1 : 0;
}

const char *case_path(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];

    (void)snprintf(path, sizeof(paths[0]), "%s/%s", case_directory, name);
    return path;
}

void case_write(const char *path, const char *text, unsigned mode)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
}
