/* Settings of the collector that outlive the process (collector.apply_config: file), in the state
 * directory.
 *
 * A start with them is a trial, too: before it the file gets another name, and gets its own back
 * when the stream has held. A start that finds the other name knows that the one before it ended
 * without that, removes it and goes on with the sensor's own file. So settings that a start cannot
 * survive are gone with the next one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/replacement.h"
#include "sensor/app_private.h"

#define FILE_NAME      "collector-offer"
#define TRIED_NAME     FILE_NAME ".tried"
#define FILE_HEAD      "# offer "
#define FILE_BYTES_MAX ((size_t)512 << 10)

const char *app_state_directory(const struct sensor_settings *settings)
{
    const char *given = getenv("STATE_DIRECTORY"); /* systemd's */

    return settings->sensor.state_directory[0] != '\0' ? settings->sensor.state_directory
           : given != NULL                             ? given
                                                       : "";
}

static bool keeps(const struct sensor_settings *settings)
{
    return strcmp(settings->collector.apply_config, "file") == 0 &&
           app_state_directory(settings)[0] != '\0';
}

static void name_in(const struct sensor_settings *settings, const char *name,
                    char out[REPLACEMENT_PATH_BYTES])
{
    (void)snprintf(out, REPLACEMENT_PATH_BYTES, "%s/%s", app_state_directory(settings), name);
}

/* ---- keeping ---- */

int app_kept_write(const struct sensor_settings *settings, const char *id, const char *yaml,
                   struct error *err)
{
    char path[REPLACEMENT_PATH_BYTES];
    struct replacement file;

    if (!keeps(settings)) {
        return 0;
    }
    name_in(settings, FILE_NAME, path);
    int result = replacement_begin(&file, path, 0600);

    if (result == 0) {
        (void)fprintf(file.file, FILE_HEAD "%s\n%s", id, yaml);
        result = replacement_end(&file, REPLACEMENT_SYNCED);
    }
    return result == 0 ? 0 : error_set(err, -result, "write %s: %s", path, strerror(-result));
}

void app_kept_drop(const struct sensor_settings *settings)
{
    static const char *const names[] = {FILE_NAME, TRIED_NAME};
    char path[REPLACEMENT_PATH_BYTES];

    for (size_t i = 0; keeps(settings) && i < ARRAY_COUNT(names); i++) {
        name_in(settings, names[i], path);
        if (unlink(path) != 0 && errno != ENOENT) {
            log_warn("config", "settings of the collector that are gone cannot be removed",
                     "file=%s reason=\"%s\"", path, strerror(errno));
        }
    }
}

void app_kept_proved(const struct sensor_settings *settings)
{
    char path[REPLACEMENT_PATH_BYTES], tried[REPLACEMENT_PATH_BYTES];

    name_in(settings, FILE_NAME, path);
    name_in(settings, TRIED_NAME, tried);
    if (keeps(settings) && rename(tried, path) != 0 && errno != ENOENT) {
        log_warn("config", "settings of the collector are not kept for the next start",
                 "file=%s reason=\"%s\"", path, strerror(errno));
    }
}

/* ---- at a start ---- */

/* malloc'ed; NULL: there is none, or it cannot be read. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : malloc(FILE_BYTES_MAX + 1);
    const size_t length = text == NULL ? 0 : fread(text, 1, FILE_BYTES_MAX + 1, file);
    const bool is_good = text != NULL && ferror(file) == 0 && length <= FILE_BYTES_MAX;

    if (is_good) {
        text[length] = '\0';
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!is_good) {
        free(text);
        return NULL;
    }
    return text;
}

/* The id of its first line. False: it has none. */
static bool read_id(const char *text, char id[INGEST_OFFER_ID_BYTES])
{
    const size_t head = sizeof(FILE_HEAD) - 1;

    if (strncmp(text, FILE_HEAD, head) != 0) {
        return false;
    }
    const size_t length = strcspn(text + head, "\n");

    if (length == 0 || length >= INGEST_OFFER_ID_BYTES) {
        return false;
    }
    memcpy(id, text + head, length);
    id[length] = '\0';
    return true;
}

/* As an offer is. */
static int judge(const struct sensor_command *command, const struct config *alone,
                 const struct sensor_settings *settings, const char *text, struct error *err)
{
    struct sensor_settings *wanted = calloc(1, sizeof(*wanted));
    AUTO(config) candidate = wanted == NULL ? NULL : sensor_settings_new(wanted, err);
    int result = candidate == NULL ? error_set(err, ENOMEM, "no memory") : 0;

    if (result == 0) {
        result = sensor_command_load_over(command, candidate, text, strlen(text), err);
    }
    if (result == 0) {
        result = app_check_settings(wanted, candidate, err);
    }
    if (result == 0) {
        result = app_offer_judge(wanted, candidate, alone, &settings->collector.locked_keys, err);
    }
    config_free(TAKE(candidate)); /* before what it fills */
    free(wanted);
    return result;
}

/* It has been judged: what fails here is memory. */
static int take_over(struct config **config, struct sensor_settings *settings,
                     struct sensor_command *command, char *text, struct error *err)
{
    config_free(*config);
    memset(settings, 0, sizeof(*settings));
    *config = sensor_settings_new(settings, err);
    if (*config == NULL ||
        sensor_command_load_over(command, *config, text, strlen(text), err) != 0) {
        free(text);
        return -err->code;
    }
    command->kept_offer = text;
    return 0;
}

int app_use_kept(struct config **config, struct sensor_settings *settings,
                 struct sensor_command *command, struct error *fault)
{
    char path[REPLACEMENT_PATH_BYTES], tried[REPLACEMENT_PATH_BYTES], quoted[700];
    char id[INGEST_OFFER_ID_BYTES];
    struct error err = {0};

    if (!keeps(settings)) {
        return 0;
    }
    name_in(settings, FILE_NAME, path);
    name_in(settings, TRIED_NAME, tried);
    if (access(tried, F_OK) == 0) {
        log_warn("config",
                 "the start before this did not reach the collector with its settings: this one "
                 "is with the sensor's own",
                 "file=%s", tried);
        app_kept_drop(settings);
        return 0;
    }
    char *text = read_text(path);

    if (text == NULL) {
        return 0;
    }
    if (!read_id(text, id)) {
        (void)error_set(&err, EINVAL, "it does not begin with the id of an offer");
    } else if (judge(command, *config, settings, text, &err) == 0 && rename(path, tried) != 0) {
        (void)error_set(&err, errno, "rename to %s: %s", tried, strerror(errno));
    }
    if (err.code != 0) {
        log_warn("config", "kept settings of the collector are not used", "file=%s reason=%s", path,
                 log_quote(err.message, quoted, sizeof(quoted)));
        free(text);
        return 0;
    }
    return take_over(config, settings, command, text, fault);
}

bool app_kept_take(const struct sensor_command *command, char id[INGEST_OFFER_ID_BYTES])
{
    return command->kept_offer != NULL && read_id(command->kept_offer, id);
}
