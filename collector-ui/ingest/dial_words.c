/* What is told to people of a dialed sensor. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/dial_private.h"

#define LOG_AGAIN_NS (60 * NS_PER_SEC)

void dial_explain(const struct dial *dial, char *out, size_t room)
{
    static const char *const meanings[RPC_TROUBLE_COUNT] = {
        [RPC_TROUBLE_UNTRUSTED] = "the sensor's certificate is not signed by dial.%s.ca_file, or "
                                  "has expired: name the CA that signed it there",
        [RPC_TROUBLE_OTHER_NAME] = "the sensor's certificate is for another name: set "
                                   "dial.%s.server_name, or give it one for this address",
        [RPC_TROUBLE_PLAINTEXT] = "the sensor speaks plaintext, but dial.%s asks for TLS",
        [RPC_TROUBLE_HANDSHAKE] = "TLS handshake failed: the sensor does not take "
                                  "dial.%s.cert_file, or speaks plaintext",
        [RPC_TROUBLE_REFUSED] = "nothing listens at dial.%s.address",
        [RPC_TROUBLE_NO_SOCKET] = "there is no socket of dial.%s.address",
        [RPC_TROUBLE_NO_HOST] = "the host of dial.%s.address cannot be resolved",
        [RPC_TROUBLE_CLOSED] = ("the sensor has ended, or wants TLS: set dial.%s.tls or ca_file "
                                "(and cert_file, where it asks for one)"),
    };
    const char *meaning = NULL;

    if (dial->status == RPC_UNAVAILABLE || dial->status == RPC_DEADLINE_EXCEEDED) {
        meaning = meanings[rpc_trouble_of(dial->reason)];
    } else if (dial->status == RPC_UNAUTHENTICATED) {
        meaning = "the sensor wants a token or certificate: see dial.%s.token_file and cert_file";
    } else if (dial->status == RPC_PERMISSION_DENIED) {
        meaning = "the token of dial.%s.token_file lacks the scope flows at the sensor";
    } else if (dial->status == RPC_UNIMPLEMENTED) {
        meaning = "the sensor does not know a stream of dial.%s.streams";
    }
    if (meaning == NULL) {
        (void)snprintf(out, room, "%s: %s", rpc_status_name(dial->status), dial->reason);
        return;
    }
    char text[256];
    const char *at = strstr(meaning, "%s");

    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - meaning), meaning, dial->counts.name,
                   at + 2);
    (void)snprintf(out, room, "%s: %s (%s)", rpc_status_name(dial->status), text, dial->reason);
}

void dial_tell(struct dial *dial, const char *what, const char *reason, uint64_t now_ns)
{
    char quoted[900];
    const bool is_new = strncmp(dial->last_error, reason, sizeof(dial->last_error) - 1) != 0;

    (void)snprintf(dial->last_error, sizeof(dial->last_error), "%.159s", reason);
    if (is_new || now_ns - dial->error_logged_ns >= LOG_AGAIN_NS) {
        dial->error_logged_ns = now_ns;
        log_warn(DIAL_COMPONENT, what, "dial=%s address=%s reason=%s retry_ms=%llu",
                 dial->counts.name, dial->settings.address,
                 log_quote(reason, quoted, sizeof(quoted)),
                 (unsigned long long)((dial->due_ns - now_ns) / NS_PER_MS));
    }
}

void dial_tell_passing(struct dial *dial)
{
    static const char passing[] = "it reports by its own stream, or by Kafka";
    char id[2 * INGEST_SENSOR_ID_BYTES];

    if (strcmp(dial->last_error, passing) != 0) {
        (void)snprintf(dial->last_error, sizeof(dial->last_error), "%s", passing);
        log_info(DIAL_COMPONENT, "a dialed sensor is passed over: it reports by another way",
                 "dial=%s address=%s sensor=%s", dial->counts.name, dial->settings.address,
                 log_quote(dial->info.sensor_id, id, sizeof(id)));
    }
}
