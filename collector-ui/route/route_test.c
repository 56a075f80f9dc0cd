/* What an operator asks before the night does: does it arrive? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/route/route_internal.h"

static void fill_test(struct alert_record *alert, const char *receiver)
{
    const uint64_t now_ns = clock_wall_ns();
    static const char sensor[] = "collector";

    *alert = (struct alert_record){.state = ALERT_OPEN,
                                   .severity = SEVERITY_INFO,
                                   .scope = ALERT_SENSOR_SCOPE,
                                   .first_ns = now_ns,
                                   .last_ns = now_ns,
                                   .identity.sensor_id = {sensor, sizeof(sensor) - 1},
                                   .identity.boot_id = {"", 0},
                                   .identity.seq = 1};
    alert_id_write(now_ns, hash_key_random().a, alert->alert_id);
    (void)snprintf(alert->description, sizeof(alert->description),
                   "A test of the receiver %s: nothing has happened.", receiver);
}

/* As a sensor would have sent it; 0: no room. */
static size_t encode_test(const char *receiver, uint8_t *out)
{
    struct alert_record *alert = malloc(sizeof(*alert));
    size_t length = 0;

    if (alert != NULL) {
        fill_test(alert, receiver);
        length = codec_encode_alert(alert, out, ROUTE_RECORD_BYTES_MAX);
    }
    free(alert);
    return length;
}

static bool test_one(struct route_receiver *receiver, FILE *out)
{
    uint8_t *record = malloc(ROUTE_RECORD_BYTES_MAX);
    const size_t length = record == NULL ? 0 : encode_test(receiver->name, record);
    const bool is_read = length > 0 && route_receiver_read(receiver, record, length);
    struct error err = {0};
    uint64_t wait_ns;

    free(record);
    if (!is_read) {
        (void)fprintf(out, "%-20s failed: no test alert could be made\n", receiver->name);
        return false;
    }
    const bool is_delivered =
        route_receiver_send(receiver, length, SEVERITY_NONE, &wait_ns, &err) == ROUTE_DELIVERED;

    if (!is_delivered) {
        (void)fprintf(out, "%-20s failed: %s\n", receiver->name, err.message);
    } else {
        (void)fprintf(out, "%-20s %s\n", receiver->name,
                      receiver->syslog == NULL ? "delivered"
                                               : "sent; syslog does not tell whether it arrived");
    }
    return is_delivered;
}

int route_send_test(const struct route_settings *settings, FILE *out, struct error *err)
{
    static const atomic_uint_fast64_t never = 0;
    int status = 0;

    if (settings->names[0] == NULL) {
        (void)error_set(err, EINVAL, "there is no receiver: set receivers.NAME.url");
        return 2;
    }
    for (int i = 0; i < ROUTE_RECEIVERS_MAX && settings->names[i] != NULL; i++) {
        struct route_receiver receiver = {0};

        if (route_receiver_open(&receiver, settings->names[i], &settings->receivers[i], &never,
                                err) != 0) {
            return 2;
        }
        status = test_one(&receiver, out) ? status : 1;
        route_receiver_close(&receiver);
    }
    return status;
}
