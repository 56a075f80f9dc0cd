#include "sensor/identity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/hash.h"

static void uuid_text(char out[37])
{
    char hex[33];

    hash_random_hex(hex);
    hex[12] = '4';                                /* version 4 (RFC 9562 section 5.4) */
    hex[16] = "89ab"[(unsigned char)hex[16] & 3]; /* variant */
    (void)snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
}

static int kept_id(const char *directory, char out[SENSOR_ID_BYTES], struct error *err)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/sensor_id", directory) >= (int)sizeof(path)) {
        return error_set(err, ENAMETOOLONG, "sensor.state_directory %s: too long", directory);
    }
    FILE *file = fopen(path, "re");

    if (file != NULL) {
        const bool has_line = fgets(out, SENSOR_ID_BYTES, file) != NULL;

        (void)fclose(file);
        if (has_line) {
            out[strcspn(out, "\r\n")] = '\0';
        }
        if (has_line && out[0] != '\0') {
            return 0;
        }
    }
    uuid_text(out);
    file = fopen(path, "wxe");
    if (file == NULL) {
        const int code = errno;

        return error_set(err, code, "write %s: %s (set sensor.id or sensor.state_directory)", path,
                         strerror(code));
    }
    const bool is_written = fprintf(file, "%s\n", out) > 0;

    return fclose(file) == 0 && is_written ? 0 : error_set(err, EIO, "write %s failed", path);
}

int identity_sensor_id(const char *configured, const char *directory, const char *interface,
                       char out[SENSOR_ID_BYTES], struct error *err)
{
    char host[65] = "localhost";

    if (configured[0] != '\0') {
        (void)snprintf(out, SENSOR_ID_BYTES, "%s", configured);
        return 0;
    }
    if (directory != NULL && directory[0] != '\0') {
        return kept_id(directory, out, err);
    }
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(out, SENSOR_ID_BYTES, "%s%s%s", host, interface[0] != '\0' ? "-" : "",
                   interface);
    return 0;
}
